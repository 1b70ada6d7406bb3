//! What a set of round trips is like, in numbers: the same for measured and for synthetic sets, so that they can be
//! laid side by side.

mod pairs;
mod relaying;
mod spectrum;
mod throughput;
mod time;

pub use relaying::Relaying;
pub use spectrum::Spectrum;
pub use throughput::throughput_rows;
pub use time::Dynamics;

/// Round trips to be described: one n×n matrix a frame, row-major, row = from, milliseconds, NaN where missing.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// n.
    pub nodes: usize,
    /// Seconds from one frame to the next.
    pub step_s: f64,
    /// Frames between what may be known and what is scored; at least 1.
    pub score_gap: usize,
    /// The frames in order of time.
    pub frames: &'a [Vec<f32>],
}

/// The table of one set. Shares are from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Structure {
    /// How many nodes.
    pub nodes: usize,
    /// How many frames.
    pub frames: usize,
    /// Share of the entries off the diagonal that are missing.
    pub missing: f64,
    /// Median over pairs of the median over time, milliseconds.
    pub median_ms: f64,
    /// 90th percentile over pairs of the median over time, milliseconds.
    pub p90_ms: f64,
    /// What one relay gains.
    pub relaying: Relaying,
    /// How far rows and columns alone explain the matrix, and its low-rank energy.
    pub spectrum: Spectrum,
    /// How values move in time.
    pub dynamics: Dynamics,
}

impl Structure {
    /// Describes `sight`; `None` where it has no pair with a value.
    pub fn of(sight: Sight<'_>) -> Option<Self> {
        let medians = pairs::medians(sight);
        let mut present: Vec<f64> = pairs::off_diagonal(&medians, sight.nodes).collect();
        if present.is_empty() {
            return None;
        }
        present.sort_by(f64::total_cmp);
        let cells = sight.frames.len() * sight.nodes * sight.nodes.saturating_sub(1);
        let seen: usize =
            sight.frames.iter().map(|frame| pairs::off_diagonal(frame, sight.nodes).count()).sum();
        Some(Structure {
            nodes: sight.nodes,
            frames: sight.frames.len(),
            missing: 1.0 - seen as f64 / cells as f64,
            median_ms: pairs::quantile(&present, 0.5),
            p90_ms: pairs::quantile(&present, 0.9),
            relaying: Relaying::of(sight, &medians),
            spectrum: Spectrum::of(&medians, sight.nodes),
            dynamics: Dynamics::of(sight, &medians),
        })
    }

    /// The rows of the table: what, and its value.
    pub fn rows(&self) -> Vec<(&'static str, f64)> {
        let Structure { relaying, spectrum, dynamics, .. } = self;
        let mut rows = vec![
            ("nodes", self.nodes as f64),
            ("frames", self.frames as f64),
            ("missing, share", self.missing),
            ("median of pairs, ms", self.median_ms),
            ("90th percentile of pairs, ms", self.p90_ms),
        ];
        rows.extend(relaying.rows());
        rows.extend(spectrum.rows());
        rows.extend(dynamics.rows());
        rows
    }
}
