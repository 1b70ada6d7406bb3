//! From moments to frames.

/// A moment so little before a frame begins is of that frame, as a share of its length …
const ROUNDED: f64 = 1e-3;
/// … or in seconds: what times since 1970 lose in 64 bits, several times over.
const ROUNDED_S: f64 = 1e-6;

/// The frame of `step_s` seconds that a moment lies in, so many seconds after the first one.
///
/// Recorders round their times, and a step of 15.7 s has no exact double: without tolerance half of all moments that stand
/// on a frame's begin would fall into the frame before.
pub(super) fn place(since_s: f64, step_s: f64) -> usize {
    ((since_s + ROUNDED_S) / step_s + ROUNDED).floor() as usize
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_moment_on_a_frames_begin_is_of_that_frame() {
        let (base, step) = (1_643_400_000.0, 15.7);
        for first in [0, 240] {
            let at = |frame: usize| base + (first + frame) as f64 * step;
            let decimal = |frame: usize| format!("{:.1}", at(frame)).parse::<f64>().unwrap();
            for frame in 0..500 {
                assert_eq!(place(at(frame) - at(0), step), frame);
                assert_eq!(place(decimal(frame) - decimal(0), step), frame);
                assert_eq!(place(at(frame) + 15.6 - at(0), step), frame, "nearly a whole frame later");
            }
        }
        assert_eq!(place(1e300, 1.0), usize::MAX);
    }
}
