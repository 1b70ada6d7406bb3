use std::fmt::Write;

use super::Finding;
use super::plot::{Bar, bars, escape};
use super::text::{head, notes, paired, percent, row, splits};
use crate::evaluation::{Evaluation, Figures};
use crate::replay::Budget;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#1c2430}\
table{border-collapse:collapse;margin:1em 0;font-variant-numeric:tabular-nums;font-size:13px}\
td,th{padding:3px 9px;text-align:right;border-bottom:1px solid #dde3ea}td:first-child,th:first-child{text-align:left}\
svg{display:block;margin:1.5em 0;font:12px system-ui,sans-serif}svg .title{font-size:14px;font-weight:600}\
svg .name{text-anchor:end}.bar{fill:#2b6cb0}.muted{fill:#a9bacb}.axis{stroke:#8a97a6}.whisker{stroke:#1c2430;stroke-width:1.5}\
h2{margin-top:2.5em}.note{color:#566272;margin:.2em 0}";

/// All findings as one page that needs nothing else.
pub fn page(findings: &[Finding]) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>aire eval</title><style>{STYLE}</style>\
         <h1>What path policies are worth</h1>"
    );
    for finding in findings {
        match finding {
            Finding::Nothing { trace, why } => {
                let _ = write!(page, "<h2>{}</h2><p class=\"note\">{}</p>", escape(trace), escape(why));
            }
            Finding::Evaluated(found) => section(&mut page, found),
        }
    }
    page.push_str("</html>\n");
    page
}

fn section(page: &mut String, found: &Evaluation) {
    let _ = write!(page, "<h2>{}</h2>", escape(&found.trace));
    for note in notes(found) {
        let _ = write!(page, "<p class=\"note\">{}</p>", escape(&note));
    }
    page.push_str(&gaps(found));
    page.push_str(&tails(found));
    page.push_str(&harms(found));
    table(page, &head(found).map(str::to_owned), found.policies.iter().map(|figures| row(figures).to_vec()));
    let (names, rows) = splits(found);
    table(page, &names, rows.into_iter());
    let head = ["policy", "against", "better by", "95 % interval"].map(str::to_owned);
    table(page, &head, paired(found).into_iter().map(|row| row.to_vec()));
}

fn gaps(found: &Evaluation) -> String {
    let bar = |figures: &Figures| Bar {
        name: figures.policy.clone(),
        value: figures.gap_closed,
        whiskers: Some((figures.gap_closed_ci.low, figures.gap_closed_ci.high)),
        label: percent(figures.gap_closed),
        muted: figures.budget != Some(Budget::Kept),
    };
    let all: Vec<Bar> = found.policies.iter().map(bar).collect();
    bars("Share of the gap between direct and clairvoyant that is closed, 95 % intervals", &all, -0.5, 1.0)
}

fn tails(found: &Evaluation) -> String {
    let bar = |figures: &Figures| Bar {
        name: figures.policy.clone(),
        value: figures.worst,
        whiskers: None,
        label: format!("{:.0} {}", figures.worst, found.quantity.unit()),
        muted: figures.budget != Some(Budget::Kept),
    };
    let all: Vec<Bar> = found.policies.iter().map(bar).collect();
    let high = all.iter().map(|bar| bar.value).filter(|value| value.is_finite()).fold(0.0, f64::max);
    bars("What one decision in a hundred is worse than", &all, 0.0, high)
}

fn harms(found: &Evaluation) -> String {
    let bar = |figures: &Figures| Bar {
        name: figures.policy.clone(),
        value: figures.harmed,
        whiskers: None,
        label: percent(figures.harmed),
        muted: figures.budget != Some(Budget::Kept),
    };
    let all: Vec<Bar> = found.policies.iter().map(bar).collect();
    let high = all.iter().map(|bar| bar.value).filter(|value| value.is_finite()).fold(0.05, f64::max);
    bars("Pairs that are more than 10 % worse than direct", &all, 0.0, high)
}

fn table(page: &mut String, head: &[String], rows: impl Iterator<Item = Vec<String>>) {
    page.push_str("<table><tr>");
    for cell in head {
        let _ = write!(page, "<th>{}</th>", escape(cell));
    }
    for row in rows {
        page.push_str("</tr><tr>");
        for cell in row {
            let _ = write!(page, "<td>{}</td>", escape(&cell));
        }
    }
    page.push_str("</tr></table>");
}
