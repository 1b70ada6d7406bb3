//! Every target on its seeds, and on what is left of them after some damage: without libFuzzer, on any compiler.
#![allow(clippy::unwrap_used)]

use aire_fuzz::TARGETS;

struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below.max(1)
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.below(256) as u8).collect()
    }

    fn damage(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len());
        match self.below(5) {
            0 => input.truncate(at),
            1 => drop(input.splice(at..at, self.bytes(9))),
            2 if !input.is_empty() => input[at] = self.below(256) as u8,
            3 if !input.is_empty() => input[at] ^= 1 << self.below(8),
            _ => input.extend_from_within(at..),
        }
    }
}

#[test]
fn every_target_takes_its_seeds_and_their_ruins() {
    for target in TARGETS {
        let mut random = Random(7);
        let mut seeds = (target.seeds)();
        seeds.iter().for_each(|seed| (target.run)(seed));
        seeds.push(Vec::new());
        for round in 0..60 {
            let mut input = seeds[random.below(seeds.len())].clone();
            if input.is_empty() {
                input = random.bytes(1500);
            }
            for _ in 0..random.below(4) {
                random.damage(&mut input);
            }
            println!("{} round {round}: {} bytes", target.name, input.len());
            (target.run)(&input);
        }
    }
}

#[test]
fn names_are_unique() {
    let mut names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), TARGETS.len());
}
