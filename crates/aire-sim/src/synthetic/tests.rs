use super::structure::{Sight, Structure};
use super::{Recording, Shape, record, throughput};

fn structure(recording: &Recording) -> Structure {
    let sight = Sight {
        nodes: recording.nodes.len(),
        step_s: recording.step_s,
        score_gap: recording.score_gap,
        frames: &recording.frames,
    };
    Structure::of(sight).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_record_and_another_one_another() {
    let shape = Shape::seattle().with_nodes(12).with_frames(20);
    let bits = |seed| {
        let recording = record(&shape, seed);
        recording.frames.concat().iter().map(|value| value.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(bits(1), bits(1));
    assert_ne!(bits(1), bits(2));
}

/// The bands hold what the measured sets of that kind have (docs/traces.md), and a margin for the seed.
fn within(of: &str, rows: &[(&'static str, f64)], bands: &[(&str, f64, f64)]) {
    for (what, low, high) in bands {
        let (_, value) = rows.iter().find(|(name, _)| name == what).unwrap();
        assert!((*low..=*high).contains(value), "{of}, {what}: {value} is not from {low} to {high}");
    }
}

#[test]
fn universities_violate_triangles_in_space_and_hardly_move_in_time() {
    let rows = structure(&record(&Shape::planetlab().with_nodes(220), 1)).rows();
    let bands = [
        ("median of pairs, ms", 100.0, 180.0),
        ("triangle violations, share of triples", 0.03, 0.1),
        ("pairs with a relay shorter by 10 %, share", 0.25, 0.5),
        ("gap closed by the best fixed relay", 0.8, 0.98),
        ("gap closed by the last sample", 0.6, 0.9),
        ("energy of the rest in 1 singular value, share", 0.4, 0.7),
        ("variance of log in time, share", 0.003, 0.03),
    ];
    within("planetlab", &rows, &bands);
}

#[test]
fn home_lines_have_heavy_tails_on_which_the_last_sample_loses() {
    let rows = structure(&record(&Shape::seattle().with_frames(200), 1)).rows();
    let bands = [
        ("missing, share", 0.001, 0.02),
        ("triangle violations, share of triples", 0.06, 0.16),
        ("variance of log in time, share", 0.35, 0.65),
        ("values equal to the one before, share", 0.75, 0.9),
        ("autocorrelation of log, at the score gap", -0.1, 0.15),
        ("gap closed by the last sample", -0.6, 0.05),
        ("values above 1 s, share", 0.01, 0.08),
    ];
    within("seattle", &rows, &bands);
}

#[test]
fn levels_shift_and_nodes_go_out_over_weeks() {
    let recording = record(&Shape::atlas().with_frames(5000), 1);
    let rows = structure(&recording).rows();
    within("atlas", &rows, &[("level shifts a pair and day", 0.1, 0.6), ("missing, share", 0.002, 0.05)]);
    assert!(recording.shifts > 0 && recording.loss.iter().flatten().any(|loss| *loss > 0.0));
}

#[test]
fn a_symmetric_record_is_its_own_mirror() {
    let recording = record(&Shape::planetlab().with_nodes(20).with_frames(2), 3);
    let frame = &recording.frames[1];
    assert!((0..400).all(|at| frame[at] == frame[(at % 20) * 20 + at / 20]));
}

#[test]
fn clouds_cap_by_provider_and_relays_help_most_pairs() {
    let grid = throughput(60, 1);
    let n = grid.nodes.len();
    let share = |least: f32| {
        let gains = |at: &usize| {
            let (from, to) = (at / n, at % n);
            let via = (0..n).filter(|relay| *relay != from && *relay != to);
            let best = via.map(|k| grid.mbps[from * n + k].min(grid.mbps[k * n + to])).fold(0.0, f32::max);
            from != to && best > least * grid.mbps[*at]
        };
        (0..n * n).filter(gains).count() as f64 / (n * (n - 1)) as f64
    };
    assert!((0.6..0.9).contains(&share(1.1)), "{}", share(1.1));
    assert!((0.05..0.25).contains(&share(2.0)), "{}", share(2.0));
}
