//! Seeded snapshots and artefacts for tests.

use aire_types::{
    AppName, Candidate, Class, Estimate, Instance, Needs, NodeName, Override, Path, Priority, Random,
    RouteId, SecurityLevel, Snapshot, Source, Time,
};

use super::{Artefact, COUNT, Golden, Network, Range, WEIGHTS};

pub(crate) const NOW: Time = Time::from_millis(100_000);

fn estimate(value: f64, deviation: f64, count: u32) -> Estimate {
    Estimate {
        value,
        deviation,
        at: Time::from_millis(98_000),
        count,
        censored: false,
        source: Source::Probe,
    }
}

/// Direct with this round trip in milliseconds and one candidate per relay, all well measured.
pub(crate) fn snapshot(direct: f64, relays: &[f64]) -> Snapshot {
    let instance =
        Instance { app: AppName::new("db").expect("a name"), node: NodeName::new("d").expect("a name") };
    let path = |at: usize| match at {
        0 => Path::DIRECT,
        at => Path::via(NodeName::new(&format!("r{at}")).expect("a name")),
    };
    let candidate = |(at, ms): (usize, f64)| Candidate {
        route: RouteId { instance: instance.clone(), path: path(at) },
        rtt_ms: estimate(ms, 0.05 * ms, 12),
        tail_ms: 1.2 * ms,
        base_ms: 0.9 * ms,
        prior_ms: None,
        loss: estimate(0.0, 0.0, 12),
        bandwidth_mbps: Estimate::default(),
        load: 0.0,
        risk: 0.0,
        leased: true,
        ineligible: None,
    };
    let all = std::iter::once(direct).chain(relays.iter().copied());
    let candidates: Vec<Candidate> = all.enumerate().map(candidate).collect();
    let current = Some((candidates[0].route.clone(), Time::ZERO));
    Snapshot {
        at: NOW,
        class: Class::Interactive,
        security: SecurityLevel::Normal,
        needs: Needs::default(),
        priority: Priority::NORMAL,
        overrides: Override::default(),
        current,
        hold_until: Time::ZERO,
        candidates,
    }
}

fn numbers<const N: usize>(seed: u64, scale: f64) -> [f32; N] {
    let mut random = Random::new(seed);
    std::array::from_fn(|_| ((random.unit() - 0.5) * scale) as f32)
}

pub(crate) fn weights(seed: u64) -> Vec<f32> {
    numbers::<WEIGHTS>(seed, 0.5).to_vec()
}

pub(crate) fn inputs(seed: u64) -> [f32; COUNT] {
    numbers(seed ^ 0xff, 4.0)
}

pub(crate) fn artefact(seed: u64) -> Artefact {
    let mut artefact = Artefact::untrained("sample");
    artefact.summary = format!("seed {seed}");
    artefact.network = Network::from_weights(&weights(seed)).expect("finite weights");
    artefact.ranges = [Range { mean: 0.1, scale: 2.0, low: -100.0, high: 100.0 }; COUNT];
    let golden = |seed| {
        let features = inputs(seed);
        Golden { features, answer: artefact.answer(&features) }
    };
    artefact.golden = (0..4).map(golden).collect();
    artefact
}
