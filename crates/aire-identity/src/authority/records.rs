//! What the authority remembers: invitations and names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use aire_types::{MeshName, NodeName};

use crate::digest::Fingerprint;
use crate::state::{self, StateError};
use crate::token::Scope;

const INVITE_REMEDY: &str = "remove it and invite anew";
const NODE_REMEDY: &str = "restore it from a backup, or remove it: the next key that asks gets the name";

/// An invitation. Its file is named by the hash of the secret, so whoever reads it cannot use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Invite {
    pub(super) mesh: MeshName,
    pub(super) scope: Scope,
    /// Seconds since 1970.
    pub(super) expires: u64,
    pub(super) uses_left: u32,
    /// Ed25519, hexadecimal: checks proofs made with the secret.
    pub(super) public_key: String,
    /// The nodes that used it, and their keys: these may use it again, so that a crash locks nobody out.
    pub(super) used_by: BTreeMap<NodeName, Fingerprint>,
}

/// What a node's name is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    pub(super) key: Fingerprint,
    /// Seconds since 1970.
    pub(super) since: u64,
}

#[derive(Debug)]
pub(super) struct Records {
    invites: PathBuf,
    nodes: PathBuf,
}

impl Records {
    pub(super) fn create(dir: &Path) -> Result<(), StateError> {
        let records = Self::at(dir);
        state::private_dir(&records.invites)?;
        state::private_dir(&records.nodes)
    }

    pub(super) fn open(dir: &Path) -> Result<Self, StateError> {
        // A backup without empty directories is a good backup.
        Self::create(dir)?;
        Ok(Self::at(dir))
    }

    fn at(dir: &Path) -> Self {
        Records { invites: dir.join("invites"), nodes: dir.join("nodes") }
    }

    fn invite_path(&self, id: &Fingerprint) -> PathBuf {
        self.invites.join(format!("{id}.json"))
    }

    fn node_path(&self, node: &NodeName) -> PathBuf {
        self.nodes.join(format!("{node}.json"))
    }

    pub(super) fn invite(&self, id: &Fingerprint) -> Result<Option<Invite>, StateError> {
        read(&self.invite_path(id), INVITE_REMEDY)
    }

    pub(super) fn write_invite(&self, id: &Fingerprint, invite: &Invite) -> Result<(), StateError> {
        write(&self.invite_path(id), invite)
    }

    pub(super) fn node(&self, node: &NodeName) -> Result<Option<Node>, StateError> {
        read(&self.node_path(node), NODE_REMEDY)
    }

    pub(super) fn write_node(&self, node: &NodeName, record: &Node) -> Result<(), StateError> {
        write(&self.node_path(node), record)
    }
}

fn read<T: DeserializeOwned>(path: &Path, remedy: &'static str) -> Result<Option<T>, StateError> {
    let Some(bytes) = state::read_optional(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| StateError::corrupt(path, error, remedy))
}

fn write(path: &Path, record: &impl Serialize) -> Result<(), StateError> {
    state::write_atomic(path, &encode(record))
}

fn encode(record: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(record).expect("names and numbers always encode");
    text.push(b'\n');
    text
}

/// What an authority remembers, without files, for fuzz targets.
#[cfg(feature = "fuzzing")]
pub mod fuzzing {
    use std::fmt::Debug;

    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::{Invite, Node, encode};

    /// Reads an invitation.
    ///
    /// # Panics
    /// It would not be read as it is written.
    pub fn invite(bytes: &[u8]) {
        there_and_back::<Invite>(bytes);
    }

    /// Reads what a name is bound to.
    ///
    /// # Panics
    /// It would not be read as it is written.
    pub fn node(bytes: &[u8]) {
        there_and_back::<Node>(bytes);
    }

    fn there_and_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
        if let Ok(record) = serde_json::from_slice::<T>(bytes) {
            let again: T = serde_json::from_slice(&encode(&record)).expect("what is written can be read");
            assert_eq!(record, again);
        }
    }
}
