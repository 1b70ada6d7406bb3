//! Adam (Kingma and Ba, 2015) on one flat array, so that all its state can be kept and resumed.

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// The moments of the gradient.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Adam {
    pub(super) first: Vec<f32>,
    pub(super) second: Vec<f32>,
    pub(super) steps: u64,
}

impl Adam {
    pub(super) fn new(size: usize) -> Self {
        Adam { first: vec![0.0; size], second: vec![0.0; size], steps: 0 }
    }

    /// One step down the gradient; `decay` draws every parameter towards zero (Loshchilov and Hutter, 2019).
    pub(super) fn step(&mut self, parameters: &mut [f32], gradient: &[f32], rate: f64, decay: f64) {
        self.steps += 1;
        let exponent = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let (bias1, bias2) = (1.0 - BETA1.powi(exponent), 1.0 - BETA2.powi(exponent));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((parameter, &g), (first, second)) in parameters.iter_mut().zip(gradient).zip(moments) {
            let g = f64::from(g);
            *first = (BETA1 * f64::from(*first) + (1.0 - BETA1) * g) as f32;
            *second = (BETA2 * f64::from(*second) + (1.0 - BETA2) * g * g) as f32;
            let towards = (f64::from(*first) / bias1) / ((f64::from(*second) / bias2).sqrt() + EPSILON);
            let value = f64::from(*parameter);
            *parameter = (value - rate * (towards + decay * value)) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_the_bottom_of_a_bowl() {
        let mut at = vec![3.0_f32, -2.0];
        let mut adam = Adam::new(2);
        for _ in 0..2000 {
            let gradient: Vec<f32> = at.iter().zip([1.0, 4.0]).map(|(x, goal)| 2.0 * (x - goal)).collect();
            adam.step(&mut at, &gradient, 0.01, 0.0);
        }
        assert!((at[0] - 1.0).abs() < 1e-2 && (at[1] - 4.0).abs() < 1e-2, "{at:?}");
    }
}
