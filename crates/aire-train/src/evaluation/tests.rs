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
    assert!((free.probe_bytes_per_s.unwrap() - 9.0 * 220.0 / 10.0).abs() < 1e-6);
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
        let timeless = |figures: &Figures| figures.probe_bytes_per_s.is_none();
        assert_eq!(found.policies.iter().all(timeless), frames == 1, "one frame takes no time");
        let (direct, best) = (of(&found, DIRECT), of(&found, CLAIRVOYANT));
        assert!(best.mean > direct.mean && (best.mean - 100.0).abs() < 1e-6);
        assert!(direct.worst < 11.0 && best.gap_closed == 1.0 && best.harmed == 0.0);
    }
}

/// Always goes over node 1, and measures nothing.
struct Stubborn;

impl crate::replay::Policy for Stubborn {
    fn name(&self) -> &str {
        "stubborn"
    }

    fn agent<'a>(&'a self, _seat: &crate::replay::Seat) -> Box<dyn crate::replay::Agent + 'a> {
        Box::new(Stubborn)
    }
}

impl crate::replay::Agent for Stubborn {
    fn probe(&mut self, _view: &crate::replay::View<'_>, _outbox: &mut crate::replay::Outbox) {}

    fn observe(&mut self, _view: &crate::replay::View<'_>, _measured: &[crate::replay::Measurement]) {}

    fn decide(&mut self, _view: &crate::replay::View<'_>, choices: &mut [crate::replay::Choice]) {
        choices.fill(crate::replay::Choice::Path(crate::replay::Via::Relay(1)));
    }
}

#[test]
fn a_policy_that_takes_unknown_paths_changes_nobody_elses_figures() {
    let mut frames = hub(10, 30, Quantity::Rtt);
    for frame in &mut frames.frames {
        frame.set(1, 3, f32::NAN);
        frame.set(2, 1, f32::NAN);
    }
    let protocol = Protocol { seeds: 1, ..Protocol::default() };
    let alone = evaluate(&frames, &protocol, &baselines(), &|_| ()).unwrap();
    let mut entries = baselines();
    entries.push(Entry::kept(|| Box::new(Stubborn)));
    let beside = evaluate(&frames, &protocol, &entries, &|_| ()).unwrap();
    assert!(alone.excluded > 0 && beside.decisions == alone.decisions);
    let figures = |figures: &Figures| (figures.mean, figures.gap_closed, figures.harmed, figures.unknown);
    for before in &alone.policies {
        assert_eq!(figures(before), figures(of(&beside, &before.policy)), "{}", before.policy);
    }
    // over node 1: to and from itself, from node 2 and to node 3; ways 1 -> 3 and 2 -> 1 are not scored at all
    let (unknown, scored) = (of(&beside, "stubborn").unknown, 88.0);
    assert!((unknown - 31.0 / scored).abs() < 1e-9 && of(&beside, DIRECT).unknown == 0.0, "{unknown}");
}

#[test]
fn throughput_is_harmed_below_nine_tenths_of_direct() {
    let mut frames = hub(10, 30, Quantity::Throughput);
    for frame in &mut frames.frames {
        for (from, to) in (0..10).flat_map(|from| (0..10).map(move |to| (from, to))).filter(|(a, b)| a != b) {
            frame.set(from, to, if from == 1 || to == 1 { 90.5 } else { 100.0 });
        }
    }
    let protocol = Protocol { seeds: 1, ..Protocol::default() };
    let entries = [Entry::kept(|| Box::new(Stubborn))];
    let found = evaluate(&frames, &protocol, &entries, &|_| ()).unwrap();
    assert_eq!((of(&found, "stubborn").harmed, of(&found, "stubborn").harmed_decisions), (0.0, 0.0));
}
