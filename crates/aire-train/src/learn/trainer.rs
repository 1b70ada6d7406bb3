//! From rows to weights.

use std::path::PathBuf;

use aire_brain::model::{NORMAL, OUTPUTS};
use aire_types::Random;
use candle_core::{Device, Tensor};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::Error;
use super::adam::Adam;
use super::calibration::Calibration;
use super::checkpoint::{Checkpoint, Epoch, Progress};
use super::fingerprint::Fingerprint;
use super::loss::loss;
use super::network::{Layer, Network, Shape};
use super::normalisation::Normalisation;
use super::rows::{Row, Rows};

/// How a network is trained. All of it was chosen on validation parts alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Of first weights and mini-batches.
    pub seed: u64,
    /// Width of each hidden layer; none is a linear model.
    pub hidden: Vec<usize>,
    /// Passes over the training part at most.
    pub epochs: usize,
    /// Passes without a lower loss on the validation part after which training ends.
    pub patience: usize,
    /// Rows a step.
    pub batch: usize,
    /// Length of the first steps; it falls to a tenth on a cosine (Loshchilov and Hutter, 2017).
    pub rate: f64,
    /// Share of a parameter that each step takes away, per unit of `rate`.
    pub decay: f64,
    /// Gains beyond this, relative to direct's estimate, count as this.
    pub clip: f32,
    /// Features that the network must not see, by their place in the schema: for ablations.
    pub without: Vec<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            seed: 1,
            hidden: vec![32, 32],
            epochs: 30,
            patience: 6,
            batch: 1024,
            rate: 2e-3,
            decay: 1e-3,
            clip: 5.0,
            without: Vec::new(),
        }
    }
}

/// Where a run keeps its checkpoints, and how far it goes.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// Checkpoints are written here after every epoch.
    pub checkpoints: Option<PathBuf>,
    /// Go on from the checkpoint there instead of from the beginning.
    pub resume: bool,
    /// Stop after this many epochs in all, as if interrupted.
    pub until: Option<usize>,
}

/// A trained network.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// First to last.
    pub layers: Vec<Layer>,
    /// Of its inputs.
    pub normalisation: Normalisation,
    /// Every epoch.
    pub history: Vec<Epoch>,
    /// The epoch, counted from 1, whose weights these are.
    pub best_epoch: usize,
    /// Loss on the validation part of an untrained network, which predicts no gain.
    pub untrained_loss: f64,
}

/// Trains the network `name` on `training`, and keeps the weights that did best on `validation`.
///
/// # Errors
/// Where there is nothing to learn from, a checkpoint cannot be written or read or belongs to another run, or the
/// weights grew beyond all bounds.
pub fn fit(
    name: &str,
    training: &Rows,
    validation: &Rows,
    settings: &Settings,
    course: &Course,
) -> Result<Fitted, Error> {
    if training.is_empty() || validation.is_empty() {
        return Err(Error::Empty { network: name.to_owned() });
    }
    let mut normalisation = Normalisation::of(training);
    normalisation.blind(&settings.without);
    let shape = Shape::new(training.width(), &settings.hidden);
    let run = fingerprint(training, validation, settings)?;
    let validation = Part::new(validation, &normalisation, settings.clip);
    let training = Part::new(training, &normalisation, settings.clip);
    let initial = shape.initial(&mut Random::new(settings.seed));
    let untrained_loss = validation.loss(&shape, &initial)?;
    let mut state = match (&course.checkpoints, course.resume) {
        (Some(dir), true) => Checkpoint::load(dir, name, run, shape.size())?,
        _ => beginning(run, initial, untrained_loss),
    };
    let bar = progress_bar(name, settings.epochs * training.steps(settings.batch));
    let last = course.until.unwrap_or(usize::MAX).min(settings.epochs);
    while state.progress.epoch < last && !state.settled(settings.patience) {
        bar.set_position((state.progress.epoch * training.steps(settings.batch)) as u64);
        epoch(&mut state, &shape, settings, &training, &validation, &bar)?;
        if let Some(dir) = &course.checkpoints {
            state.save(dir, name)?;
        }
    }
    bar.finish_and_clear();
    Ok(Fitted {
        layers: shape.split(&state.best),
        normalisation,
        history: state.progress.history,
        best_epoch: state.progress.best_epoch,
        untrained_loss,
    })
}

