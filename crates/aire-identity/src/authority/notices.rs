//! What the authority says to the whole mesh: policies and revocations, each version in a file of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aire_types::{Identity, NodeName, Role};
use aire_wire::{
    MAX_NOTICE_BODY, Notice, NoticeKind, PolicyBody, PolicyText, Revocation, RevocationsBody, Subject,
};
use serde::Serialize;

use crate::leaf::unix_seconds;
use crate::state::{self, StateError};

use super::Authority;

const DIR: &str = "notices";
/// Versions that are kept of each kind.
const KEPT: usize = 100;
/// The longest reason of a revocation, bytes.
const MAX_REASON: usize = 256;
const REMEDY: &str = "remove it, or restore it from a backup";

/// Why the authority does not say it.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// It would not fit into one message.
    #[error(
        "it takes {length} bytes, and a notice holds {MAX_NOTICE_BODY}; shorten the policies, or keep what concerns few nodes in their own files"
    )]
    Policy {
        /// How long its body is.
        length: usize,
    },
    /// Too much is revoked.
    #[error(
        "the list of revocations would take {length} bytes, and a notice holds {MAX_NOTICE_BODY}; take back revocations of nodes whose certificates ran out long ago, and remove their nodes/NODE.json only if their names may be used again"
    )]
    Revocations {
        /// How long its body is.
        length: usize,
    },
    /// A reason that is too long.
    #[error("the reason is longer than {MAX_REASON} bytes")]
    Reason,
    /// Nothing was ever published.
    #[error("no policy was published yet; 'aire mesh policy publish FILE' does that")]
    NoPolicy,
    /// There is none before.
    #[error(
        "there is no version before {current}; 'aire mesh policy withdraw' leaves the mesh without policies of its own"
    )]
    NoEarlier {
        /// The one in force.
        current: u64,
    },
    /// Not kept (any more), or never there.
    #[error("version {0} is not kept; 'aire mesh policy history' lists those that are")]
    NoVersion(u64),
    /// A name that never joined.
    #[error("no node {0} ever joined this mesh; check the name ('aire peers' lists them)")]
    NoNode(NodeName),
    /// Nothing to take back.
    #[error("{0} is not revoked; 'aire mesh revoked' lists what is")]
    NotRevoked(Subject),
    /// The authority's disk, or a bug.
    #[error(transparent)]
    State(#[from] StateError),
}

fn version_of(name: &str, kind: NoticeKind) -> Option<u64> {
    name.strip_prefix(&format!("{kind}-"))?.strip_suffix(".notice")?.parse().ok()
}

impl Authority {
    /// Publishes policies, or, with `None`, that the mesh has none of its own any more. The texts are not checked here.
    ///
    /// # Errors
    /// See [`NoticeError`].
    pub fn publish_policy(
        &self,
        texts: Option<Vec<PolicyText>>,
        now: SystemTime,
    ) -> Result<Notice, NoticeError> {
        let _lock = self.lock()?;
        let body = encode(&PolicyBody { texts });
        if body.len() > MAX_NOTICE_BODY {
            return Err(NoticeError::Policy { length: body.len() });
        }
        Ok(self.say(NoticeKind::Policy, body, now)?)
    }

    /// Publishes the content of an earlier version once more, as the next one; by default of the one before the
    /// current. Says whose content it is.
    ///
    /// # Errors
    /// See [`NoticeError`].
    pub fn roll_policy_back(
        &self,
        version: Option<u64>,
        now: SystemTime,
    ) -> Result<(Notice, u64), NoticeError> {
        let _lock = self.lock()?;
        let versions = self.versions(NoticeKind::Policy)?;
        let current = *versions.last().ok_or(NoticeError::NoPolicy)?;
        let earlier = || versions.iter().rev().nth(1).copied().ok_or(NoticeError::NoEarlier { current });
        let wanted = version.map_or_else(earlier, Ok)?;
        let old = self.notice_of(NoticeKind::Policy, wanted)?.ok_or(NoticeError::NoVersion(wanted))?;
        Ok((self.say(NoticeKind::Policy, old.body, now)?, wanted))
    }

    /// Takes somebody out of the mesh: no certificate from now on, and those that there are count no more. `None` when
    /// that is so already.
    ///
    /// # Errors
    /// See [`NoticeError`].
    pub fn revoke(
        &self,
        subject: &Subject,
        reason: &str,
        now: SystemTime,
    ) -> Result<Option<Notice>, NoticeError> {
        if reason.len() > MAX_REASON {
            return Err(NoticeError::Reason);
        }
        let _lock = self.lock()?;
        if let Subject::Node(node) = subject
            && self.records.node(node)?.is_none()
        {
            return Err(NoticeError::NoNode(node.clone()));
        }
        let mut list = self.revocations()?;
        if list.of(subject).is_some() {
            return Ok(None);
        }
        let (subject, reason) = (subject.clone(), reason.to_owned());
        list.revoked.push(Revocation { subject, since: unix_seconds(now), reason });
        list.revoked.sort_by(|a, b| a.subject.cmp(&b.subject));
        self.say_revocations(&list, now).map(Some)
    }

