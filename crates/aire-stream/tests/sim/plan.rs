use std::time::Duration;

use aire_types::Class;

use crate::random::Random;

/// What the two applications of one stream do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) open_at: Duration,
    pub(crate) class: Class,
    /// By end: bytes that it writes before it closes its direction.
    pub(crate) size: [u64; 2],
    /// By end: bytes of one write.
    pub(crate) chunk: [u64; 2],
    /// By end: how long it thinks between writes.
    pub(crate) think: [Duration; 2],
    /// By end: from when on it reads.
    pub(crate) read_from: [Duration; 2],
    /// By end: the most that it reads at a time, and how long it then takes to swallow that.
    pub(crate) read_max: [usize; 2],
    pub(crate) swallow: [Duration; 2],
    /// Which end resets it, and when.
    pub(crate) reset: Option<(usize, Duration)>,
    /// The destination refuses it.
    pub(crate) refuse: bool,
}

impl Plan {
    pub(crate) fn random(random: &mut Random, until_ms: u64) -> Self {
        let mut both = |draw: fn(&mut Random) -> u64| [draw(random), draw(random)];
        let size = both(|random| {
            let most = random.pick(&[1, 100, 100, 5000, 70_000, 70_000, 300_000, 3_000_000]);
            random.range(0..most)
        });
        let chunk = both(|random| {
            let most = random.pick(&[64, 1500, 20_000, 200_000]);
            random.range(most / 2..most)
        });
        // A megabyte of tiny writes only costs time.
        let chunk = [chunk[0].max(size[0] / 400).max(1), chunk[1].max(size[1] / 400).max(1)];
        let quick = both(|random| u64::from(random.chance(60)));
        let pause = |random: &mut Random, quick: u64, most| {
            if quick == 1 { Duration::ZERO } else { random.millis(0..most) }
        };
        Plan {
            open_at: random.millis(0..until_ms),
            class: random.pick(&Class::ALL),
            size,
            chunk,
            think: [pause(random, quick[0], 20), pause(random, quick[1], 20)],
            read_from: [0, 1]
                .map(|_| if random.chance(20) { random.millis(0..4000) } else { Duration::ZERO }),
            read_max: [0, 1].map(|_| random.pick(&[900, 10_000, usize::MAX])),
            swallow: [0, 1].map(|_| if random.chance(70) { Duration::ZERO } else { random.millis(0..10) }),
            reset: random.chance(12).then(|| (random.range(0..2) as usize, random.millis(0..3000))),
            refuse: random.chance(4),
        }
    }
}

/// What `end` writes on a stream from `offset` on: differs with all three.
pub(crate) fn fill(stream: u64, end: usize, offset: u64, out: &mut [u8]) {
    const BLOCK: u64 = 64;
    let (mut at, mut rest) = (offset, out);
    while !rest.is_empty() {
        let within = at % BLOCK;
        let (now, later) = rest.split_at_mut(rest.len().min((BLOCK - within) as usize));
        let mixed =
            ((at / BLOCK) ^ (stream << 40) ^ ((end as u64) << 60)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for (byte, step) in now.iter_mut().zip(within..) {
            *byte = (mixed >> 56) as u8 ^ (step as u8);
        }
        at += now.len() as u64;
        rest = later;
    }
}
