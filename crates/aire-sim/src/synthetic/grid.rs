//! What one large transfer gets between the regions of clouds: caps by provider, distance, and pairs that collapse.

use aire_types::Random;

use super::draw::{lognormal, part, weighted};
use super::geography::Geography;
use super::shape::Shape;

/// Throughput and round trips between regions, measured once.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// The regions' names, `PROVIDER:region-N`.
    pub nodes: Vec<String>,
    /// Megabits a second, row-major, row = from, 0 on the diagonal, NaN where missing.
    pub mbps: Vec<f32>,
    /// Round trips, milliseconds, the same way.
    pub rtt_ms: Vec<f32>,
}

/// One provider's network cards and routes.
struct Provider {
    name: &'static str,
    /// Share of the regions.
    weight: f64,
    /// Towards its own regions, and towards others at 100 ms; megabits a second.
    inside: f64,
    outside: f64,
    /// Towards others the rate falls with this power of the round trip.
    power: f64,
    /// The card's cap, which nothing exceeds.
    cap: f64,
    /// Deviation of the logarithm, inside and outside.
    scatter: [f64; 2],
    /// Share of the pairs to others that get a small part only.
    collapse: f64,
}

/// Fitted to 64 connections of iperf3 for 5 s (NSDI 2023, Skyplane).
const PROVIDERS: [Provider; 3] = [
    Provider {
        name: "aws",
        weight: 0.25,
        inside: 4990.0,
        outside: 5150.0,
        power: 0.0,
        cap: 5900.0,
        scatter: [0.05, 0.05],
        collapse: 0.015,
    },
    Provider {
        name: "gcp",
        weight: 0.57,
        inside: 6350.0,
        outside: 5700.0,
        power: 0.10,
        cap: 9700.0,
        scatter: [0.22, 0.27],
        collapse: 0.012,
    },
    Provider {
        name: "azure",
        weight: 0.18,
        inside: 16_000.0,
        outside: 5900.0,
        power: 0.40,
        cap: 24_000.0,
        scatter: [0.19, 0.42],
        collapse: 0.01,
    },
];

/// A grid of so many regions.
pub fn throughput(regions: usize, seed: u64) -> Grid {
    let shape = Shape::cloud().with_nodes(regions);
    let geography = Geography::lay_out(&shape, seed);
    let mut random = part(seed, 3);
    let weights = PROVIDERS.map(|provider| provider.weight);
    let owners: Vec<usize> = (0..regions).map(|_| weighted(&mut random, &weights)).collect();
    let sending: Vec<f64> = (0..regions).map(|_| lognormal(&mut random, 0.08)).collect();
    let taking: Vec<f64> = (0..regions).map(|_| lognormal(&mut random, 0.08)).collect();
    let mut mbps = vec![0.0f32; regions * regions];
    for (at, cell) in mbps.iter_mut().enumerate() {
        let (from, to) = (at / regions, at % regions);
        if from != to {
            let ends = sending[from] * taking[to];
            *cell = rate(&mut random, owners[from], owners[to], geography.quiet[at], ends) as f32;
        }
    }
    Grid {
        nodes: (0..regions).map(|at| format!("{}:region-{at}", PROVIDERS[owners[at]].name)).collect(),
        mbps,
        rtt_ms: geography.quiet.iter().map(|ms| *ms as f32).collect(),
    }
}

fn rate(random: &mut Random, from: usize, to: usize, rtt_ms: f64, ends: f64) -> f64 {
    let provider = &PROVIDERS[from];
    let inside = from == to;
    let far = (rtt_ms.max(5.0) / 100.0).powf(-provider.power);
    let nominal = if inside { provider.inside } else { provider.outside * far };
    // A card that is capped below what the ends could do hides their differences.
    let ends = if provider.scatter[usize::from(!inside)] < 0.1 { 1.0 } else { ends };
    let rate = nominal * ends * lognormal(random, provider.scatter[usize::from(!inside)]);
    let taken = rate.min(provider.cap).min(PROVIDERS[to].cap * 1.7);
    let collapsed = random.chance(provider.collapse);
    if collapsed { taken * (0.02 + 0.1 * random.unit()) } else { taken }
}
