use std::f64::consts::TAU;

use super::Sight;
use super::pairs::{quantile, sample};

/// So many pairs are looked at.
const PAIRS: usize = 3000;
/// So many rows are looked at.
const ROWS: usize = 40;
const DAY_S: f64 = 86_400.0;
/// A level is the median of so much time; a shift parts two levels.
const LEVEL_S: f64 = 4.0 * 3600.0;

/// How the round trips of pairs move in time.
#[derive(Clone, Debug, PartialEq)]
pub struct Dynamics {
    /// Share of the variance of the logarithm that is within pairs.
    pub in_time: f64,
    /// Share of the values that equal the one before: measured anew less often than once a frame.
    pub repeated: f64,
    /// Autocorrelation of the logarithm within pairs, one frame later.
    pub next: f64,
    /// The same at the score gap.
    pub at_gap: f64,
    /// Share of the variance within pairs that all values of a row have in common at a moment.
    pub row_together: f64,
    /// Share of the values above three times their pair's median.
    pub spikes: f64,
    /// Share above 1 s.
    pub over_1s: f64,
    /// Share of the variance within pairs that a daily swing explains; NaN below two days or four frames a day.
    pub daily: f64,
    /// Lasting changes of level a pair and day; NaN as above.
    pub shifts_a_day: f64,
}

impl Dynamics {
    pub(super) fn of(sight: Sight<'_>, medians: &[f32]) -> Self {
        let days = sight.frames.len() as f64 * sight.step_s / DAY_S;
        let daily = days >= 2.0 && sight.step_s * 4.0 <= DAY_S;
        let mut sums = Sums { together: together(sight), ..Sums::default() };
        for (from, to) in sample(sight.nodes, PAIRS) {
            let at = from * sight.nodes + to;
            let median = f64::from(medians[at]);
            if !median.is_finite() || median <= 0.0 {
                continue;
            }
            let values: Vec<f64> = sight.frames.iter().map(|frame| f64::from(frame[at])).collect();
            sums.add_values(&values, median);
            sums.add_logs(&values, sight.score_gap);
            if daily {
                sums.add_days(&values, sight.step_s);
            }
        }
        sums.dynamics(daily)
    }

    pub(super) fn rows(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("variance of log in time, share", self.in_time),
            ("values equal to the one before, share", self.repeated),
            ("autocorrelation of log, next frame", self.next),
            ("autocorrelation of log, at the score gap", self.at_gap),
            ("variance in time that a row has in common, share", self.row_together),
            ("spikes above 3 × median, share", self.spikes),
            ("values above 1 s, share", self.over_1s),
            ("daily swing, share of the variance in time", self.daily),
            ("level shifts a pair and day", self.shifts_a_day),
        ]
    }
}

#[derive(Default)]
struct Sums {
    values: f64,
    spikes: f64,
    over_1s: f64,
    successors: f64,
    repeated: f64,
    /// Sum, sum of squares and count of all logarithms.
    logs: (f64, f64, f64),
    within: f64,
    next: (f64, f64),
    at_gap: (f64, f64),
    together: f64,
    harmonic: f64,
    swung: f64,
    shifts: f64,
    days: f64,
}

impl Sums {
    fn add_values(&mut self, values: &[f64], median: f64) {
        for value in values.iter().filter(|value| value.is_finite()) {
            self.values += 1.0;
            self.spikes += f64::from(*value > 3.0 * median);
            self.over_1s += f64::from(*value > 1000.0);
        }
        for two in values.windows(2).filter(|two| two[0].is_finite() && two[1].is_finite()) {
            self.successors += 1.0;
            self.repeated += f64::from(two[0] == two[1]);
        }
    }

    fn add_logs(&mut self, values: &[f64], gap: usize) {
        let logs: Vec<f64> = values.iter().map(|value| value.max(0.01).ln()).collect();
        let known = logs.iter().zip(values).filter(|(_, value)| value.is_finite()).map(|(log, _)| *log);
        let (sum, count) = known.clone().fold((0.0, 0.0), |(sum, count), log| (sum + log, count + 1.0));
        let mean = sum / count;
        let centred: Vec<f64> = logs
            .iter()
            .zip(values)
            .map(|(log, value)| if value.is_finite() { log - mean } else { f64::NAN })
            .collect();
        self.logs.0 += sum;
        self.logs.1 += known.map(|log| log * log).sum::<f64>();
        self.logs.2 += count;
        self.within += centred.iter().filter(|c| c.is_finite()).map(|c| c * c).sum::<f64>();
        correlate(&centred, 1, &mut self.next);
        correlate(&centred, gap, &mut self.at_gap);
    }

