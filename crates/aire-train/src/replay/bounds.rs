//! What no policy can know: the best path of each moment, and the best that never changes.

use super::fold::Fold;
use super::run::pairs;
use crate::data::{Frames, Matrix};

/// For each decision of a fold, in the order of [`super::Outcome::values`].
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// The direct path; NaN where it is unknown or the pair does not count.
    pub direct: Vec<f32>,
    /// The best of direct and all relays in the scored frame.
    pub clairvoyant: Vec<f32>,
    /// The one path of each pair that would have been best over all its decisions.
    pub fixed: Vec<f32>,
}

impl Bounds {
    /// The bounds of all decisions of `fold`.
    pub fn new(frames: &Frames, fold: &Fold) -> Self {
        let scored: Vec<usize> = fold.scored_rounds().filter_map(|round| fold.scored(round)).collect();
        // columns of the second leg lie next to each other in the transposed frame
        let turned: Vec<Matrix> = scored.iter().map(|frame| frames.frames[*frame].transposed()).collect();
        let pairs = pairs(fold);
        let size = pairs.len() * scored.len();
        let mut bounds = Bounds {
            direct: vec![f32::NAN; size],
            clairvoyant: vec![f32::NAN; size],
            fixed: vec![f32::NAN; size],
        };
        let mut gains = vec![0.0f64; frames.nodes.len()];
        for (pair, &(from, to)) in pairs.iter().enumerate().filter(|(_, (from, to))| fold.counts(*from, *to))
        {
            gains.fill(0.0);
            for (at, (frame, turned)) in scored.iter().zip(&turned).enumerate() {
                let frame = &frames.frames[*frame];
                let direct = frame.get(from, to);
                bounds.direct[at * pairs.len() + pair] = direct;
                if !direct.is_nan() {
                    let best =
                        one_moment(frames, frame.row(from), turned.row(to), (from, to), direct, &mut gains);
                    bounds.clairvoyant[at * pairs.len() + pair] = best;
                }
            }
            let best = (0..gains.len()).max_by(|a, b| gains[*a].total_cmp(&gains[*b]));
            let relay = best.filter(|relay| gains[*relay] > 0.0);
            for (at, (frame, turned)) in scored.iter().zip(&turned).enumerate() {
                let direct = bounds.direct[at * pairs.len() + pair];
                let over = relay.map_or(f32::NAN, |relay| {
                    frames.quantity.join(frames.frames[*frame].get(from, relay), turned.get(to, relay))
                });
                // a relay that is unknown at this moment gains and loses nothing
                bounds.fixed[at * pairs.len() + pair] =
                    if over.is_nan() || direct.is_nan() { direct } else { over };
            }
        }
        bounds
    }
}

/// The best value of one pair in one frame; adds each relay's gain over direct to `gains`.
fn one_moment(
    frames: &Frames,
    out: &[f32],
    into: &[f32],
    (from, to): (usize, usize),
    direct: f32,
    gains: &mut [f64],
) -> f32 {
    let sign = if frames.quantity.better(1.0, 2.0) { 1.0 } else { -1.0 };
    let mut best = direct;
    for relay in (0..out.len()).filter(|relay| *relay != from && *relay != to) {
        let over = frames.quantity.join(out[relay], into[relay]);
        if !over.is_nan() {
            gains[relay] += f64::from(sign * (direct - over));
            if frames.quantity.better(over, best) {
                best = over;
            }
        }
    }
    best
}
