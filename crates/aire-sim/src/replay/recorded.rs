//! A recorded network as the base of a simulated one.

use std::sync::Arc;
use std::time::Duration;

use aire_types::Time;

use crate::synthetic;
use crate::underlay::Underlay;

/// Round trips, and loss where it was recorded, between all pairs of nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    name: String,
    nodes: usize,
    step: Duration,
    rtt_ms: Vec<Vec<f32>>,
    loss: Vec<Vec<f32>>,
}

impl Recorded {
    /// One matrix of round trips in milliseconds for each `step`, row by row, row = from, not finite where missing; and as many
    /// of losses from 0 to 1, or none. What is missing is what was measured last, before that what was measured first; what
    /// was never measured is no way. `None` where a matrix has another size, or there is none.
    pub fn new(
        name: &str,
        nodes: usize,
        step: Duration,
        mut rtt_ms: Vec<Vec<f32>>,
        loss: Vec<Vec<f32>>,
    ) -> Option<Self> {
        let square = |frame: &Vec<f32>| Some(frame.len()) == nodes.checked_mul(nodes);
        let sound = !rtt_ms.is_empty() && rtt_ms.iter().chain(&loss).all(square);
        if !sound || step.is_zero() || !(loss.is_empty() || loss.len() == rtt_ms.len()) {
            return None;
        }
        for way in 0..nodes * nodes {
            hold(&mut rtt_ms, way);
        }
        Some(Recorded { name: name.to_owned(), nodes, step, rtt_ms, loss })
    }

    /// What the nodes of a synthetic mesh would have recorded.
    pub fn synthetic(shape: &synthetic::Shape, seed: u64) -> Option<Self> {
        let record = synthetic::record(shape, seed);
        let step = Duration::from_secs_f64(record.step_s.max(1e-3));
        Recorded::new(shape.name, record.nodes.len(), step, record.frames, record.loss)
    }

    /// The same where no frame holds longer than `most`: what changes twice a day need not be waited for.
    #[must_use]
    pub fn hurried(mut self, most: Duration) -> Self {
        self.step = self.step.min(most).max(Duration::from_millis(1));
        self
    }

    /// Of the set, for reports.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// How long it lasts.
    pub fn duration(&self) -> Duration {
        self.step.saturating_mul(u32::try_from(self.rtt_ms.len()).unwrap_or(u32::MAX))
    }

    /// Is there loss in it?
    pub fn has_loss(&self) -> bool {
        !self.loss.is_empty()
    }

    /// Whether there is a way from one node to another.
    pub fn reaches(&self, from: usize, to: usize) -> bool {
        from != to && self.rtt_ms[0][from * self.nodes + to].is_finite()
    }

    fn frame(&self, at: Time) -> usize {
        let passed = u128::from(at.as_micros()) / self.step.as_micros().max(1);
        (passed % self.rtt_ms.len() as u128) as usize
    }
}

/// Values stand until the next one, the first one before it.
fn hold(frames: &mut [Vec<f32>], way: usize) {
    let first = frames.iter().map(|frame| frame[way]).find(|value| value.is_finite());
    let mut held = first.unwrap_or(f32::NAN);
    for frame in frames {
        match frame[way].is_finite() {
            true => held = frame[way],
            false => frame[way] = held,
        }
    }
}

/// Every node in one zone: what was recorded says nothing of trunks.
#[derive(Clone, Debug)]
pub(super) struct Base(pub(super) Arc<Recorded>);

impl Underlay for Base {
    fn nodes(&self) -> usize {
        self.0.nodes
    }

    fn rtt_ms(&self, from: usize, to: usize, at: Time) -> f64 {
        f64::from(self.0.rtt_ms[self.0.frame(at)][from * self.0.nodes + to])
    }

    fn loss(&self, from: usize, to: usize, at: Time) -> f64 {
        let Some(frame) = self.0.loss.get(self.0.frame(at)) else { return 0.0 };
        let share = f64::from(frame[from * self.0.nodes + to]);
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }

    fn zone(&self, _node: usize) -> usize {
        0
    }

    fn zones(&self) -> usize {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_held_and_what_was_never_measured_is_no_way() {
        let (x, step) = (f32::NAN, Duration::from_secs(10));
        let frames = vec![vec![0.0, x, x, 0.0], vec![0.0, 5.0, x, 0.0], vec![0.0, x, x, 0.0]];
        let lossy = vec![vec![0.0, 0.25, x, 0.0]; 3];
        let recorded = Recorded::new("r", 2, step, frames, lossy).unwrap();
        assert!(recorded.reaches(0, 1) && !recorded.reaches(1, 0) && !recorded.reaches(0, 0));
        assert_eq!(recorded.duration(), Duration::from_secs(30));
        let base = Base(Arc::new(recorded));
        let at = |seconds: u64| base.rtt_ms(0, 1, Time::from_millis(seconds * 1000));
        assert_eq!([at(0), at(15), at(29), at(31)], [5.0; 4]);
        assert!(base.rtt_ms(1, 0, Time::ZERO).is_nan());
        assert_eq!((base.loss(0, 1, Time::ZERO), base.loss(1, 0, Time::ZERO)), (0.25, 0.0));
        assert!(Recorded::new("r", 2, step, vec![vec![0.0; 3]], Vec::new()).is_none());
        assert!(Recorded::new("r", 2, step, Vec::new(), Vec::new()).is_none());
    }
}
