use aire_brain::model::NAMES;

use super::*;

fn column(name: &str) -> usize {
    NAMES.iter().position(|known| *known == name).unwrap()
}

/// Twenty nodes, where everything over node 3 is short and nothing ever moves.
fn steady(frames: usize) -> Frames {
    let other = |from: usize, to: usize| 50.0 + 20.0 * ((from * 7 + to * 13) % 10) as f32;
    let leg = |from: usize, to: usize| if from == 3 || to == 3 { 20.0 } else { other(from, to) };
    let rows = (0..20).flat_map(|from| (0..20).map(move |to| leg(from, to))).collect::<Vec<f32>>();
    let matrix = Matrix::from_rows(20, rows).unwrap();
    Frames {
        name: "steady".into(),
        quantity: Quantity::Rtt,
        nodes: (0..20).map(|node| node.to_string()).collect(),
        step_s: 10.0,
        symmetric: false,
        score_gap: 2,
        frames: vec![matrix; frames],
    }
}

fn plan() -> Plan {
    Plan { questions: 4000, synthetic: 0, ..Plan::default() }
}

#[test]
fn rows_have_the_gain_of_the_scored_frame_and_come_from_their_own_part() {
    let data = Dataset::gather(&[steady(60)], None, &plan(), |_| {});
    let share = &data.shares[0];
    assert_eq!((share.frames, share.rows), ([60, 24, 17], [data.training.len(), data.validation.len()]));
    assert!(data.training.len() > 1000 && data.validation.len() > 100 && !data.cases.is_empty());
    for rows in [&data.training, &data.validation] {
        for i in 0..rows.len() {
            // nothing moves, so what the averages promise is what comes
            let row = rows.row(i);
            assert!((row.promise - row.gain).abs() < 1e-4, "{row:?}");
        }
    }
}

#[test]
fn what_lies_beyond_the_part_that_may_be_seen_changes_nothing() {
    let plain = steady(60);
    let mut other = plain.clone();
    for frame in &mut other.frames[24..] {
        *frame = Matrix::missing(20);
    }
    let rows = |frames| {
        let data = Dataset::gather(&[frames], None, &plan(), |_| {});
        (data.training, data.validation)
    };
    assert!(rows(plain) == rows(other));
}

#[test]
fn the_same_seed_gives_the_same_rows() {
    let plan = Plan { synthetic: 1, nodes: 10, ..plan() };
    let gather = |seed| Dataset::gather(&[], None, &Plan { seed, ..plan.clone() }, |_| {});
    let (first, again) = (gather(1), gather(1));
    assert!(first.training == again.training && first.validation == again.validation);
    assert!(first.training != gather(2).training);
    let known =
        (0..first.training.len()).filter(|&i| first.training.features(i)[column("prior_known")] > 0.0);
    assert!(known.count() > 100, "published legs reach the features");
}

#[test]
fn sets_without_round_trips_or_too_short_are_named() {
    let throughput = Frames { quantity: Quantity::Throughput, ..steady(60) };
    let data = Dataset::gather(&[throughput, steady(3)], None, &plan(), |_| {});
    assert_eq!(data.left_out.len(), 2);
    assert!(data.training.is_empty() && data.shares.is_empty());
}
