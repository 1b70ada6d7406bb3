//! `aire traces`.

use std::path::Path;
use std::process::ExitCode;

use aire_train::survey::{self, Column};
use serde_json::{Map, Value, json};

use crate::args::Traces;
use crate::failure::Failure;
use crate::output::say;

pub(crate) fn execute(asked: &Traces) -> Result<ExitCode, Failure> {
    match asked {
        Traces::Describe { dir, seed, json } => describe(dir, *seed, *json)?,
        Traces::Make { kind, out, seed, nodes, frames } => {
            let (nodes, frames) = (nodes.map(usize::from), frames.map(|frames| frames as usize));
            survey::write(out, kind, nodes, frames, *seed).map_err(Failure::because)?;
            say(&format!("a synthetic set in {}\n", out.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(dir: &Path, seed: u64, as_json: bool) -> Result<(), Failure> {
    let mut columns = survey::describe(dir).map_err(Failure::because)?;
    columns.extend(survey::synthetic(seed));
    if as_json {
        return say(&format!("{}\n", Value::from_iter(columns.iter().map(document))));
    }
    let (throughputs, round_trips): (Vec<_>, Vec<_>) =
        columns.into_iter().partition(|column| column.throughput);
    say(&format!("{}\n{}", table(&round_trips), table(&throughputs)))
}

fn document(column: &Column) -> Value {
    let rows = column.rows.iter().map(|(what, value)| ((*what).to_owned(), Value::from(*value)));
    json!({
        "set": column.name,
        "quantity": if column.throughput { "throughput" } else { "rtt" },
        "rows": Map::from_iter(rows),
    })
}

/// Sets beside each other; what has no value there is a dash. A `~` marks what is synthetic.
fn table(columns: &[Column]) -> String {
    let Some(first) = columns.first() else { return String::new() };
    let widest = first.rows.iter().map(|(what, _)| what.chars().count()).max().unwrap_or(0);
    let width = columns.iter().map(|column| column.name.chars().count()).max().unwrap_or(0).max(9);
    let mut text = " ".repeat(widest);
    columns.iter().for_each(|column| text.push_str(&format!("  {:>width$}", column.name)));
    text.push('\n');
    for (at, (what, _)) in first.rows.iter().enumerate() {
        text.push_str(&format!("{what:<widest$}"));
        let values = columns.iter().map(|column| column.rows.get(at).map_or(f64::NAN, |row| row.1));
        values.for_each(|value| text.push_str(&format!("  {:>width$}", figure(value))));
        text.push('\n');
    }
    text
}

fn figure(value: f64) -> String {
    match value {
        value if !value.is_finite() => "-".to_owned(),
        value if value.abs() >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        value => format!("{value:.3}"),
    }
}
