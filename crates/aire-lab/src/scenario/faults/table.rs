use std::fmt::{self, Write};

use serde::Serialize;

use super::fault::Fault;
use super::round::Round;

/// The worst stall that is aimed at wherever another path exists, milliseconds.
const WORST_MS: f64 = 1000.0;

/// What is let pass in a single round, milliseconds.
const EXCUSED_MS: f64 = 2000.0;

/// How far from the patience a reset may be, milliseconds.
const RESET_WITHIN_MS: f64 = 1000.0;

/// What came of all faults.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Table {
    /// In the order of the faults.
    pub rows: Vec<Row>,
}

/// What came of one fault.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The fault's name.
    pub fault: &'static str,
    /// What happens, for people.
    pub about: &'static str,
    /// Median of the stalls, milliseconds.
    pub median_ms: f64,
    /// The worst of them.
    pub worst_ms: f64,
    /// The median that is aimed at; `None` where no other path exists.
    pub aim_ms: Option<f64>,
    /// Median of the times until a better path was taken, seconds.
    pub taken_s: Option<f64>,
    /// Rounds in which an application was harmed.
    pub harmed: usize,
    /// Both aims are reached, and nobody was harmed.
    pub reached: bool,
    /// Nobody was harmed, the worst is what a busy machine excuses, and resets came when they should.
    pub held: bool,
    /// Every round.
    pub rounds: Vec<Round>,
}

impl Row {
    pub(super) fn of(fault: &Fault, rounds: Vec<Round>) -> Self {
        let figures = |value: fn(&Round) -> f64| rounds.iter().map(value).collect::<Vec<f64>>();
        let stalls = figures(|round| round.stall_ms);
        let taken: Vec<f64> = rounds.iter().filter_map(|round| round.taken_s).collect();
        let (median_ms, worst_ms) = (median(&stalls), stalls.iter().copied().fold(0.0, f64::max));
        let aim_ms = fault.kind.leaves_a_path().then(|| median(&figures(|round| round.aim_ms)));
        let harmed = rounds.iter().filter(|round| !round.is_unharmed(fault)).count();
        let in_time = |most: f64| match fault.kind.held_for() {
            Some(patience) => {
                let off = |stall: &f64| (stall - patience.as_secs_f64() * 1000.0).abs();
                stalls.iter().all(|stall| off(stall) <= RESET_WITHIN_MS)
            }
            None => worst_ms <= most,
        };
        let short = aim_ms.is_none_or(|aim| median_ms <= aim);
        let worst_aimed = if aim_ms.is_some() { WORST_MS } else { f64::INFINITY };
        Row {
            fault: fault.name,
            about: fault.about,
            median_ms,
            worst_ms,
            aim_ms,
            taken_s: (!taken.is_empty()).then(|| median(&taken)),
            harmed,
            reached: short && in_time(worst_aimed) && harmed == 0,
            held: in_time(EXCUSED_MS) && harmed == 0,
            rounds,
        }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// As a table in Markdown.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "| fault | stall, median | worst | aim of the median | applications harmed | rounds |\n",
        )?;
        f.write_str("|---|---|---|---|---|---|\n")?;
        for row in &self.rows {
            let mut about = row.about.to_owned();
            if let Some(taken) = row.taken_s {
                write!(about, " (taken after {taken:.1} s)")?;
            }
            let aim = row.aim_ms.map_or("no other path".to_owned(), |aim| format!("{aim:.0} ms"));
            let (median, worst) = (row.median_ms, row.worst_ms);
            let rounds = row.rounds.len();
            writeln!(f, "| {about} | {median:.0} ms | {worst:.0} ms | {aim} | {} | {rounds} |", row.harmed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(stall_ms: f64, harmed: u64) -> Round {
        Round { stall_ms, harmed, aim_ms: 500.0, ..Round::default() }
    }

    #[test]
    fn a_row_has_the_median_the_worst_and_whether_that_is_enough() {
        let fault = Fault::named("cut").unwrap();
        let row = Row::of(&fault, vec![round(80.0, 0), round(900.0, 0), round(90.0, 0)]);
        assert_eq!((row.median_ms, row.worst_ms, row.reached), (90.0, 900.0, true));
        assert!(!Row::of(&fault, vec![round(1001.0, 0)]).reached);
        assert!(!Row::of(&fault, vec![round(501.0, 0)]).reached);
        assert!(!Row::of(&fault, vec![round(10.0, 1)]).reached);
        let table = Table { rows: vec![row] };
        assert!(
            table.to_string().contains("| silent cut of the active path | 90 ms | 900 ms | 500 ms | 0 | 3 |")
        );
    }

    #[test]
    fn streams_are_to_be_held_for_the_patience_and_no_longer() {
        let fault = Fault::named("long-outage").unwrap();
        let row = |stall_ms: f64| Row::of(&fault, vec![Round { resets: 1, ..round(stall_ms, 0) }]);
        for (stall_ms, right) in [(12_100.0, true), (10.0, false), (10_900.0, false), (13_100.0, false)] {
            assert_eq!((row(stall_ms).held, row(stall_ms).reached), (right, right), "{stall_ms}");
        }
        let never = Row::of(&fault, vec![round(12_100.0, 0)]);
        assert!(!never.held && !never.reached);
    }

    #[test]
    fn a_reset_is_harm_unless_it_is_promised() {
        let reset = Round { resets: 1, ..round(10.0, 0) };
        assert!(!reset.is_unharmed(&Fault::named("outage").unwrap()));
        assert!(reset.is_unharmed(&Fault::named("long-outage").unwrap()));
    }
}