fn beginning(run: u64, initial: Vec<f32>, untrained: f64) -> Checkpoint {
    let progress = Progress {
        run,
        epoch: 0,
        steps: 0,
        best_epoch: 0,
        best_loss: untrained.to_bits(),
        history: Vec::new(),
    };
    Checkpoint { progress, best: initial.clone(), adam: Adam::new(initial.len()), parameters: initial }
}

impl Checkpoint {
    /// Nothing has become better for that many epochs.
    fn settled(&self, patience: usize) -> bool {
        self.progress.epoch >= self.progress.best_epoch + patience
    }
}

fn epoch(
    state: &mut Checkpoint,
    shape: &Shape,
    settings: &Settings,
    training: &Part,
    validation: &Part,
    bar: &ProgressBar,
) -> Result<(), Error> {
    let number = state.progress.epoch + 1;
    // From seed and number alone, so that a resumed run draws what an uninterrupted one would have drawn.
    let mut random = Random::new(settings.seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let order = shuffled(training.gains.len(), &mut random);
    let turn = std::f64::consts::PI * (number - 1) as f64 / settings.epochs as f64;
    let rate = settings.rate * (0.1 + 0.45 * (1.0 + turn.cos()));
    let mut sum = 0.0;
    for rows in order.chunks(settings.batch) {
        let network = Network::new(shape, &state.parameters)?;
        let batch = training.gather(rows, shape)?;
        let loss = loss(&batch.predict(&network)?, &batch.gains, &batch.weights)?;
        sum += f64::from(loss.to_scalar::<f32>()?) * rows.len() as f64;
        state.adam.step(&mut state.parameters, &network.gradient(&loss)?, rate, settings.decay);
        bar.inc(1);
    }
    let training_loss = sum / order.len() as f64;
    let validation_loss = validation.loss(shape, &state.parameters)?;
    if !training_loss.is_finite() || !validation_loss.is_finite() {
        return Err(Error::Diverged { epoch: number });
    }
    state.progress.epoch = number;
    state.progress.steps = state.adam.steps;
    if validation_loss < f64::from_bits(state.progress.best_loss) {
        state.progress.best_loss = validation_loss.to_bits();
        state.progress.best_epoch = number;
        state.best.clone_from(&state.parameters);
    }
    state.progress.history.push(Epoch { training_loss, validation_loss });
    bar.set_message(format!("epoch {number}, validation {validation_loss:.5}"));
    Ok(())
}

/// All rows in a random order (Fisher and Yates).
fn shuffled(count: usize, random: &mut Random) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for i in (1..count).rev() {
        order.swap(i, random.below(i + 1));
    }
    order
}

/// Rows as the network reads them.
struct Part {
    inputs: Vec<f32>,
    /// What the rule's figures say of quantiles and mean; the network's answer is added.
    bases: Vec<f32>,
    gains: Vec<f32>,
    weights: Vec<f32>,
}

struct Batch {
    inputs: Tensor,
    bases: Tensor,
    gains: Tensor,
    weights: Tensor,
}

/// Quantiles and mean of a gain with this average and standard error, where the error is normal.
fn base(promise: f32, spread: f32) -> [f32; OUTPUTS] {
    let mut base = [promise; OUTPUTS];
    base.iter_mut().zip(NORMAL).for_each(|(quantile, normal)| *quantile += normal * spread);
    base
}

impl Batch {
    fn predict(&self, network: &Network) -> candle_core::Result<Tensor> {
        network.forward(&self.inputs)? + &self.bases
    }
}

impl Part {
    fn new(rows: &Rows, normalisation: &Normalisation, clip: f32) -> Self {
        let mut inputs = Vec::with_capacity(rows.len() * rows.width());
        (0..rows.len()).for_each(|i| normalisation.apply(rows.features(i), &mut inputs));
        let bases = (0..rows.len()).flat_map(|i| base(rows.row(i).promise, rows.row(i).spread)).collect();
        let gains = (0..rows.len()).map(|i| rows.gain(i).clamp(-clip, clip)).collect();
        Part { inputs, bases, gains, weights: (0..rows.len()).map(|i| rows.weight(i)).collect() }
    }

    fn steps(&self, batch: usize) -> usize {
        self.gains.len().div_ceil(batch)
    }

