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

/// What an operator wants to know of the source, beside the model itself.
#[derive(Debug, Default)]
pub(crate) struct ModelSource {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Why the last one that was offered is not in force.
    refused: Option<String>,
    swaps: u64,
}

impl ModelSource {
    /// A source whose first model was refused for this reason, if it was.
    pub(crate) fn new(refused: Option<&ModelError>) -> Self {
        let refused = refused.map(ToString::to_string);
        ModelSource { state: Mutex::new(State { refused, swaps: 0 }) }
    }

    /// Why the last model that was offered is not in force.
    pub(crate) fn refused(&self) -> Option<String> {
        self.state.lock().refused.clone()
    }

    /// How often a model was replaced at run time.
    pub(crate) fn swaps(&self) -> u64 {
        self.state.lock().swaps
    }
}

fn trusted(from: &ModelFrom) -> impl Iterator<Item = &str> {
    built_in::PROJECT_KEYS.iter().copied().chain(from.trust.iter().map(String::as_str))
}

fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes));
    match read {
        Ok(length) if length as u64 > LONGEST => Err(ModelError::Envelope),
        Ok(_) => Ok(bytes),
        Err(error) => {
            Err(ModelError::Unreadable { path: path.display().to_string(), why: error.to_string() })
        }
    }
}

/// The bytes that the configuration leads to, and the model in them.
fn load(from: &ModelFrom) -> (Vec<u8>, Result<Option<Artefact>, ModelError>) {
    let bytes = match &from.file {
        _ if !from.enabled => return (Vec::new(), Ok(None)),
        Some(path) => match read(path) {
            Ok(bytes) => bytes,
            Err(error) => return (Vec::new(), Err(error)),
        },
        None => match built_in::MODEL {
            Some(bytes) => bytes.to_vec(),
            None => return (Vec::new(), Ok(None)),
        },
    };
    let opened = open_model(&bytes, trusted(from)).map(Some);
    (bytes, opened)
}

fn policy(from: &ModelFrom, artefact: Artefact) -> Box<dyn Policy> {
    let shadow = from.shadow.unwrap_or(from.file.is_none() && built_in::IN_SHADOW);
    Box::new(if shadow { Learned::in_shadow(artefact) } else { Learned::new(artefact) })
}

/// The policy that an agent begins with, beside the rule: a model, without one the scouts' forecasts. A model that is refused does not
/// keep it from starting.
pub(crate) fn first(from: &ModelFrom) -> (Option<Box<dyn Policy>>, Option<ModelError>) {
    match load(from).1 {
        Ok(Some(artefact)) => (Some(policy(from, artefact)), None),
        Ok(None) if from.enabled => (Some(Box::new(Learned::by_scouts())), None),
        Ok(None) => (None, None),
        Err(error) => (None, Some(error)),
    }
}

/// Would an agent with this configuration take its model?
pub(crate) fn check(from: &ModelFrom) -> Finding {
    const CHECK: &str = "model";
    let place = from.file.as_ref().map_or("the built-in model".to_owned(), |path| path.display().to_string());
    match load(from).1 {
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
    if from.file.is_none() || !from.enabled {
        return;
    }
    let mut seen = load(&from).0;
    loop {
        tokio::time::sleep(INTERVAL).await;
        let again = from.clone();
        let Ok((bytes, loaded)) = tokio::task::spawn_blocking(move || load(&again)).await else { continue };
        match loaded {
            // nothing has changed, or it was said already
            _ if bytes == seen && !bytes.is_empty() => {}
            Ok(artefact) => {
                seen = bytes;
                agent.replace_model(&from, artefact);
            }
            Err(error) => {
                seen = bytes;
                agent.refuse_model(&error);
            }
        }
    }
}

impl Agent {
    fn replace_model(self: &Arc<Self>, from: &ModelFrom, artefact: Option<Artefact>) {
        let Some(artefact) = artefact else { return };
        let text = format!("paths are chosen by '{}': {}", artefact.name, artefact.summary);
        let policy = policy(from, artefact);
        self.control(|now, control| control.set_policy(now, policy));
        let mut state = self.model.state.lock();
        state.refused = None;
        state.swaps += 1;
        drop(state);
        self.tell(Happening::new(Kind::ModelLoaded, text));
    }

    fn refuse_model(&self, error: &ModelError) {
        let text = error.to_string();
        let before = self.model.state.lock().refused.replace(text.clone());
        if before.as_ref() != Some(&text) {
            self.tell(Happening::new(Kind::ModelRefused, format!("what was in force stays: {text}")));
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
        assert!(matches!(first(&from), (None, Some(ModelError::Unreadable { .. }))));
        assert_eq!(check(&from).verdict, Verdict::Fail);
        std::fs::write(&file, &bytes).unwrap();
        let (policy, error) = first(&from);
        assert_eq!((policy.unwrap().name(), error), ("m1", None));
        assert_eq!(check(&from).verdict, Verdict::Ok);
        let stranger = ModelFrom { trust: Vec::new(), ..from.clone() };
        assert!(matches!(first(&stranger), (None, Some(ModelError::Stranger(_)))));
        let off = ModelFrom { enabled: false, ..stranger };
        assert!(matches!(first(&off), (None, None)));
        std::fs::write(&file, vec![0; LONGEST as usize + 1]).unwrap();
        assert!(matches!(first(&from), (None, Some(ModelError::Envelope))));
    }
}
