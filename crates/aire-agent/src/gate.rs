//! The agent's policies: read from files, read again when they change, asked for every circuit and stream.

use std::path::PathBuf;
use std::sync::Arc;

use aire_policy::{Action, Policies, PolicyErrors, PolicySet, Request, RiskBand, Verdict, VerdictCache};
use aire_types::{AppName, Class, Identity, NodeName};
use parking_lot::Mutex;

const CACHED_VERDICTS: usize = 4096;

/// Why the policies are not what the files say.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// A file cannot be read.
    #[error("cannot read the policy {path}: {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not a policy of this mesh.
    #[error("{0}")]
    Invalid(#[from] PolicyErrors),
}

/// Decides who may do what here.
#[derive(Debug)]
pub(crate) struct Gate {
    node: NodeName,
    files: Vec<PathBuf>,
    rules: Mutex<Rules>,
}

#[derive(Debug)]
struct Rules {
    texts: Vec<(String, String)>,
    policies: Policies,
    cache: VerdictCache,
}

impl Gate {
    /// Reads the policies of `files`. Without any, everything is denied.
    pub(crate) fn open(node: NodeName, files: Vec<PathBuf>) -> Result<Self, GateError> {
        let texts = read(&files)?;
        let policies = Policies::new(None, Some(PolicySet::parse(&texts)?));
        let rules = Mutex::new(Rules { texts, policies, cache: VerdictCache::new(CACHED_VERDICTS) });
        Ok(Gate { node, files, rules })
    }

    /// Reads the files again; true when they say something else than before. On an error the policies in force stay.
    pub(crate) fn reload(&self) -> Result<bool, GateError> {
        let texts = read(&self.files)?;
        if self.rules.lock().texts == texts {
            return Ok(false);
        }
        let policies = Policies::new(None, Some(PolicySet::parse(&texts)?));
        let mut rules = self.rules.lock();
        (rules.texts, rules.policies) = (texts, policies);
        Ok(true)
    }

    /// May `caller` open a stream of this class to `app` here?
    pub(crate) fn connect(&self, caller: &Identity, app: &AppName, class: Class) -> Arc<Verdict> {
        let action = Action::Connect { app: app.clone(), node: self.node.clone(), class };
        self.ask(caller, action)
    }

    /// May `caller` use this node as a relay on the way to `app`?
    pub(crate) fn relay(&self, caller: &Identity, app: &AppName, class: Class) -> Arc<Verdict> {
        let action = Action::Relay { node: self.node.clone(), destination: Some(app.clone()), class };
        self.ask(caller, action)
    }

    fn ask(&self, caller: &Identity, action: Action) -> Arc<Verdict> {
        let request = Request { principal: caller.clone(), action, risk: RiskBand::NONE };
        let rules = &mut *self.rules.lock();
        rules.cache.authorize(&rules.policies, &request)
    }
}

fn read(files: &[PathBuf]) -> Result<Vec<(String, String)>, GateError> {
    files
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path)
                .map_err(|source| GateError::Unreadable { path: path.clone(), source })?;
            Ok((path.display().to_string(), text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Identity {
        "spiffe://m/app/client/n1".parse().unwrap()
    }

    #[test]
    fn a_changed_file_changes_the_verdict_and_a_broken_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.cedar");
        std::fs::write(&file, "").unwrap();
        let gate = Gate::open("n2".parse().unwrap(), vec![file.clone()]).unwrap();
        let echo: AppName = "echo".parse().unwrap();
        let allowed = || gate.connect(&caller(), &echo, Class::Interactive).allowed;
        assert!(!allowed());
        let permit =
            "permit(principal == App::\"client\", action == Action::\"connect\", resource == App::\"echo\");";
        std::fs::write(&file, permit).unwrap();
        assert!(gate.reload().unwrap() && allowed());
        assert!(!gate.reload().unwrap());
        std::fs::write(&file, "permit(principal").unwrap();
        assert!(gate.reload().is_err() && allowed());
    }

    #[test]
    fn without_policies_nothing_is_allowed() {
        let gate = Gate::open("n2".parse().unwrap(), Vec::new()).unwrap();
        assert!(!gate.relay(&caller(), &"echo".parse().unwrap(), Class::Bulk).allowed);
    }
}
