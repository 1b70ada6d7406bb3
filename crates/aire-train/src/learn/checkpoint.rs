//! What a run keeps on disk so that it can go on.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::Error;
use super::adam::Adam;

/// Where in `dir` the state of the network `name` is kept.
fn file(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.safetensors"))
}

/// Where a run stands between two epochs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Checkpoint {
    pub(super) progress: Progress,
    pub(super) parameters: Vec<f32>,
    pub(super) best: Vec<f32>,
    pub(super) adam: Adam,
}

/// What is told in words beside the arrays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Of data and settings: another run's checkpoint is refused.
    pub(super) run: u64,
    /// Epochs done.
    pub(super) epoch: usize,
    /// Optimiser's steps done.
    pub(super) steps: u64,
    /// The epoch with the lowest loss on validation, and that loss as bits: decimal text may round it.
    pub(super) best_epoch: usize,
    pub(super) best_loss: u64,
    pub(super) history: Vec<Epoch>,
}

/// One pass over the training part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean loss of the mini-batches while the weights moved.
    pub training_loss: f64,
    /// Loss on the validation part at its end.
    pub validation_loss: f64,
}

const ARRAYS: [&str; 4] = ["parameters", "best", "first", "second"];

impl Checkpoint {
    /// Keeps this state in `dir`, in place of the one before; a crash leaves the one or the other.
    pub(super) fn save(&self, dir: &Path, name: &str) -> Result<(), Error> {
        let path = file(dir, name);
        let unwritten = |source| Error::Write { path: path.clone(), source };
        fs::create_dir_all(dir).map_err(unwritten)?;
        let arrays = [&self.parameters, &self.best, &self.adam.first, &self.adam.second];
        let bytes = arrays.map(|array| array.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
        let views = ARRAYS.iter().zip(arrays).zip(&bytes).map(|((name, array), bytes)| {
            Ok((*name, TensorView::new(Dtype::F32, vec![array.len()], bytes)?))
        });
        let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
        let words = serde_json::to_string(&self.progress).map_err(|error| Error::bug(&error))?;
        let words = HashMap::from([("progress".to_owned(), words)]);
        let all = views.and_then(|views| safetensors::serialize(views, Some(words)));
        let next = path.with_extension("next");
        fs::write(&next, all.map_err(|error| Error::bug(&error))?).map_err(unwritten)?;
        fs::rename(&next, &path).map_err(unwritten)
    }

    /// Is there a state of the network `name` in `dir`?
    pub(super) fn find(dir: &Path, name: &str) -> Result<(), Error> {
        let path = file(dir, name);
        fs::metadata(&path).map(|_| ()).map_err(|source| Error::Read { path, source })
    }

    /// The state kept in `dir`, of the run with these data and settings.
    pub(super) fn load(dir: &Path, name: &str, run: u64, size: usize) -> Result<Self, Error> {
        let path = file(dir, name);
        let bytes = fs::read(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let damaged = |what: &str| Error::Checkpoint { path: path.clone(), what: what.to_owned() };
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(&error.to_string()))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| damaged(&error.to_string()))?;
        let words = header.metadata().as_ref().and_then(|words| words.get("progress"));
        let words = words.ok_or_else(|| damaged("it does not say how far the run was"))?;
        let progress: Progress = serde_json::from_str(words).map_err(|error| damaged(&error.to_string()))?;
        if progress.run != run {
            return Err(Error::OtherRun { path });
        }
        let array = |name: &str| {
            let view = tensors.tensor(name).map_err(|error| damaged(&error.to_string()))?;
            let chunks = view.data().as_chunks::<4>().0;
            let array: Vec<f32> = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            let fits =
                view.dtype() == Dtype::F32 && array.len() == size && array.iter().all(|x| x.is_finite());
            if fits { Ok(array) } else { Err(damaged(&format!("'{name}' is not {size} numbers"))) }
        };
        let [parameters, best, first, second] = ARRAYS;
        let adam = Adam { first: array(first)?, second: array(second)?, steps: progress.steps };
        Ok(Checkpoint { parameters: array(parameters)?, best: array(best)?, adam, progress })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Checkpoint {
        let history = vec![Epoch { training_loss: 0.1, validation_loss: 1.0 / 3.0 }];
        Checkpoint {
            progress: Progress {
                run: 7,
                epoch: 3,
                steps: 12,
                best_epoch: 1,
                best_loss: 0.1_f64.to_bits(),
                history,
            },
            parameters: vec![1.5, -2.0],
            best: vec![0.5, 0.25],
            adam: Adam { first: vec![0.1, 0.2], second: vec![0.3, 0.4], steps: 12 },
        }
    }

    #[test]
    fn a_checkpoint_comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        some().save(dir.path(), "net").unwrap();
        assert_eq!(Checkpoint::load(dir.path(), "net", 7, 2).unwrap(), some());
    }

    #[test]
    fn what_is_of_another_run_damaged_or_missing_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let load = |run, size| Checkpoint::load(dir.path(), "net", run, size);
        assert!(matches!(load(7, 2), Err(Error::Read { .. })));
        some().save(dir.path(), "net").unwrap();
        assert!(matches!(load(8, 2), Err(Error::OtherRun { .. })));
        assert!(matches!(load(7, 3), Err(Error::Checkpoint { .. })));
        let whole = fs::read(file(dir.path(), "net")).unwrap();
        for end in [0, 7, whole.len() / 2, whole.len() - 1] {
            fs::write(file(dir.path(), "net"), &whole[..end]).unwrap();
            assert!(matches!(load(7, 2), Err(Error::Checkpoint { .. })), "cut at {end}");
        }
    }
}
