//! What nodes record of a network.

use super::geography::Geography;
use super::shape::Shape;
use super::weather::Sky;

/// The record of a synthetic mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// The nodes' names.
    pub nodes: Vec<String>,
    /// Seconds from one frame to the next.
    pub step_s: f64,
    /// (i, j) and (j, i) are one measurement.
    pub symmetric: bool,
    /// Frames between the last input and what is scored.
    pub score_gap: usize,
    /// Round trips, milliseconds: one n×n matrix a frame, row-major, row = from, 0 on the diagonal, NaN where missing.
    pub frames: Vec<Vec<f32>>,
    /// Share of packets lost, the same matrices.
    pub loss: Vec<Vec<f32>>,
    /// Lasting changes of level that happened, over all pairs.
    pub shifts: usize,
}

/// Records the network of this shape and seed. The same seed gives the same record.
pub fn record(shape: &Shape, seed: u64) -> Recording {
    let geography = Geography::lay_out(shape, seed);
    let mut sky = Sky::new(shape, &geography, seed);
    let count = shape.nodes;
    let mut known = vec![(f32::NAN, 0.0f32); count * count];
    let (mut frames, mut loss) = (Vec::with_capacity(shape.frames), Vec::with_capacity(shape.frames));
    let mut due = vec![0.0; count];
    for frame in 0..shape.frames {
        for from in 0..count {
            if due[from] > frame as f64 {
                continue;
            }
            // Rows take turns; none waits much longer than the others.
            let spread = if frame == 0 { sky.random().unit() } else { 0.8 + 0.4 * sky.random().unit() };
            due[from] = if shape.measuring.interval > 1.0 {
                frame as f64 + shape.measuring.interval * spread
            } else {
                0.0
            };
            let first = if shape.symmetric { from + 1 } else { 0 };
            for to in (first..count).filter(|to| *to != from) {
                let cell = measure(shape, &mut sky, from, to, geography.quiet[from * count + to]);
                known[from * count + to] = cell;
                if shape.symmetric {
                    known[to * count + from] = cell;
                }
            }
        }
        for node in 0..count {
            known[node * count + node] = (0.0, 0.0);
        }
        frames.push(known.iter().map(|cell| cell.0).collect());
        loss.push(known.iter().map(|cell| cell.1).collect());
        sky.advance();
    }
    Recording {
        nodes: (0..count).map(|node| format!("{}-{node}", shape.name)).collect(),
        step_s: shape.step_s,
        symmetric: shape.symmetric,
        score_gap: shape.score_gap,
        frames,
        loss,
        shifts: sky.shifts(),
    }
}

fn measure(shape: &Shape, sky: &mut Sky, from: usize, to: usize, quiet_ms: f64) -> (f32, f32) {
    let measured = sky.measure(from, to, quiet_ms);
    if sky.random().chance(shape.measuring.missing) {
        return (f32::NAN, measured.loss as f32);
    }
    let quantum = shape.measuring.quantum_ms;
    let rtt_ms = match quantum > 0.0 {
        true => (measured.rtt_ms / quantum).round().max(1.0) * quantum,
        false => measured.rtt_ms,
    };
    (rtt_ms as f32, measured.loss as f32)
}
