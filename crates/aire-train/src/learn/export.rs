//! From trained weights to what agents load.

use aire_brain::HerdTuning;
use aire_brain::model::{Artefact, COUNT, Golden, HIDDEN, Network, Range};

use super::Error;
use super::rows::Rows;
use super::trainer::Fitted;

/// Golden vectors in an artefact.
const GOLDEN: usize = 16;

/// The artefact of `fitted`, with the margin of the rule and the herd control that the simulator's learner found, which no
/// recorded network could teach. Golden vectors are rows of `rows`, evenly spread, with what the
/// trainer's own arithmetic answers.
///
/// # Errors
/// Where the network does not have the agent's shape, or inference disagrees with the trainer.
pub fn export(fitted: &Fitted, name: &str, summary: &str, rows: &Rows) -> Result<Artefact, Error> {
    let units: Vec<usize> = fitted.layers.iter().skip(1).map(|layer| layer.inputs).collect();
    if units != [HIDDEN, HIDDEN] {
        return Err(Error::Shape { units });
    }
    let network = Network::from_weights(&fitted.weights())
        .ok_or_else(|| Error::Bug("the weights do not fit the agent's network".to_owned()))?;
    let normal = &fitted.normalisation;
    let ranges = std::array::from_fn(|i| Range {
        mean: normal.mean[i],
        scale: normal.scale[i],
        low: normal.low[i],
        high: normal.high[i],
    });
    let mut artefact = Artefact::untrained(name);
    artefact.herd = HerdTuning::LEARNED;
    (artefact.summary, artefact.ranges, artefact.network) = (summary.to_owned(), ranges, network);
    let step = rows.len().div_ceil(GOLDEN).max(1);
    for at in (0..rows.len()).step_by(step) {
        let features: [f32; COUNT] = rows
            .row(at)
            .features
            .try_into()
            .map_err(|_| Error::Bug("rows are not as wide as the schema".to_owned()))?;
        artefact.golden.push(Golden { features, answer: fitted.answer(&features)? });
    }
    artefact.check_golden().map_err(|error| Error::bug(&error))?;
    Ok(artefact)
}
