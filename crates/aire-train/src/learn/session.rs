//! One training run, from folders to a signed file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use aire_brain::model::{COUNT, NAMES};
use indicatif::ProgressBar;

use super::Error;
use super::calibration::Calibration;
use super::checkpoint::Checkpoint;
use super::dataset::{Dataset, Plan};
use super::export::export;
use super::importance::importance;
use super::key::{SigningKey, hexadecimal};
use super::margin::{Chosen, choose};
use super::report::Account;
use super::trainer::{Course, Fitted, Settings, fit};
use crate::data::{Frames, Histories, histories, sources};

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Folders with recorded sets; none: synthetic meshes alone.
    pub traces: Vec<PathBuf>,
    /// Folders with what the agents of one mesh recorded; together they are one set, and all of it is used.
    pub histories: Vec<PathBuf>,
    /// Where the signed model goes; its report goes beside it.
    pub out: PathBuf,
    /// The key that signs; made where it does not exist. `None`: beside the model.
    pub key: Option<PathBuf>,
    /// Go on from the checkpoints in this folder.
    pub resume: Option<PathBuf>,
    /// How the data is drawn.
    pub plan: Plan,
    /// How it is learned from.
    pub settings: Settings,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// The model's name.
    pub name: String,
    /// Where the report is.
    pub report: PathBuf,
    /// Where the key is, and that it is new.
    pub key: (PathBuf, bool),
    /// What agents have to trust: the public key, hexadecimal.
    pub public_key: String,
    /// Rows for fitting and for validation.
    pub rows: [usize; 2],
    /// Loss on the validation part of an untrained network, and of this one.
    pub losses: [f64; 2],
    /// Margin, and what decisions come to with it.
    pub chosen: Chosen,
}

const NETWORK: &str = "network";
/// A history with fewer rows to fit and to validate teaches nothing but chance.
const LEAST_ROWS: [usize; 2] = [200, 50];

/// Trains, and writes the signed model and its report.
///
/// # Errors
/// Traces, checkpoint, key or output cannot be read or written, or there is nothing to learn from.
pub fn train(request: &Request) -> Result<Trained, Error> {
    let begun = Instant::now();
    let name = name_of(&request.out)?;
    let report = request.out.with_extension("md");
    if request.out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("md")) {
        return Err(Error::Report { path: request.out.clone() });
    }
    if let Some(dir) = &request.resume {
        Checkpoint::find(dir, NETWORK)?;
    }
    let key_path = request.key.clone().unwrap_or_else(|| beside(&request.out, "key"));
    let recorded = read(&request.traces)?;
    let history = (!request.histories.is_empty()).then(|| histories(&request.histories)).transpose()?;
    let (key, fresh) = SigningKey::load_or_create(&key_path)?;
    let dataset = gather(&request.plan, &recorded, history.as_ref())?;
    drop((recorded, history));
    let (training, validation) = (&dataset.training, &dataset.validation);
    let course = Course {
        checkpoints: Some(request.resume.clone().unwrap_or_else(|| beside(&request.out, "checkpoints"))),
        resume: request.resume.is_some(),
        until: None,
    };
    let mut fitted = fit(NETWORK, training, validation, &request.settings, &course)?;
    let learned = fitted.predict(validation)?;
    let calibration =
        if fitted.best_epoch > 0 { Calibration::of(&learned, validation) } else { Calibration::default() };
    let coverage =
        [Calibration::default(), calibration].map(|shift| shift.coverage(&learned, validation).to_vec());
    fitted.shift(&calibration);
    let mut artefact = export(&fitted, &name, &summary(&dataset, request), validation)?;
    let chosen = choose(&artefact, &dataset.cases, dataset.shares.len());
    artefact.margin = chosen.margin;
    let sealed = key.seal(&artefact.encode());
    write(&request.out, &sealed)?;
    let importance = importance(&fitted, validation, request.plan.seed)?;
    let account = Account {
        dataset: &dataset,
        plan: &request.plan,
        settings: &request.settings,
        fitted: &fitted,
        calibration: &calibration,
        coverage,
        chosen: &chosen,
        importance: &importance,
        name: &name,
        took_s: begun.elapsed().as_secs_f64(),
    };
    write(&report, account.markdown().as_bytes())?;
    Ok(Trained {
        name,
        report,
        key: (key_path, fresh),
        public_key: hexadecimal(key.public_key()),
        rows: [training.len(), validation.len()],
        losses: [fitted.untrained_loss, best_loss(&fitted)],
        chosen,
    })
}

