//! The authority's notices in this agent: kept on disk, and carried out within a moment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aire_identity::{StateError, load_notices};
use aire_policy::PolicySet;
use aire_types::{Identity, NodeName, Role};
use aire_wire::{
    CarrierClose, Notice, NoticeKind, NoticeVersions, ResetCode, Revocation, RevocationsBody, Subject,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::RunError;
use crate::agent::Agent;
use crate::happening::{Happening, Kind};
use crate::upkeep::HEAD_START;

/// How often the authority's folder is looked at.
const FOLDER_INTERVAL: Duration = Duration::from_millis(200);
/// What takes somebody out of the mesh comes before what changes the rules for those who stay.
const ORDER: [NoticeKind; 2] = [NoticeKind::Revocations, NoticeKind::Policy];

/// What the notices in force say here.
#[derive(Debug, Default)]
pub(crate) struct InForce {
    adopted: Notify,
    revocations: Mutex<RevocationsBody>,
}

impl InForce {
    /// There is a newer one.
    pub(crate) fn wake(&self) {
        self.adopted.notify_one();
    }
}

/// Puts what an earlier run kept into force. Called before anybody is talked to.
pub(crate) fn restore(agent: &Arc<Agent>) -> Result<(), RunError> {
    let damaged = |error: StateError| RunError::Membership(error.into());
    for notice in load_notices(&agent.config.state, agent.membership.trust()).map_err(damaged)? {
        let put = match notice.kind {
            NoticeKind::Policy => agent.put_policy(&notice),
            NoticeKind::Revocations => agent.put_revocations(&notice).map(drop),
        };
        put.map_err(|why| RunError::Notice { kind: notice.kind, version: notice.version, why })?;
        agent.control(|_, control| control.restore_notice(notice));
    }
    Ok(())
}

/// Carries out what is adopted, for as long as the agent runs. What [`restore`] put into force is done.
pub(crate) async fn follow(agent: Arc<Agent>, mut done: NoticeVersions) {
    loop {
        for kind in ORDER {
            let newest = agent.look(|control| control.notice(kind).cloned());
            let Some(notice) = newest.filter(|notice| notice.version > done.of(kind)) else { continue };
            done.set(kind, notice.version);
            tokio::join!(agent.carry_out_notice(&notice), keep(&agent, notice.clone()));
        }
        agent.in_force.adopted.notified().await;
    }
}

async fn keep(agent: &Agent, notice: Notice) {
    let dir = agent.config.state.clone();
    let kept = tokio::task::spawn_blocking(move || aire_identity::keep_notice(&dir, &notice)).await;
    if let Ok(Err(error)) = kept {
        agent.tell(Happening::new(Kind::Machine, error.to_string()));
    }
}

/// Takes a notice in, from a peer or (`None`) out of the authority's folder.
pub(crate) fn receive(agent: &Arc<Agent>, from: Option<&NodeName>, notice: Notice) {
    if agent.control(|now, control| control.wants_notice(now, from, &notice)) {
        // Outside the control plane's lock.
        let genuine = agent.membership.trust().verify_notice(&notice).map_err(|error| error.to_string());
        agent.control(|now, control| control.handle_notice(now, from, notice, genuine));
    }
}

/// Follows what the command line writes into the authority's folder, on the agent that holds it.
pub(crate) async fn watch_authority(agent: Arc<Agent>) {
    let mut broken = None;
    loop {
        let watching = Arc::clone(&agent);
        match tokio::task::spawn_blocking(move || look(&watching)).await {
            Ok(Ok(())) => broken = None,
            Ok(Err(error)) if broken.as_ref() != Some(&error) => {
                agent.tell(Happening::new(Kind::Machine, error.clone()));
                broken = Some(error);
            }
            _ => {}
        }
        tokio::time::sleep(FOLDER_INTERVAL).await;
    }
}

fn look(agent: &Arc<Agent>) -> Result<(), String> {
    let Some(authority) = &agent.authority else { return Ok(()) };
    for kind in ORDER {
        let written = authority.versions(kind).map_err(|error| error.to_string())?.last().copied();
        let held = agent.look(|control| control.notice(kind).cloned());
        let (written, known) = (written.unwrap_or(0), held.as_ref().map_or(0, |notice| notice.version));
        if written > known {
            let notice = authority.notice_of(kind, written).map_err(|error| error.to_string())?;
            notice.into_iter().for_each(|notice| receive(agent, None, notice));
        } else if let Some(held) = held.filter(|_| written < known)
            && authority.keep_newer(&held).map_err(|error| error.to_string())?
        {
            let text = format!(
                "the authority's folder knew {kind} {written} and the mesh {known}; was it restored from a copy?"
            );
            agent.tell(Happening::new(Kind::Machine, text));
        }
    }
    Ok(())
}

fn subjects(list: &RevocationsBody) -> BTreeSet<Subject> {
    list.revoked.iter().map(|revocation| revocation.subject.clone()).collect()
}

fn because(revocation: &Revocation) -> String {
    if revocation.reason.is_empty() { String::new() } else { format!(": {}", revocation.reason) }
}

impl Agent {
    /// Why this node is out of the mesh, if it is.
    pub(crate) fn revoked(&self) -> Option<String> {
        let subject = self.membership.trust().revoked(&self.membership.identity())?;
        let list = self.in_force.revocations.lock();
        Some(format!("{subject} was revoked{}", list.of(&subject).map(because).unwrap_or_default()))
    }

    fn put_policy(&self, notice: &Notice) -> Result<(), String> {
        let body = notice.policy().map_err(|error| error.to_string())?;
        let named = |text: aire_wire::PolicyText| {
            (format!("mesh policy {}, {}", notice.version, text.name), text.text)
        };
        let texts = body.texts.map(|texts| texts.into_iter().map(named).collect::<Vec<_>>());
        let set = texts.map(|texts| PolicySet::parse(&texts)).transpose();
        self.gate.set_bundle(set.map_err(|error| error.to_string())?);
        Ok(())
    }

    /// What was in force before.
    fn put_revocations(&self, notice: &Notice) -> Result<RevocationsBody, String> {
        let list = notice.revocations().map_err(|error| error.to_string())?;
        self.membership.trust().set_revoked(subjects(&list));
        Ok(std::mem::replace(&mut *self.in_force.revocations.lock(), list))
    }

    async fn carry_out_notice(self: &Arc<Self>, notice: &Notice) {
        let carried_out = match notice.kind {
            NoticeKind::Policy => match self.put_policy(notice) {
                Ok(()) => {
                    let text = format!("version {} of the mesh's policy is in force", notice.version);
                    self.tell(Happening::new(Kind::PolicyLoaded, text));
                    self.reauthorize().await;
                    Ok(())
                }
                Err(why) => Err(why),
            },
            NoticeKind::Revocations => match self.put_revocations(notice) {
                Ok(before) => {
                    self.carry_out_revocations(&before).await;
                    Ok(())
                }
                Err(why) => Err(why),
            },
        };
        if let Err(why) = carried_out {
            let Notice { kind, version, .. } = notice;
            let text = format!(
                "version {version} of the mesh's {kind} cannot be used, so the one before stays in force: {why}"
            );
            self.tell(Happening::new(Kind::PolicyInvalid, text));
        }
    }

    async fn carry_out_revocations(self: &Arc<Self>, before: &RevocationsBody) {
        let list = self.in_force.revocations.lock().clone();
        for revocation in list.revoked.iter().filter(|now| before.of(&now.subject).is_none()) {
            let text = format!("{} was revoked{}", revocation.subject, because(revocation));
            self.tell(Happening::new(Kind::Revoked, text));
        }
        for revocation in before.revoked.iter().filter(|then| list.of(&then.subject).is_none()) {
            let text = format!("{} is a member again", revocation.subject);
            self.tell(Happening::new(Kind::Reinstated, text));
        }
        self.cut_revoked();
        tokio::time::sleep(HEAD_START).await;
        self.control(|now, control| control.revoke(now, subjects(&list)));
    }

    /// Ends the associations with revoked peers; all, where this node is revoked itself.
    fn cut_revoked(self: &Arc<Self>) {
        let own = self.revoked();
        let incoming = self.all_incoming();
        for held in incoming {
            if let Some(why) = own.clone().or_else(|| self.why_revoked(held.peer())) {
                held.end(self, ResetCode::Revoked, CarrierClose::Revoked, &why);
            }
        }
        let mesh = self.membership.identity().mesh;
        for held in self.all_outgoing() {
            let (role, node) = (Role::App(held.instance.app.clone()), held.instance.node.clone());
            let peer = Identity { mesh: mesh.clone(), role, node };
            if let Some(why) = own.clone().or_else(|| self.why_revoked(&peer)) {
                held.end(ResetCode::Revoked, CarrierClose::Revoked, &why);
            }
        }
    }

    /// Why a peer does not count any more, if that is so.
    pub(crate) fn why_revoked(&self, peer: &Identity) -> Option<String> {
        Some(format!("{} was revoked", self.membership.trust().revoked(peer)?))
    }
}
