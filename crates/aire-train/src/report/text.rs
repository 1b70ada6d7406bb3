use std::fmt::Write;

use super::Finding;
use crate::data::Quantity;
use crate::evaluation::{Evaluation, Figures};

/// One finding as a table.
pub fn text(finding: &Finding) -> String {
    match finding {
        Finding::Nothing { trace, why } => format!("{trace}: {why}\n"),
        Finding::Evaluated(found) => table(found),
    }
}

/// What stands above the table: how the figures came about.
pub(super) fn notes(found: &Evaluation) -> Vec<String> {
    let (nodes, frames) = found.size;
    let mut notes = vec![format!(
        "{}: {nodes} nodes, {frames} frames, {} decisions in {} folds, each with {:.0} % of the nodes new; {} probes per \
         destination and round, newcomers begin with {}",
        found.trace,
        found.decisions,
        found.protocol.seeds,
        found.protocol.newcomers * 100.0,
        found.protocol.probes,
        found.protocol.landmarks,
    )];
    if found.one_frame {
        notes.push(
            "one frame: the known nodes are history, all rounds are on the same frame, nothing is published, and only ways \
             from and to nodes that history does not know are scored, once"
                .to_owned(),
        );
    }
    notes.extend(found.thinned.clone());
    if found.excluded > 0 {
        let share = 100.0 * found.excluded as f64 / (found.excluded + found.decisions) as f64;
        notes.push(format!(
            "{share:.1} % of the decisions are left out for all policies: direct is unknown in the scored frame"
        ));
    }
    if found.quantity == Quantity::Throughput {
        notes.push("a path over a relay is taken to carry the least of its legs; probes are counted as 220 bytes, a \
                    transfer that measures throughput costs more".to_owned());
    }
    notes
}

/// The columns of the main table.
pub(super) fn head(found: &Evaluation) -> [&'static str; 11] {
    let [mean, bad, worst] = match found.quantity {
        Quantity::Rtt => ["mean ms", "p95 ms", "p99 ms"],
        Quantity::Throughput => ["mean Mbit/s", "p5", "p1"],
    };
    [
        "policy",
        mean,
        bad,
        worst,
        "gap closed",
        "95 % interval",
        "harmed",
        "unknown",
        "switches",
        "probes",
        "bytes/s",
    ]
}

/// One row of the main table.
pub(super) fn row(figures: &Figures) -> [String; 11] {
    [
        figures.policy.clone(),
        format!("{:.1}", figures.mean),
        format!("{:.1}", figures.bad),
        format!("{:.1}", figures.worst),
        percent(figures.gap_closed),
        format!("{} … {}", percent(figures.gap_closed_ci.low), percent(figures.gap_closed_ci.high)),
        percent(figures.harmed),
        percent(figures.unknown),
        format!("{:.3}", figures.switches_per_decision),
        format!("{:.2}", figures.probes_per_destination),
        figures.probe_bytes_per_s.map_or_else(|| "-".to_owned(), |bytes| format!("{bytes:.1}")),
    ]
}

pub(super) fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1} %", share * 100.0) } else { "-".to_owned() }
}

/// Names of the splits and each policy's share of the gap in them.
pub(super) fn splits(found: &Evaluation) -> (Vec<String>, Vec<Vec<String>>) {
    let of = found.policies.first().map_or(&[][..], |direct| &direct.splits);
    let names = of.iter().map(|split| format!("{} ({})", split.split.name(), split.decisions));
    let row = |figures: &Figures| {
        let shares = figures.splits.iter().map(|split| percent(split.gap_closed));
        std::iter::once(figures.policy.clone()).chain(shares).collect()
    };
    (
        std::iter::once("gap closed".to_owned()).chain(names).collect(),
        found.policies.iter().map(row).collect(),
    )
}

/// Paired differences as rows.
pub(super) fn paired(found: &Evaluation) -> Vec<[String; 4]> {
    let row = |paired: &crate::evaluation::Paired| {
        let ci = format!("{} … {}", percent(paired.ci.low), percent(paired.ci.high));
        [paired.policy.clone(), paired.against.clone(), percent(paired.gain), ci]
    };
    found.paired.iter().map(row).collect()
}

fn table(found: &Evaluation) -> String {
    let mut text = String::new();
    for note in notes(found) {
        let _ = writeln!(text, "{note}");
    }
    let rows = found.policies.iter().map(|figures| row(figures).to_vec()).collect();
    aligned(&mut text, &head(found).map(str::to_owned), rows);
    let (names, rows) = splits(found);
    aligned(&mut text, &names, rows);
    let shown = |row: &[String; 4]| !row[0].ends_with("-unlimited");
    let rows: Vec<Vec<String>> =
        paired(found).iter().filter(|row| shown(row)).map(|row| row.to_vec()).collect();
    aligned(&mut text, &["policy", "against", "better by", "95 % interval"].map(str::to_owned), rows);
    text
}

/// Columns as wide as their widest cell, the first to the left and figures to the right.
fn aligned(text: &mut String, head: &[String], rows: Vec<Vec<String>>) {
    let all: Vec<&[String]> = std::iter::once(head).chain(rows.iter().map(Vec::as_slice)).collect();
    let width = |column: usize| {
        all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    text.push('\n');
    for row in all {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ =
                if column == 0 { write!(line, "{cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}
