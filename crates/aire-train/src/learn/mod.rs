//! Offline training: rows of what a prober saw, with what was right in hindsight → weights.

mod adam;
mod calibration;
mod checkpoint;
mod cut;
mod dataset;
mod export;
mod fingerprint;
mod importance;
mod key;
mod loss;
mod margin;
mod network;
mod normalisation;
mod observe;
mod report;
mod rows;
mod session;
mod trainer;
mod untrained;

use std::path::PathBuf;

pub use calibration::Calibration;
pub use checkpoint::Epoch;
pub use dataset::{Case, Dataset, Plan, Share};
pub use export::export;
pub use importance::importance;
pub use key::{SigningKey, hexadecimal, inspect, unseal};
pub use margin::{Chosen, Verdict, choose};
pub use network::Layer;
pub use normalisation::Normalisation;
pub use report::Account;
pub use rows::{Row, Rows};
pub use session::{Request, Trained, columns, train};
pub use trainer::{Course, Fitted, Settings, fit};
pub use untrained::{Herd, write_untrained};

/// Why nothing was learned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The traces hold nothing that a candidate could be judged by.
    #[error("the traces give no rows to train the {network} network on: record longer, or give more sets")]
    Empty {
        /// Which network.
        network: String,
    },
    /// A history holds something, but not enough of it.
    #[error(
        "the history gives {} rows to fit and {} to validate, and {} and {} are needed: record for about {minutes:.0} min more, \
         give the histories of more agents, or let them reach their apps over more relays", rows[0], rows[1], least[0], least[1]
    )]
    Short {
        /// Rows to fit and to validate.
        rows: [usize; 2],
        /// How many there must be.
        least: [usize; 2],
        /// How much longer to record, about, if all goes on as it was.
        minutes: f64,
    },
    /// The weights left all bounds.
    #[error(
        "the loss is no number after epoch {epoch}: the traces hold values beyond reason, or the rate is too high"
    )]
    Diverged {
        /// When.
        epoch: usize,
    },
    /// A file of this machine cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of this machine cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A checkpoint does not hold what it should.
    #[error("the checkpoint {path} is damaged: {what}; train from the beginning, without --resume")]
    Checkpoint {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A checkpoint is of other traces or settings.
    #[error(
        "the checkpoint {path} is of a run with other traces, another seed or other settings; give it the same ones, or train without --resume"
    )]
    OtherRun {
        /// Which.
        path: PathBuf,
    },
    /// A file holds no key to sign with.
    #[error(
        "{path} holds no Ed25519 key in PKCS#8; name another file, or one that does not exist for a new key"
    )]
    Key {
        /// Which.
        path: PathBuf,
    },
    /// The traces cannot be read.
    #[error(transparent)]
    Traces(#[from] crate::data::Error),
    /// A file is no model that an agent would read.
    #[error("{path} is no sound model: {why}")]
    Model {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no such feature.
    #[error("'{name}' is no feature; the features are {known}")]
    Feature {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A file's name gives no name for a model.
    #[error("{path} gives the model no name: a file's name with letters or digits is needed")]
    Name {
        /// Which.
        path: PathBuf,
    },
    /// The report would replace the model.
    #[error("{path} is where the report goes: name the model otherwise, FILE.model for one")]
    Report {
        /// Which.
        path: PathBuf,
    },
    /// Agents evaluate one shape only.
    #[error("agents cannot load a network with hidden layers {units:?}: they have two of 32")]
    Shape {
        /// The hidden layers.
        units: Vec<usize>,
    },
    /// Arithmetic on tensors failed.
    #[error("a bug in the trainer: {0}")]
    Bug(String),
}

impl Error {
    fn bug(error: &dyn std::error::Error) -> Self {
        Error::Bug(error.to_string())
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Error::bug(&error)
    }
}
