use super::*;
use crate::data::Matrix;
use crate::policies::baselines;

/// A network that never changes, in which node 0 is a short way to everywhere.
fn hub(nodes: usize, frames: usize, quantity: Quantity) -> Frames {
    let mut matrix = Matrix::missing(nodes);
    let (near, far) = if quantity == Quantity::Rtt { (10.0, 100.0) } else { (100.0, 10.0) };
    for (from, to) in (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to))) {
        if from != to {
            matrix.set(from, to, if from == 0 || to == 0 { near } else { far });
        }
    }
    Frames {
        name: "hub".into(),
        quantity,
        nodes: (0..nodes).map(|node| node.to_string()).collect(),
        step_s: 10.0,
        symmetric: true,
        score_gap: 1,
        frames: vec![matrix; frames],
    }
}

fn of<'a>(evaluation: &'a Evaluation, policy: &str) -> &'a Figures {
    evaluation.policies.iter().find(|figures| figures.policy == policy).unwrap()
}

#[test]
fn a_constant_network_has_the_known_figures() {
    let protocol = Protocol { seeds: 2, ..Protocol::default() };
    let found = evaluate(&hub(10, 30, Quantity::Rtt), &protocol, &baselines(), &|_| ()).unwrap();
    // 72 of 90 ways are 100 directly and 20 over the hub, the rest 10
    let direct = of(&found, DIRECT);
    assert!((direct.mean - 82.0).abs() < 1e-6 && (of(&found, CLAIRVOYANT).mean - 18.0).abs() < 1e-6);
    assert_eq!(
        (direct.gap_closed, of(&found, CLAIRVOYANT).gap_closed, of(&found, FIXED).gap_closed),
        (0.0, 1.0, 1.0)
    );
    let free = of(&found, "ron-unlimited");
    assert!(free.gap_closed > 0.95, "{}", free.gap_closed);
    assert!((free.probes_per_destination - 1.0).abs() < 1e-6);
    assert!((free.probe_bytes_per_s - 9.0 * 220.0 / 10.0).abs() < 1e-6);
    assert_eq!((found.excluded, of(&found, DIRECT).harmed), (0, 0.0));
    let paired = found.paired.iter().find(|p| p.policy == "ron-unlimited" && p.against == DIRECT).unwrap();
    assert!(paired.gain > 0.7 && paired.ci.low > 0.0);
    assert!((direct.worst / 100.0 - 1.0).abs() < 1e-3);
}

#[test]
fn throughput_is_better_the_more_it_is() {
    let protocol = Protocol { seeds: 2, ..Protocol::default() };
    for frames in [1, 30] {
        let found =
            evaluate(&hub(10, frames, Quantity::Throughput), &protocol, &baselines(), &|_| ()).unwrap();
        assert_eq!(found.one_frame, frames == 1);
        let (direct, best) = (of(&found, DIRECT), of(&found, CLAIRVOYANT));
        assert!(best.mean > direct.mean && (best.mean - 100.0).abs() < 1e-6);
        assert!(direct.worst < 11.0 && best.gap_closed == 1.0 && best.harmed == 0.0);
    }
}
