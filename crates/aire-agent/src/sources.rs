//! Identities that the mesh's own authority did not issue: where they are read, and how changes are followed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aire_identity::{Files, Issued, WorkloadApi, WorkloadApiError};
use aire_types::Role;

use crate::agent::Agent;
use crate::config::{Config, IdentityFrom};
use crate::happening::{Happening, Kind};
use crate::joining;
use crate::membership::{Membership, MembershipError, Source};

/// How often files are looked at.
const FILES_INTERVAL: Duration = Duration::from_millis(500);
/// How long to wait before a Workload API that is gone is asked again: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// The membership that follows from an identity of another source.
pub(crate) async fn obtain(config: &Config, from: &IdentityFrom) -> Result<Membership, MembershipError> {
    let wanted = config.app.as_ref().map(|served| Role::App(served.name.clone()));
    let (source, issued) = match from {
        IdentityFrom::Files(files) => (Source::Files(files.clone()), files.load(SystemTime::now())?),
        IdentityFrom::WorkloadApi(api) => {
            (Source::WorkloadApi(api.clone()), api.fetch(&config.node, wanted.as_ref()).await?)
        }
    };
    let membership = Membership::new(source, issued)?;
    membership.check_role(&config.node, wanted.as_ref())?;
    Ok(membership)
}

/// Keeps the certificate fresh, for as long as the agent runs.
pub(crate) async fn keep_fresh(agent: Arc<Agent>) {
    match agent.membership.source().clone() {
        Source::Authority(_) => joining::rotate(agent).await,
        Source::Files(files) => follow_files(agent, files).await,
        Source::WorkloadApi(api) => follow_api(agent, api).await,
    }
}

async fn follow_files(agent: Arc<Agent>, files: Files) {
    let files = Arc::new(files);
    let mut seen = None;
    let mut failures = 0u32;
    loop {
        tokio::time::sleep(FILES_INTERVAL).await;
        let looked = Arc::clone(&files);
        let before = seen.clone();
        let read = tokio::task::spawn_blocking(move || {
            let stamp = looked.stamp();
            let due = failures > 0 || before.as_ref() != Some(&stamp);
            (stamp, due.then(|| looked.load(SystemTime::now())))
        });
        let Ok((stamp, Some(loaded))) = read.await else { continue };
        if seen.as_ref() != Some(&stamp) {
            (seen, failures) = (Some(stamp), 0);
        }
        match loaded.map_err(MembershipError::from).and_then(|issued| agent.adopt(issued)) {
            Ok(()) => failures = 0,
            Err(error) => {
                failures = failures.saturating_add(1);
                // Files may be written one after the other: what is wrong once may be right the next time.
                if failures == 2 {
                    agent.certificate_stays(&error.to_string());
                }
            }
        }
    }
}

/// An API that went away is asked again, as it may be back before the certificate runs out.
async fn follow_api(agent: Arc<Agent>, api: WorkloadApi) {
    let mut pause = FIRST_PAUSE;
    loop {
        let begin = tokio::time::Instant::now();
        let why = watch_api(&agent, &api).await;
        agent.certificate_stays(&why.to_string());
        // One that stayed for a while has only been restarted.
        pause = if begin.elapsed() > LAST_PAUSE { FIRST_PAUSE } else { (pause * 2).min(LAST_PAUSE) };
        tokio::time::sleep(pause).await;
    }
}

/// Takes what the API issues until it is gone; says why.
async fn watch_api(agent: &Arc<Agent>, api: &WorkloadApi) -> WorkloadApiError {
    let identity = agent.membership.identity();
    let mut updates = match api.watch().await {
        Ok(updates) => updates,
        Err(error) => return error,
    };
    loop {
        let taken = match updates.next(&identity.node, Some(&identity.role)).await {
            Ok(issued) => agent.adopt(issued),
            Err(error @ (WorkloadApiError::Unreachable { .. } | WorkloadApiError::NotRegistered(_))) => {
                return error;
            }
            Err(error @ WorkloadApiError::Failed { .. }) => return error,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = taken {
            agent.certificate_stays(&error.to_string());
        }
    }
}

impl Agent {
    /// Takes what the source issued, which may be what is in force already.
    fn adopt(self: &Arc<Self>, issued: Issued) -> Result<(), MembershipError> {
        match self.membership.prepare(issued)? {
            None => drop(self.membership.set_trouble(None)),
            Some(next) => {
                // The control plane signs, and shows the certificate of the key that it signed with.
                self.control(|_, _| self.membership.install(next));
                self.certificate_is_fresh();
            }
        }
        Ok(())
    }

    /// There is a newer certificate.
    pub(crate) fn certificate_is_fresh(self: &Arc<Self>) {
        self.membership.set_trouble(None);
        self.tell(Happening::new(Kind::CertificateRenewed, "the certificate was renewed".to_owned()));
        self.control(|now, control| control.certificate_renewed(now));
    }

    /// There is no newer certificate, although there should be one.
    pub(crate) fn certificate_stays(&self, why: &str) {
        if self.membership.set_trouble(Some(why.to_owned())) {
            let left = self.membership.remaining(SystemTime::now()).as_secs() / 60;
            let text = format!("the certificate in force stays and holds for {left} more minutes: {why}");
            self.tell(Happening::new(Kind::RenewalFailed, text));
        }
    }
}