fn gather(plan: &Plan, recorded: &[Frames], history: Option<&Histories>) -> Result<Dataset, Error> {
    let spinner = ProgressBar::new_spinner();
    let dataset = Dataset::gather(recorded, history, plan, |set| {
        spinner.set_message(format!("looking at {set}"));
        spinner.tick();
    });
    spinner.finish_and_clear();
    if let Some(history) = history {
        enough(history, &dataset)?;
    }
    Ok(dataset)
}

/// Did the history give enough rows?
fn enough(history: &Histories, dataset: &Dataset) -> Result<(), Error> {
    let share = dataset.shares.iter().find(|share| share.name == history.seen.name);
    let rows = share.map_or([0, 0], |share| share.rows);
    let factor = |at: usize| LEAST_ROWS[at] as f64 / rows[at].max(1) as f64;
    let factor = factor(0).max(factor(1));
    if factor <= 1.0 {
        return Ok(());
    }
    let minutes = history.seen.frames.len() as f64 * history.seen.step_s / 60.0;
    Err(Error::Short { rows, least: LEAST_ROWS, minutes: (minutes * (factor - 1.0)).ceil().max(1.0) })
}

fn best_loss(fitted: &Fitted) -> f64 {
    let best = fitted.best_epoch.checked_sub(1).and_then(|at| fitted.history.get(at));
    best.map_or(fitted.untrained_loss, |epoch| epoch.validation_loss)
}

/// The columns of these features.
///
/// # Errors
/// Names the first that is no feature.
pub fn columns(names: &[String]) -> Result<Vec<usize>, Error> {
    let find = |name: &String| {
        let at = NAMES.iter().position(|known| known == name);
        at.ok_or_else(|| Error::Feature { name: name.clone(), known: NAMES.join(", ") })
    };
    names.iter().map(find).collect()
}

/// All recorded sets in these folders.
fn read(folders: &[PathBuf]) -> Result<Vec<Frames>, Error> {
    let mut all = Vec::new();
    for folder in folders {
        for source in sources(folder)? {
            all.extend(source.read_pairs()?);
        }
    }
    Ok(all)
}

fn summary(dataset: &Dataset, request: &Request) -> String {
    let recorded: Vec<&str> =
        dataset.shares.iter().filter(|share| !share.synthetic).map(|share| share.name.as_str()).collect();
    let synthetic = dataset.shares.iter().filter(|share| share.synthetic).count() * request.plan.synthetic;
    let on = match (recorded.is_empty(), synthetic) {
        (true, count) => format!("{count} synthetic meshes"),
        (false, 0) => recorded.join(", "),
        (false, count) => format!("{} and {count} synthetic meshes", recorded.join(", ")),
    };
    let (rows, seed) = (dataset.training.len(), request.settings.seed);
    format!("{COUNT} features, {rows} rows of {on}; seed {seed}")
}

/// The model's name: that of its file, as far as names may go.
pub(super) fn name_of(out: &Path) -> Result<String, Error> {
    let stem = out.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let name: String =
        stem.chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).take(63).collect();
    if name.is_empty() { Err(Error::Name { path: out.to_owned() }) } else { Ok(name) }
}

/// `models/a.model` → `models/a.model.WORD`.
fn beside(out: &Path, word: &str) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(word);
    out.with_file_name(name)
}

/// A crash leaves the old file or the new one.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let next = beside(path, "next");
    let written = fs::write(&next, bytes).and_then(|()| fs::rename(&next, path));
    written.map_err(|source| Error::Write { path: path.to_owned(), source })
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
