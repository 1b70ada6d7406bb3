//! `aire eval`, as somebody with recordings of their own uses it.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use aire_types::Random;
use serde_json::json;

use crate::stage::{aire, done, stderr, stdout, text};

const NODES: usize = 12;
const STEP_S: f64 = 15.7;

/// Sixteen frames of round trips between twelve nodes, of which one is a good relay for all.
fn record(dir: &Path) {
    let mut random = Random::new(3);
    let mut rows = String::from("time,from,to,ms\n");
    for frame in 0..16 {
        let time = 1_643_400_000.0 + STEP_S * f64::from(frame);
        for (from, to) in (0..NODES * NODES).map(|at| (at / NODES, at % NODES)).filter(|(a, b)| a != b) {
            let near = from == 0 || to == 0;
            let ms = if near { 30.0 } else { 120.0 + 80.0 * ((from * to) % 3) as f64 }
                * (1.0 + 0.02 * random.unit());
            writeln!(rows, "{time:.1},n{from},n{to},{ms:.3}").unwrap();
        }
    }
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("rows.csv"), rows).unwrap();
    let description = "kind = 'pairs'\nfile = 'rows.csv'\nseparator = ','\ntime = 'time'\nfrom = ['from']\nto = ['to']\n\
                       quantity = 'rtt'\nvalue = 'ms'\nunit = 'ms'\nsource = 'a test'\n";
    fs::write(dir.join("trace.toml"), format!("{description}step_s = {STEP_S}\n")).unwrap();
}

#[test]
fn recorded_networks_are_evaluated_and_a_bad_one_does_not_cost_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let (sound, bad) = (folder.path().join("sound"), folder.path().join("bad"));
    record(&sound);
    let page = folder.path().join("report.html");
    let one = ["eval", "--traces", text(&sound), "--seeds", "2", "--html", text(&page), "--json"];
    let document: serde_json::Value = serde_json::from_str(&done(&one)).unwrap();
    assert_eq!(document["trace"], "sound");
    assert!(document["decisions"].as_u64().unwrap() > 500, "{document}");
    let row = |name: &str| {
        let rows = document["policies"].as_array().unwrap();
        rows.iter().find(|row| row["policy"] == name).unwrap_or_else(|| panic!("no row of {name}")).clone()
    };
    for name in
        ["direct", "ron", "random-4", "race-3", "hubs", "top-k", "matrix-factorisation", "ucb", "thompson"]
    {
        assert!(row(name)["mean_ms"].as_f64().unwrap() > 30.0, "{name}");
    }
    let model = row("model");
    for field in
        ["p95_ms", "p99_ms", "harmed", "switches_per_decision", "probes_per_destination", "probe_bytes_per_s"]
    {
        assert!(model[field].is_number(), "{field}: {model}");
    }
    let gap = |row: &serde_json::Value| row["gap_closed"].as_f64().unwrap();
    let ends: Vec<f64> =
        model["gap_closed_ci"].as_array().unwrap().iter().map(|end| end.as_f64().unwrap()).collect();
    assert!(ends[0] <= gap(&model) && gap(&model) <= ends[1], "{model}");
    assert!(gap(&model) > 0.8 && gap(&model) > gap(&row("rule")), "the one good relay is found: {model}");
    assert_eq!((gap(&row("direct")), gap(&row("clairvoyant"))), (0.0, 1.0));
    assert!(fs::read_to_string(&page).unwrap().contains("<svg"));

    record(&bad);
    let rows = fs::read_to_string(bad.join("rows.csv")).unwrap();
    fs::write(bad.join("rows.csv"), format!("{rows}1643400000.0,n1,n2,fast\n")).unwrap();
    let undescribed = folder.path().join("undescribed");
    fs::create_dir(&undescribed).unwrap();
    fs::write(undescribed.join("trace.toml"), "kind = 'pears'").unwrap();
    let output = aire(&["eval", "--traces", text(folder.path()), "--seeds", "1", "--json"]);
    let (told, said) = (stderr(&output), stdout(&output));
    assert!(output.status.code() == Some(1), "{told}");
    assert!(told.contains("rows.csv") && told.contains("pears"), "{told}");
    let documents: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(documents[1]["trace"] == "sound" && documents[1]["decisions"].as_u64().unwrap() > 200, "{said}");
    for (at, name) in [(0, "bad"), (2, "undescribed")] {
        assert_eq!((&documents[at]["trace"], &documents[at]["policies"]), (&name.into(), &json!([])));
    }
}