    /// Takes a revocation back.
    ///
    /// # Errors
    /// See [`NoticeError`].
    pub fn reinstate(&self, subject: &Subject, now: SystemTime) -> Result<Notice, NoticeError> {
        let _lock = self.lock()?;
        let mut list = self.revocations()?;
        let before = list.revoked.len();
        list.revoked.retain(|revocation| revocation.subject != *subject);
        if list.revoked.len() == before {
            return Err(NoticeError::NotRevoked(subject.clone()));
        }
        self.say_revocations(&list, now)
    }

    fn say_revocations(&self, list: &RevocationsBody, now: SystemTime) -> Result<Notice, NoticeError> {
        let body = encode(list);
        if body.len() > MAX_NOTICE_BODY {
            return Err(NoticeError::Revocations { length: body.len() });
        }
        Ok(self.say(NoticeKind::Revocations, body, now)?)
    }

    /// All that is revoked.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn revocations(&self) -> Result<RevocationsBody, StateError> {
        let Some(notice) = self.notice(NoticeKind::Revocations)? else {
            return Ok(RevocationsBody::default());
        };
        let path = self.notice_path(notice.kind, notice.version);
        notice.revocations().map_err(|error| StateError::corrupt(&path, error, REMEDY))
    }

    /// What takes `identity` out of the mesh.
    pub(super) fn revocation_of(&self, identity: &Identity) -> Result<Option<Revocation>, StateError> {
        let list = self.revocations()?;
        let node = Subject::Node(identity.node.clone());
        let app = match &identity.role {
            Role::App(app) => Some(Subject::App(app.clone())),
            Role::Relay => None,
        };
        Ok(list.of(&node).or_else(|| list.of(&app?)).cloned())
    }

    /// The newest notice of a kind.
    ///
    /// # Errors
    /// It cannot be read or is damaged.
    pub fn notice(&self, kind: NoticeKind) -> Result<Option<Notice>, StateError> {
        match self.versions(kind)?.last() {
            Some(version) => self.notice_of(kind, *version),
            None => Ok(None),
        }
    }

    /// A certain version of it, if it is kept.
    ///
    /// # Errors
    /// It cannot be read or is damaged.
    pub fn notice_of(&self, kind: NoticeKind, version: u64) -> Result<Option<Notice>, StateError> {
        let path = self.notice_path(kind, version);
        let Some(bytes) = state::read_optional(&path)? else { return Ok(None) };
        let corrupt = |what: &dyn ToString| StateError::corrupt(&path, what.to_string(), REMEDY);
        let notice = Notice::decode(&bytes).map_err(|error| corrupt(&error))?;
        let genuine = self.key.public_key().verify_signature(&notice.signed(), &notice.signature).is_ok();
        if !genuine || notice.mesh != self.mesh || (notice.kind, notice.version) != (kind, version) {
            return Err(corrupt(&"not what this authority signed for this place"));
        }
        Ok(Some(notice))
    }

    /// The versions of a kind that are kept, rising.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn versions(&self, kind: NoticeKind) -> Result<Vec<u64>, StateError> {
        let dir = self.dir.join(DIR);
        let failed = |source| StateError::Read { path: dir.clone(), source };
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        let mut versions = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            versions.extend(name.to_str().and_then(|name| version_of(name, kind)));
        }
        versions.sort_unstable();
        Ok(versions)
    }

    /// Keeps a notice that the mesh knows and this folder, restored from an older copy, does not: the next version is
    /// above it then. False where it is no news, or not of this authority.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep_newer(&self, notice: &Notice) -> Result<bool, StateError> {
        let _lock = self.lock()?;
        let known = self.versions(notice.kind)?.last().copied().unwrap_or(0);
        let genuine = self.key.public_key().verify_signature(&notice.signed(), &notice.signature).is_ok();
        let is_news = notice.version > known && genuine;
        if is_news {
            self.write_notice(notice)?;
        }
        Ok(is_news)
    }

    /// Signs the next version. Called with the lock held.
    fn say(&self, kind: NoticeKind, body: Vec<u8>, now: SystemTime) -> Result<Notice, StateError> {
        let version = self.versions(kind)?.last().map_or(1, |last| last + 1);
        let (mesh, issued) = (self.mesh.clone(), unix_seconds(now));
        let mut notice = Notice { kind, version, mesh, issued, body, signature: Vec::new() };
        notice.signature = self.key.sign(&notice.signed())?;
        self.write_notice(&notice)?;
        Ok(notice)
    }

    fn write_notice(&self, notice: &Notice) -> Result<(), StateError> {
        state::private_dir(&self.dir.join(DIR))?;
        state::write_atomic(&self.notice_path(notice.kind, notice.version), &notice.encode())?;
        let versions = self.versions(notice.kind)?;
        for old in versions.iter().rev().skip(KEPT) {
            // A leftover is harmless and removed the next time.
            let _ = fs::remove_file(self.notice_path(notice.kind, *old));
        }
        Ok(())
    }

    fn notice_path(&self, kind: NoticeKind, version: u64) -> PathBuf {
        Path::new(&self.dir).join(DIR).join(format!("{kind}-{version}.notice"))
    }
}

fn encode(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("texts and numbers always encode")
}
