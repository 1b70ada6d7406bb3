//! What is made small.

use aire_brain::model::QUANTILES;
use candle_core::{Device, Result, Tensor};

/// Beyond this error, relative to direct's estimate, the loss of the mean grows linearly (Huber, 1964).
const HUBER: f64 = 1.0;

/// The weighted mean over a batch of the pinball losses of the quantiles (Koenker and Bassett, 1978) and the Huber loss
/// of the mean. `predicted` is `rows × OUTPUTS`; `gains` and `weights` are `rows × 1`.
pub(super) fn loss(predicted: &Tensor, gains: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let quantiles = QUANTILES.len();
    let levels = Tensor::new(&QUANTILES, &Device::Cpu)?;
    let short = gains.broadcast_sub(&predicted.narrow(1, 0, quantiles)?)?;
    // level × e for e > 0 and (level − 1) × e below: level × e + relu(−e).
    let pinball = (short.broadcast_mul(&levels)? + short.neg()?.relu()?)?.sum_keepdim(1)?;
    let error = (gains - predicted.narrow(1, quantiles, 1)?)?;
    // e²/2, less what a parabola has beyond the knee.
    let beyond = (error.abs()? - HUBER)?.relu()?;
    let huber = ((error.sqr()? - beyond.sqr()?)? * 0.5)?;
    let each = ((pinball + huber)? * weights)?;
    each.sum_all()?.div(&weights.sum_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_is_that_of_the_formula() {
        let one = |x: f32| Tensor::from_vec(vec![x], (1, 1), &Device::Cpu).unwrap();
        let predicted =
            Tensor::from_vec(vec![0.0_f32, 0.0, 0.0, 0.0, 5.0, 0.0], (1, 6), &Device::Cpu).unwrap();
        let value = loss(&predicted, &one(3.0), &one(2.0)).unwrap().to_scalar::<f32>().unwrap();
        let pinball = 3.0 * (0.1 + 0.25 + 0.5 + 0.75) + 0.1 * 2.0;
        let huber = 3.0 - 0.5;
        assert!((value - (pinball + huber)).abs() < 1e-5, "{value}");
    }
}