    fn add_days(&mut self, values: &[f64], step_s: f64) {
        let known: Vec<(f64, f64)> = values
            .iter()
            .enumerate()
            .filter(|(_, value)| value.is_finite())
            .map(|(at, value)| (TAU * at as f64 * step_s / DAY_S, value.max(0.01).ln()))
            .collect();
        let count = known.len() as f64;
        let mean = known.iter().map(|(_, log)| log).sum::<f64>() / count;
        let along = |wave: fn(f64) -> f64| {
            known.iter().map(|(angle, log)| (log - mean) * wave(*angle)).sum::<f64>() * 2.0 / count
        };
        let (a, b) = (along(f64::cos), along(f64::sin));
        self.harmonic += (a * a + b * b) / 2.0 * count;
        self.swung += known.iter().map(|(_, log)| (log - mean).powi(2)).sum::<f64>();
        self.shifts += shifts(values, step_s) as f64;
        self.days += values.len() as f64 * step_s / DAY_S;
    }

    fn dynamics(self, daily: bool) -> Dynamics {
        let (sum, squares, count) = self.logs;
        let total = squares - sum * sum / count;
        let or_nan = |value: f64| if daily { value } else { f64::NAN };
        Dynamics {
            in_time: self.within / total,
            repeated: self.repeated / self.successors,
            next: self.next.0 / self.next.1,
            at_gap: self.at_gap.0 / self.at_gap.1,
            row_together: self.together,
            spikes: self.spikes / self.values,
            over_1s: self.over_1s / self.values,
            daily: or_nan(self.harmonic / self.swung),
            shifts_a_day: or_nan(self.shifts / self.days),
        }
    }
}

/// For the common part: the mean over a row at a moment varies by it, and by the n-th part of the rest.
fn together(sight: Sight<'_>) -> f64 {
    let stride = sight.nodes.div_ceil(ROWS).max(1);
    let (mut of_means, mut of_cells) = (0.0, 0.0);
    for row in (0..sight.nodes).step_by(stride) {
        let logs = centred_row(sight, row);
        for frame in &logs {
            let known: Vec<f64> = frame.iter().copied().filter(|value| value.is_finite()).collect();
            if known.len() < 2 {
                continue;
            }
            let count = known.len() as f64;
            let mean = known.iter().sum::<f64>() / count;
            let cells = known.iter().map(|value| value * value).sum::<f64>() / count;
            of_cells += cells;
            of_means += (mean * mean - cells / count) * count / (count - 1.0);
        }
    }
    of_means / of_cells
}

/// The logarithms of a row, frame by frame, each pair less its mean over time.
fn centred_row(sight: Sight<'_>, row: usize) -> Vec<Vec<f64>> {
    let log = |value: f32| f64::from(value).max(0.01).ln();
    let cell =
        |frame: &Vec<f32>, to: usize| if to == row { f64::NAN } else { log(frame[row * sight.nodes + to]) };
    let missing = |frame: &Vec<f32>, to: usize| !frame[row * sight.nodes + to].is_finite();
    let mean = |to: usize| {
        let known = sight.frames.iter().filter(|frame| !missing(frame, to)).map(|frame| cell(frame, to));
        let (sum, count) = known.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
        sum / count
    };
    let means: Vec<f64> = (0..sight.nodes).map(mean).collect();
    let centred = |frame: &Vec<f32>| {
        let value = |to: usize| if missing(frame, to) { f64::NAN } else { cell(frame, to) - means[to] };
        (0..sight.nodes).map(value).collect()
    };
    sight.frames.iter().map(centred).collect()
}

fn correlate(centred: &[f64], lag: usize, sums: &mut (f64, f64)) {
    for (now, later) in centred.iter().zip(centred.iter().skip(lag)) {
        if now.is_finite() && later.is_finite() {
            sums.0 += now * later;
            sums.1 += (now * now + later * later) / 2.0;
        }
    }
}

/// Where the medians of the four hours before and after differ by more than 3 % and 2 ms and by four times what the
/// values scatter around them; neighbours count once.
fn shifts(values: &[f64], step_s: f64) -> usize {
    let window = ((LEVEL_S / step_s).round() as usize).clamp(3, 240);
    let level = |part: &[f64]| {
        let mut known: Vec<f64> = part.iter().copied().filter(|value| value.is_finite()).collect();
        known.sort_by(f64::total_cmp);
        (known.len() * 2 >= part.len())
            .then(|| (quantile(&known, 0.5), (quantile(&known, 0.75) - quantile(&known, 0.25)) / 1.35))
    };
    let (mut found, mut at) = (0, window);
    while at + window <= values.len() {
        let (before, after) = (level(&values[at - window..at]), level(&values[at..at + window]));
        let shifted = before.zip(after).is_some_and(|((low, spread), (high, other))| {
            let apart = (high - low).abs();
            apart > (0.03 * low).max(2.0) && apart > 4.0 * spread.min(other)
        });
        found += usize::from(shifted);
        at += if shifted { window } else { (window / 8).max(1) };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lasting_change_is_a_shift_and_a_spike_is_none() {
        let mut values: Vec<f64> = (0..1000).map(|at| 100.0 + f64::from(at % 3)).collect();
        assert_eq!(shifts(&values, 240.0), 0);
        values[300] = 900.0;
        assert_eq!(shifts(&values, 240.0), 0);
        values[500..].iter_mut().for_each(|value| *value += 20.0);
        assert_eq!(shifts(&values, 240.0), 1);
    }
}
