//! What runs for every candidate allocates nothing. Alone in its program, because the counter counts all threads.

use std::alloc::System;
use std::hint::black_box;

use aire_brain::cost::Scorer;
use aire_brain::model::{Artefact, Asker, Head};
use aire_types::{
    AppName, Candidate, Class, Estimate, Instance, Needs, NodeName, Override, Path, Priority, RouteId,
    SecurityLevel, Snapshot, Source, Time,
};
use cap::Cap;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

fn candidate(path: Path, ms: f64) -> Candidate {
    let node = NodeName::new("d").expect("a name");
    let at = Time::from_millis(1000);
    let estimate =
        Estimate { value: ms, deviation: 1.0, at, count: 9, censored: false, source: Source::Probe };
    Candidate {
        route: RouteId { instance: Instance { app: AppName::new("db").expect("a name"), node }, path },
        rtt_ms: estimate,
        tail_ms: 1.2 * ms,
        base_ms: 0.9 * ms,
        prior_ms: Some(estimate),
        loss: Estimate::default(),
        bandwidth_mbps: Estimate::default(),
        load: 0.2,
        risk: 0.0,
        leased: true,
        ineligible: None,
    }
}

#[test]
fn cost_features_network_and_head_allocate_nothing() {
    let relay = Path::via(NodeName::new("r1").expect("a name"));
    let candidates = vec![candidate(Path::DIRECT, 100.0), candidate(relay, 80.0)];
    let snapshot = Snapshot {
        at: Time::from_millis(2000),
        class: Class::Interactive,
        security: SecurityLevel::Normal,
        needs: Needs::default(),
        priority: Priority::NORMAL,
        overrides: Override::default(),
        current: Some((candidates[0].route.clone(), Time::ZERO)),
        hold_until: Time::ZERO,
        candidates,
    };
    let (artefact, head) = (Artefact::untrained("none"), Head::default());
    let before = MEMORY.total_allocated();
    for _ in 0..100 {
        let scorer = Scorer::new(black_box(&snapshot));
        let asker = Asker::new(&snapshot, &scorer, &snapshot.candidates).expect("direct is measured");
        for candidate in &snapshot.candidates {
            let terms = scorer.terms(candidate);
            if let Some(question) = asker.ask(candidate, &terms) {
                black_box(artefact.outside(&question.features));
                black_box(artefact.answer(&question.features));
            }
        }
        black_box(head.mean(&[1.0; aire_brain::model::HEAD]));
    }
    assert_eq!(MEMORY.total_allocated() - before, 0, "bytes were allocated");
}
