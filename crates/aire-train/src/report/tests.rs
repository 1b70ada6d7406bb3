use super::*;
use crate::data::{Frames, Matrix, Quantity};
use crate::evaluation::evaluate;
use crate::policies::baselines;
use crate::replay::{Protocol, Unfit};
use aire_types::Random;

fn found(quantity: Quantity) -> Finding {
    let mut random = Random::new(1);
    let frames = (0..12).map(|_| {
        let values = (0..64).map(|_| 1.0 + random.below(100) as f32).collect();
        Matrix::from_rows(8, values).unwrap()
    });
    let frames = Frames {
        name: "<drawn>".into(),
        quantity,
        nodes: (0..8).map(|node| node.to_string()).collect(),
        step_s: 1.0,
        symmetric: false,
        score_gap: 1,
        frames: frames.collect(),
    };
    let protocol = Protocol { seeds: 2, ..Protocol::default() };
    Finding::Evaluated(evaluate(&frames, &protocol, &baselines(), &|_| ()).unwrap())
}

#[test]
fn the_document_has_the_promised_fields() {
    let document = json(&found(Quantity::Rtt));
    assert!(document["trace"] == "<drawn>" && document["decisions"].as_u64().unwrap() > 0);
    let policies = document["policies"].as_array().unwrap();
    let names: Vec<&str> = policies.iter().map(|policy| policy["policy"].as_str().unwrap()).collect();
    for name in ["direct", "ron", "random-4", "race-3", "rule", "clairvoyant", "best-fixed", "ron-unlimited"]
    {
        assert!(names.contains(&name), "{name} of {names:?}");
    }
    let numbers = ["mean_ms", "p95_ms", "p99_ms", "gap_closed", "harmed", "switches_per_decision"];
    for policy in policies {
        let more = ["probes_per_destination", "probe_bytes_per_s", "unknown"];
        for field in numbers.iter().chain(&more) {
            assert!(policy[field].is_number(), "{field} of {policy}");
        }
        assert_eq!(policy["gap_closed_ci"].as_array().unwrap().len(), 2);
    }
    let document = json(&found(Quantity::Throughput));
    assert!(document["policies"][0]["mean_mbps"].is_number() && document["policies"][0]["mean_ms"].is_null());
}

#[test]
fn page_and_table_name_every_policy_and_escape_names() {
    let finding = found(Quantity::Rtt);
    let (page, text) = (page(std::slice::from_ref(&finding)), text(&finding));
    for name in ["matrix-factorisation", "thompson", "clairvoyant"] {
        assert!(page.contains(name) && text.contains(name));
    }
    assert!(page.contains("&lt;drawn&gt;") && !page.contains("<drawn>") && page.contains("<svg"));
    assert!(!page.contains("http"), "the page needs nothing from elsewhere");
}

#[test]
fn a_set_of_single_links_says_that_there_is_nothing_to_choose() {
    let dir = tempfile::tempdir().unwrap();
    let described = "kind='capacity'\nfiles='*'\nquantity='capacity'\nunit='Mbit/s'";
    std::fs::write(dir.path().join("trace.toml"), described).unwrap();
    let finding = Finding::of_single_links(&Source::open(dir.path()).unwrap());
    assert!(text(&finding).contains("no path to choose"));
    assert!(json(&finding)["policies"].as_array().unwrap().is_empty());
}

#[test]
fn what_could_not_be_scored_is_said() {
    let Finding::Evaluated(mut evaluated) = found(Quantity::Rtt) else { panic!("it was evaluated") };
    evaluated.decisions = 0;
    let finding = Finding::of_pairs("empty", Ok(evaluated.clone()));
    assert!(text(&finding).contains("missing") && json(&finding)["policies"].as_array().unwrap().is_empty());
    evaluated.decisions = 1;
    evaluated.policies[1].probe_bytes_per_s = None;
    let finding = Finding::of_pairs("one", Ok(evaluated));
    assert!(json(&finding)["policies"][1]["probe_bytes_per_s"].is_null());
    assert!(text(&finding).lines().any(|line| line.starts_with("ron ") && line.ends_with(" -")));
    let finding = Finding::of_pairs("small", Err(Unfit::Small(3)));
    assert!(text(&finding).contains("3 nodes"));
}