    fn gather(&self, rows: &[usize], shape: &Shape) -> Result<Batch, Error> {
        let wide = |from: &[f32], width: usize| {
            let flat: Vec<f32> =
                rows.iter().flat_map(|&i| &from[i * width..(i + 1) * width]).copied().collect();
            Tensor::from_vec(flat, (rows.len(), width), &Device::Cpu)
        };
        Ok(Batch {
            inputs: wide(&self.inputs, shape.inputs())?,
            bases: wide(&self.bases, OUTPUTS)?,
            gains: wide(&self.gains, 1)?,
            weights: wide(&self.weights, 1)?,
        })
    }

    fn loss(&self, shape: &Shape, parameters: &[f32]) -> Result<f64, Error> {
        let network = Network::new(shape, parameters)?;
        let (mut sum, mut total) = (0.0, 0.0);
        for rows in (0..self.gains.len()).collect::<Vec<_>>().chunks(EVALUATED_AT_ONCE) {
            let batch = self.gather(rows, shape)?;
            let weight: f64 = rows.iter().map(|&i| f64::from(self.weights[i])).sum();
            let loss = loss(&batch.predict(&network)?, &batch.gains, &batch.weights)?;
            sum += f64::from(loss.to_scalar::<f32>()?) * weight;
            total += weight;
        }
        Ok(sum / total)
    }
}

const EVALUATED_AT_ONCE: usize = 8192;

impl Fitted {
    /// Quantiles and mean that the network predicts for each of these rows, by the trainer's own forward pass.
    ///
    /// # Errors
    /// Where the rows are not as wide as its inputs.
    pub fn predict(&self, rows: &Rows) -> Result<Vec<[f32; OUTPUTS]>, Error> {
        let shape = self.shape();
        let network = Network::new(&shape, &self.weights())?;
        let part = Part::new(rows, &self.normalisation, f32::MAX);
        let mut all = Vec::with_capacity(rows.len());
        for some in (0..rows.len()).collect::<Vec<_>>().chunks(EVALUATED_AT_ONCE) {
            let out = part.gather(some, &shape)?.predict(&network)?;
            all.extend_from_slice(out.flatten_all()?.to_vec1::<f32>()?.as_chunks().0);
        }
        Ok(all)
    }

    /// What the network answers to features that are not normalised yet: corrections of quantiles and mean.
    ///
    /// # Errors
    /// Where they are not as many as its inputs.
    pub fn answer(&self, features: &[f32]) -> Result<[f32; OUTPUTS], Error> {
        let mut rows = Rows::new(features.len());
        rows.push(Row { features, promise: 0.0, spread: 0.0, gain: 0.0, weight: 1.0, group: 0 });
        Ok(self.predict(&rows)?.first().copied().unwrap_or([f32::NAN; OUTPUTS]))
    }

    /// All weights and biases, layer by layer.
    pub fn weights(&self) -> Vec<f32> {
        self.layers.iter().flat_map(|layer| [&layer.weights, &layer.biases]).flatten().copied().collect()
    }

    /// Moves every predicted quantile by what calibration found.
    pub fn shift(&mut self, calibration: &Calibration) {
        if let Some(last) = self.layers.last_mut() {
            last.biases.iter_mut().zip(calibration.shift).for_each(|(bias, shift)| *bias += shift);
        }
    }

    fn shape(&self) -> Shape {
        let hidden: Vec<usize> = self.layers.iter().skip(1).map(|layer| layer.inputs).collect();
        Shape::new(self.normalisation.mean.len(), &hidden)
    }
}

/// Of data and settings: a checkpoint of others is not this run's.
fn fingerprint(training: &Rows, validation: &Rows, settings: &Settings) -> Result<u64, Error> {
    let mut print = Fingerprint::default();
    print.add(&training.fingerprint().to_le_bytes());
    print.add(&validation.fingerprint().to_le_bytes());
    print.add(&serde_json::to_vec(settings).map_err(|error| Error::bug(&error))?);
    Ok(print.value())
}

/// On standard error, and only where that is a terminal.
fn progress_bar(name: &str, steps: usize) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64).with_prefix(name.to_owned());
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {percent}% {eta} {msg}");
    if let Ok(style) = style { bar.with_style(style) } else { bar }
}

#[cfg(test)]
#[path = "trainer_tests.rs"]
mod tests;
