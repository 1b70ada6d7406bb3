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
    /// Reads the policies of `files`. Without any file the mesh's policies decide alone; without these, too, everything is
    /// denied.
    pub(crate) fn open(node: NodeName, files: Vec<PathBuf>) -> Result<Self, GateError> {
        let texts = read(&files)?;
        let local = if files.is_empty() { None } else { Some(PolicySet::parse(&texts)?) };
        let policies = Policies::new(None, local);
        let rules = Mutex::new(Rules { texts, policies, cache: VerdictCache::new(CACHED_VERDICTS) });
        Ok(Gate { node, files, rules })
    }

    /// Reads the files again; true when they say something else than before. On an error the policies in force stay.
    pub(crate) fn reload(&self) -> Result<bool, GateError> {
        let texts = read(&self.files)?;
        if self.rules.lock().texts == texts {
            return Ok(false);
        }
        let local = PolicySet::parse(&texts)?;
        let mut rules = self.rules.lock();
        rules.policies = Policies::new(rules.policies.bundle().cloned(), Some(local));
        rules.texts = texts;
        Ok(true)
    }

    /// Puts the mesh's policies into force, or takes them out.
    pub(crate) fn set_bundle(&self, bundle: Option<PolicySet>) {
        let mut rules = self.rules.lock();
        rules.policies = Policies::new(bundle, rules.policies.local().cloned());
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
    fn the_mesh_and_the_files_must_both_permit_and_the_mesh_alone_is_enough_without_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.cedar");
        let permit = "permit(principal, action == Action::\"connect\", resource == App::\"echo\");";
        let set = |text: &str| Some(PolicySet::parse(&[("mesh".to_owned(), text.to_owned())]).unwrap());
        let echo: AppName = "echo".parse().unwrap();
        std::fs::write(&file, permit).unwrap();
        let gate = Gate::open("n2".parse().unwrap(), vec![file.clone()]).unwrap();
        let ask = |gate: &Gate| gate.connect(&caller(), &echo, Class::Interactive);
        assert!(ask(&gate).allowed);
        gate.set_bundle(set(""));
        assert!(
            !ask(&gate).allowed && ask(&gate).reason.contains("the mesh's bundle"),
            "{}",
            ask(&gate).reason
        );
        gate.set_bundle(set(permit));
        assert!(ask(&gate).allowed);
        std::fs::write(&file, "").unwrap();
        assert!(gate.reload().unwrap());
        assert!(
            !ask(&gate).allowed && ask(&gate).reason.contains("this node's own"),
            "{}",
            ask(&gate).reason
        );
        let bare = Gate::open("n2".parse().unwrap(), Vec::new()).unwrap();
        assert!(!ask(&bare).allowed);
        bare.set_bundle(set(permit));
        assert!(!bare.reload().unwrap() && ask(&bare).allowed);
        bare.set_bundle(None);
        assert!(!ask(&bare).allowed);
    }

    #[test]
    fn without_policies_nothing_is_allowed() {
        let gate = Gate::open("n2".parse().unwrap(), Vec::new()).unwrap();
        assert!(!gate.relay(&caller(), &"echo".parse().unwrap(), Class::Bulk).allowed);
    }
}
