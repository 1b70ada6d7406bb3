//! Which model is in force, and how a file replaces it while the agent runs.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aire_admin::documents::Finding;
use aire_brain::Policy;
use aire_brain::model::{Artefact, Learned};
use parking_lot::Mutex;

use super::built_in;
use super::envelope::{LONGEST, ModelError, open_model};
use crate::agent::Agent;
use crate::config::ModelFrom;
use crate::happening::{Happening, Kind};

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// SHA-256 of a file.
type Fingerprint = [u8; 32];

/// Where models come from, and what became of the last one that was offered.
#[derive(Debug, Default)]
pub(crate) struct ModelSource {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Why the last one that was offered is not in force.
    refused: Option<String>,
    swaps: u64,
    /// What was judged last; `None` where nothing could be read.
    judged: Option<Fingerprint>,
    /// What the model in force was made of. Its guard's account must not begin anew because its file was written again.
    in_force: Option<Fingerprint>,
}

/// What a look at the file gave.
#[derive(Debug, PartialEq)]
enum Offer {
    Nothing,
    Model(Box<Artefact>),
    Refused(ModelError),
}

impl ModelSource {
    /// Why the last model that was offered is not in force.
    pub(crate) fn refused(&self) -> Option<String> {
        self.state.lock().refused.clone()
    }

    /// How often a model was replaced at run time.
    pub(crate) fn swaps(&self) -> u64 {
        self.state.lock().swaps
    }

    /// Judges what was read, once.
    fn judge(&self, from: &ModelFrom, read: Result<Vec<u8>, ModelError>) -> Offer {
        let mut state = self.state.lock();
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => {
                state.judged = None;
                return state.refuse(error);
            }
        };
        let fingerprint = Some(fingerprint(&bytes));
        if state.judged == fingerprint {
            return Offer::Nothing;
        }
        state.judged = fingerprint;
        if state.in_force == fingerprint {
            state.refused = None;
            return Offer::Nothing;
        }
        match open_model(&bytes, trusted(from)) {
            Ok(artefact) => {
                (state.refused, state.in_force) = (None, fingerprint);
                state.swaps += 1;
                Offer::Model(Box::new(artefact))
            }
            Err(error) => state.refuse(error),
        }
    }
}

impl State {
    /// The same reason is said once.
    fn refuse(&mut self, error: ModelError) -> Offer {
        let text = error.to_string();
        if self.refused.replace(text.clone()) == Some(text) { Offer::Nothing } else { Offer::Refused(error) }
    }
}

fn fingerprint(bytes: &[u8]) -> Fingerprint {
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    fingerprint
}

fn trusted(from: &ModelFrom) -> impl Iterator<Item = &str> {
    built_in::PROJECT_KEYS.iter().copied().chain(from.trust.iter().map(String::as_str))
}

fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    let unreadable = |why: String| ModelError::Unreadable { path: path.display().to_string(), why };
    // Opening a pipe would wait for whoever writes to it.
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => return Err(unreadable("it is not a regular file".to_owned())),
        Ok(_) => {}
        Err(error) => return Err(unreadable(error.to_string())),
    }
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes)) {
        Ok(length) if length as u64 > LONGEST => Err(ModelError::Envelope),
        Ok(_) => Ok(bytes),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// The bytes that the configuration leads to; `None` where it leads to no model.
fn find(from: &ModelFrom) -> Result<Option<Vec<u8>>, ModelError> {
    match &from.file {
        _ if !from.enabled => Ok(None),
        Some(path) => read(path).map(Some),
        None => Ok(built_in::MODEL.map(<[u8]>::to_vec)),
    }
}

fn policy(from: &ModelFrom, artefact: Artefact) -> Box<dyn Policy> {
    let shadow = from.shadow.unwrap_or(from.file.is_none() && built_in::IN_SHADOW);
    Box::new(if shadow { Learned::in_shadow(artefact) } else { Learned::new(artefact) })
}

/// The policy that an agent begins with, beside the rule: a model, without one the scouts' forecasts. A model that is refused
/// does not keep it from starting.
pub(crate) fn first(from: &ModelFrom) -> (Option<Box<dyn Policy>>, ModelSource) {
    let source = ModelSource::default();
    let found = match find(from).transpose() {
        None if from.enabled => return (Some(Box::new(Learned::by_scouts())), source),
        None => return (None, source),
        Some(found) => found,
    };
    let policy = match source.judge(from, found) {
        Offer::Model(artefact) => Some(policy(from, *artefact)),
        Offer::Nothing | Offer::Refused(_) => None,
    };
    source.state.lock().swaps = 0;
    (policy, source)
}

/// Would an agent with this configuration take its model?
pub(crate) fn check(from: &ModelFrom) -> Finding {
    const CHECK: &str = "model";
    let place = from.file.as_ref().map_or("the built-in model".to_owned(), |path| path.display().to_string());
    let artefact =
        find(from).and_then(|found| found.map(|bytes| open_model(&bytes, trusted(from))).transpose());
    match artefact {
        Ok(None) if !from.enabled => Finding::ok(CHECK, "switched off: the rule chooses paths"),
        Ok(None) => Finding::ok(
            CHECK,
            "none: the rule chooses paths, or the scouts' forecasts where they prove better",
        ),
        Ok(Some(artefact)) => Finding::ok(CHECK, format!("{place}: '{}' can be loaded", artefact.name)),
        Err(error) => {
            let advice = "the agent would run with the rule until the file is right".to_owned();
            Finding::fail(CHECK, format!("{place}: {error}"), Some(advice))
        }
    }
}

/// Follows changes of the file: what is sound and signed replaces the model in force at once, anything else is told and the
/// one in force stays.
pub(crate) async fn watch(agent: Arc<Agent>) {
    let from = agent.config.model.clone();
    if let Some(why) = agent.model.refused() {
        agent.tell(Happening::new(Kind::ModelRefused, format!("the rule chooses paths: {why}")));
    }
    let Some(path) = from.file.clone().filter(|_| from.enabled) else { return };
    loop {
        tokio::time::sleep(INTERVAL).await;
        let path = path.clone();
        let Ok(read) = tokio::task::spawn_blocking(move || read(&path)).await else { continue };
        match agent.model.judge(&from, read) {
            Offer::Nothing => {}
            Offer::Model(artefact) => {
                let text = format!("paths are chosen by '{}': {}", artefact.name, artefact.summary);
                let policy = policy(&from, *artefact);
                agent.control(|now, control| control.set_policy(now, policy));
                agent.tell(Happening::new(Kind::ModelLoaded, text));
            }
            Offer::Refused(error) => {
                let text = format!("what was in force stays: {error}");
                agent.tell(Happening::new(Kind::ModelRefused, text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aire_admin::documents::Verdict;

    use super::super::envelope::tests::signed;
    use super::*;

    #[test]
    fn a_file_is_taken_or_refused_and_said_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.model");
        let (bytes, key) = signed("m1", 3);
        let from = ModelFrom { file: Some(file.clone()), trust: vec![key], ..ModelFrom::default() };
        let refused = |from: &ModelFrom| {
            let (policy, source) = first(from);
            assert!(policy.is_none());
            source.refused()
        };
        assert!(refused(&from).unwrap().contains("cannot read the model"));
        assert_eq!(check(&from).verdict, Verdict::Fail);
        std::fs::write(&file, &bytes).unwrap();
        let (policy, source) = first(&from);
        assert_eq!((policy.unwrap().name(), source.refused(), source.swaps()), ("m1", None, 0));
        assert_eq!(check(&from).verdict, Verdict::Ok);
        let stranger = ModelFrom { trust: Vec::new(), ..from.clone() };
        let stranger_error = open_model(&bytes, trusted(&stranger)).unwrap_err();
        assert!(matches!(stranger_error, ModelError::Stranger(_)));
        assert_eq!(refused(&stranger), Some(stranger_error.to_string()));
        let off = ModelFrom { enabled: false, ..stranger };
        assert_eq!(refused(&off), None);
        std::fs::write(&file, vec![0; LONGEST as usize + 1]).unwrap();
        assert_eq!(refused(&from), Some(ModelError::Envelope.to_string()));
        let folder = ModelFrom { file: Some(folder.path().to_owned()), ..from };
        assert!(refused(&folder).unwrap().contains("not a regular file"));
    }

    #[test]
    fn a_model_is_taken_once_however_often_its_file_is_written() {
        let (one, key) = signed("m1", 3);
        let (two, other) = signed("m2", 4);
        let from = ModelFrom { trust: vec![key, other], ..ModelFrom::default() };
        let source = ModelSource::default();
        let look = |bytes: &[u8]| match source.judge(&from, Ok(bytes.to_vec())) {
            Offer::Nothing => "nothing".to_owned(),
            Offer::Model(artefact) => artefact.name.clone(),
            Offer::Refused(_) => "refused".to_owned(),
        };
        assert_eq!([look(&one), look(&one)], ["m1", "nothing"]);
        let torn = &one[..one.len() / 2];
        assert_eq!([look(torn), look(torn)], ["refused", "nothing"]);
        assert!(source.refused().is_some());
        assert_eq!(look(&one), "nothing", "it is in force already, with what its guard has seen");
        assert_eq!((source.refused(), source.swaps()), (None, 1));
        let gone = || Err(ModelError::Unreadable { path: "m".to_owned(), why: "gone".to_owned() });
        assert!(matches!(source.judge(&from, gone()), Offer::Refused(_)));
        assert_eq!(source.judge(&from, gone()), Offer::Nothing);
        assert_eq!([look(&one), look(&two), look(&one)], ["nothing", "m2", "m1"]);
    }
}
