//! The network while it learns: one flat array of parameters, and its forward pass in tensors.

use aire_brain::model::OUTPUTS;
use aire_types::Random;
use candle_core::{Device, Result, Tensor, Var};

/// One layer: `outputs × inputs` weights, row-major, and a bias for each output.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Numbers that go in.
    pub inputs: usize,
    /// Numbers that come out.
    pub outputs: usize,
    /// Row = output, column = input.
    pub weights: Vec<f32>,
    /// One for each output.
    pub biases: Vec<f32>,
}

/// How wide each layer is, inputs first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape(Vec<usize>);

impl Shape {
    /// `inputs` → hidden layers → the outputs. No hidden layer is a linear model.
    pub(super) fn new(inputs: usize, hidden: &[usize]) -> Self {
        Shape([&[inputs], hidden, &[OUTPUTS]].concat())
    }

    fn layers(&self) -> impl Iterator<Item = (usize, usize)> {
        self.0.windows(2).map(|pair| (pair[0], pair[1]))
    }

    /// Numbers that go in.
    pub(super) fn inputs(&self) -> usize {
        self.0[0]
    }

    /// Parameters in all.
    pub(super) fn size(&self) -> usize {
        self.layers().map(|(inputs, outputs)| (inputs + 1) * outputs).sum()
    }

    /// Weights for the first step (He et al., "Delving deep into rectifiers", 2015), with a last layer of zeros: before
    /// anything is learned the predicted gain is zero, and the rule decides.
    pub(super) fn initial(&self, random: &mut Random) -> Vec<f32> {
        let mut parameters = Vec::with_capacity(self.size());
        let last = self.0.len().saturating_sub(2);
        for (i, (inputs, outputs)) in self.layers().enumerate() {
            let deviation = if i == last { 0.0 } else { (2.0 / inputs.max(1) as f64).sqrt() };
            parameters.extend((0..inputs * outputs).map(|_| (deviation * normal(random)) as f32));
            parameters.extend(std::iter::repeat_n(0.0, outputs));
        }
        parameters
    }

    /// The parameters as layers.
    pub(super) fn split(&self, mut parameters: &[f32]) -> Vec<Layer> {
        let mut take = |count: usize| {
            let (taken, rest) = parameters.split_at(count);
            parameters = rest;
            taken.to_vec()
        };
        let layer = |(inputs, outputs)| {
            let (weights, biases) = (take(inputs * outputs), take(outputs));
            Layer { inputs, outputs, weights, biases }
        };
        self.layers().map(layer).collect()
    }
}

/// Standard normal (Box and Muller, 1958).
fn normal(random: &mut Random) -> f64 {
    let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.unit()).cos()
}

/// The parameters as tensors whose gradients are followed.
pub(super) struct Network(Vec<(Var, Var)>);

impl Network {
    pub(super) fn new(shape: &Shape, parameters: &[f32]) -> Result<Self> {
        let tensors = shape.split(parameters).into_iter().map(|layer| {
            let weights = Var::from_vec(layer.weights, (layer.outputs, layer.inputs), &Device::Cpu)?;
            Ok((weights, Var::from_vec(layer.biases, layer.outputs, &Device::Cpu)?))
        });
        Ok(Network(tensors.collect::<Result<_>>()?))
    }

    /// `rows × inputs` → `rows × OUTPUTS`.
    pub(super) fn forward(&self, inputs: &Tensor) -> Result<Tensor> {
        let mut x = inputs.clone();
        for (i, (weights, biases)) in self.0.iter().enumerate() {
            if i > 0 {
                x = x.relu()?;
            }
            x = x.matmul(&weights.t()?)?.broadcast_add(biases)?;
        }
        Ok(x)
    }

    /// The gradient of `loss` for each parameter, in their order.
    pub(super) fn gradient(&self, loss: &Tensor) -> Result<Vec<f32>> {
        let all = loss.backward()?;
        let mut flat = Vec::new();
        for var in self.0.iter().flat_map(|(weights, biases)| [weights, biases]) {
            match all.get(var) {
                Some(gradient) => flat.extend(gradient.flatten_all()?.to_vec1::<f32>()?),
                None => flat.extend(std::iter::repeat_n(0.0, var.elem_count())),
            }
        }
        Ok(flat)
    }
}
