//! What the model takes for one candidate: `cargo bench -p aire-brain`. Medians of rounds, because the speed of a machine drifts.

use std::hint::black_box;
use std::time::Instant;

use aire_brain::Policy;
use aire_brain::Rule;
use aire_brain::cost::Scorer;
use aire_brain::model::{Artefact, Asker, COUNT, Learned, Network, WEIGHTS};
use aire_types::{
    AppName, Candidate, Class, Estimate, Instance, Needs, NodeName, Override, Path, Priority, Random,
    RouteId, SecurityLevel, Snapshot, Source, Time,
};

const ROUNDS: usize = 31;
const REPEATS: usize = 2_000;
const RELAYS: usize = 8;

fn estimate(value: f64) -> Estimate {
    let at = Time::from_millis(98_000);
    Estimate { value, deviation: 0.05 * value, at, count: 12, censored: false, source: Source::Probe }
}

fn candidate(at: usize, random: &mut Random) -> Candidate {
    let name = |text: &str| NodeName::new(text).expect("a name");
    let path = if at == 0 { Path::DIRECT } else { Path::via(name(&format!("r{at}"))) };
    let instance = Instance { app: AppName::new("db").expect("a name"), node: name("d") };
    let ms = 80.0 + 40.0 * random.unit();
    Candidate {
        route: RouteId { instance, path },
        rtt_ms: estimate(ms),
        tail_ms: 1.2 * ms,
        base_ms: 0.9 * ms,
        prior_ms: Some(estimate(1.1 * ms)),
        loss: estimate(0.001),
        bandwidth_mbps: Estimate::default(),
        load: random.unit(),
        risk: 0.0,
        leased: true,
        ineligible: None,
    }
}

fn snapshot() -> Snapshot {
    let mut random = Random::new(7);
    let candidates: Vec<_> = (0..=RELAYS).map(|at| candidate(at, &mut random)).collect();
    Snapshot {
        at: Time::from_millis(100_000),
        class: Class::Interactive,
        security: SecurityLevel::Normal,
        needs: Needs::default(),
        priority: Priority::NORMAL,
        overrides: Override::default(),
        current: Some((candidates[0].route.clone(), Time::ZERO)),
        hold_until: Time::ZERO,
        candidates,
    }
}

/// Median nanoseconds of one `work`.
fn nanoseconds(mut work: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            (0..REPEATS).for_each(|_| work());
            began.elapsed().as_secs_f64() * 1e9 / REPEATS as f64
        })
        .collect();
    rounds.sort_unstable_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn main() {
    let mut random = Random::new(1);
    let weights: Vec<f32> = (0..WEIGHTS).map(|_| (random.unit() - 0.5) as f32 * 0.2).collect();
    let network = Network::from_weights(&weights).expect("finite weights");
    let artefact = Artefact { network, ..Artefact::untrained("bench") };
    let inputs: [f32; COUNT] = std::array::from_fn(|_| random.unit() as f32);
    let snapshot = snapshot();
    let scorer = Scorer::new(&snapshot);
    let asker = Asker::new(&snapshot, &scorer, &snapshot.candidates).expect("direct is measured");
    let candidates = snapshot.candidates.len() as f64;
    let network = nanoseconds(|| {
        black_box(artefact.answer(black_box(&inputs)));
    });
    println!("network        {network:7.0} ns");
    let all = nanoseconds(|| {
        for candidate in &snapshot.candidates {
            let terms = scorer.terms(candidate);
            let question = asker.ask(black_box(candidate), &terms);
            black_box(question.map(|question| artefact.answer(&question.features)));
        }
    });
    println!("a candidate    {:7.0} ns: cost, features and network", all / RELAYS as f64);
    let (rule, learned) = (Rule::default(), Learned::new(artefact));
    let by_rule = nanoseconds(|| drop(black_box(rule.rank(black_box(&snapshot)))));
    let by_model = nanoseconds(|| drop(black_box(learned.rank(black_box(&snapshot)))));
    println!("ranking, rule  {:7.0} ns a candidate of {candidates}", by_rule / candidates);
    println!("ranking, model {:7.0} ns a candidate of {candidates}", by_model / candidates);
}
