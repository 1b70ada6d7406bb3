use serde_json::{Map, Value, json};

use super::Finding;
use crate::data::Quantity;
use crate::evaluation::{Evaluation, Figures};
use crate::replay::Budget;
use crate::statistics::Interval;

/// One finding as a document; figures that do not exist are null.
pub fn json(finding: &Finding) -> Value {
    match finding {
        Finding::Nothing { trace, why } => {
            json!({ "trace": trace, "decisions": 0, "policies": [], "note": why })
        }
        Finding::Evaluated(found) => evaluated(found),
    }
}

fn evaluated(found: &Evaluation) -> Value {
    let policies: Vec<Value> = found.policies.iter().map(|figures| policy(found.quantity, figures)).collect();
    let paired = found.paired.iter().map(|paired| {
        json!({ "policy": paired.policy, "against": paired.against, "gain": paired.gain, "ci": interval(paired.ci) })
    });
    json!({
        "trace": found.trace,
        "decisions": found.decisions,
        "excluded": found.excluded,
        "quantity": if found.quantity == Quantity::Rtt { "rtt" } else { "throughput" },
        "nodes": found.size.0,
        "frames": found.size.1,
        "seeds": found.protocol.seeds,
        "probes": found.protocol.probes,
        "landmarks": found.protocol.landmarks,
        "one_frame": found.one_frame,
        "thinned": found.thinned,
        "policies": policies,
        "paired": paired.collect::<Vec<_>>(),
    })
}

fn policy(quantity: Quantity, figures: &Figures) -> Value {
    let mut row = Map::new();
    let mut put = |name: &str, value: Value| row.insert(name.to_owned(), value);
    put("policy", json!(figures.policy));
    if quantity == Quantity::Rtt {
        put("mean_ms", json!(figures.mean));
        put("p95_ms", json!(figures.bad));
        put("p99_ms", json!(figures.worst));
    } else {
        put("mean_mbps", json!(figures.mean));
        put("p5_mbps", json!(figures.bad));
        put("p1_mbps", json!(figures.worst));
    }
    put("gap_closed", json!(figures.gap_closed));
    put("gap_closed_ci", interval(figures.gap_closed_ci));
    put("harmed", json!(figures.harmed));
    put("harmed_decisions", json!(figures.harmed_decisions));
    put("unknown", json!(figures.unknown));
    put("switches_per_decision", json!(figures.switches_per_decision));
    put("paths_per_decision", json!(figures.paths_per_decision));
    put("probes_per_destination", json!(figures.probes_per_destination));
    put("probe_bytes_per_s", json!(figures.probe_bytes_per_s));
    put("published_bytes_per_s", json!(figures.published_bytes_per_s));
    put(
        "budget",
        json!(figures.budget.map(|budget| if budget == Budget::Kept { "kept" } else { "unlimited" })),
    );
    let splits = figures.splits.iter().map(|split| {
        json!({
            "split": split.split.name(),
            "decisions": split.decisions,
            "mean": split.mean,
            "gap_closed": split.gap_closed,
        })
    });
    put("splits", splits.collect());
    let folds =
        figures.folds.iter().map(|fold| json!({ "gap_closed": fold.gap_closed, "worst": fold.worst }));
    put("folds", folds.collect());
    Value::Object(row)
}

fn interval(interval: Interval) -> Value {
    json!([interval.low, interval.high])
}
