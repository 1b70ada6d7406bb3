//! Who gets a certificate.

use std::time::{Duration, SystemTime};

use aire_types::{Identity, MeshName, NodeName, Role};
use aire_wire::{Revocation, Subject};

use crate::csr::{self, Wanted};
use crate::digest::Fingerprint;
use crate::enrol::{Body, Enrol, EnrolRequest, EnrolResponse, Refusal};
use crate::key::{NodeKey, PublicKey};
use crate::leaf::{moment, spoken, unix_seconds};
use crate::secret;
use crate::state::StateError;
use crate::svid::Svid;
use crate::token::Scope;
use crate::trust::Verified;

use super::Authority;
use super::records::{Invite, Node};

/// Why the authority gives no certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// No such invitation.
    #[error(
        "this authority gave no such token, or it was withdrawn; ask for a new one with 'aire mesh invite'"
    )]
    UnknownToken,
    /// The request was not made with the token's secret.
    #[error("the request was not made with the token that it names; whoever sent it does not hold the token")]
    Proof,
    /// The invitation is over.
    #[error("the token expired {} ago; ask for a new one with 'aire mesh invite'", spoken(*by))]
    Expired {
        /// How long ago.
        by: Duration,
    },
    /// Others used it.
    #[error("the token was used as often as it may be; ask for a new one with 'aire mesh invite --uses N'")]
    UsedUp,
    /// Another mesh.
    #[error(
        "the request is for mesh {asked}, and this is the authority of mesh {ours}; check the token and its seeds"
    )]
    WrongMesh {
        /// The mesh of the request.
        asked: MeshName,
        /// Our mesh.
        ours: MeshName,
    },
    /// The invitation is for something else.
    #[error("the token is for {granted}, and the node asked to be {asked}; ask for a token with that scope")]
    Scope {
        /// What the invitation is for.
        granted: Scope,
        /// What the node wants to be.
        asked: Identity,
    },
    /// A member asked for another identity or key than its own.
    #[error(
        "a certificate is renewed for the same identity and key only, and {0} asked for another; join with a token to change either"
    )]
    NotOwn(Identity),
    /// A renewal without a certificate.
    #[error(
        "a renewal needs a connection with the certificate to be renewed; if it expired, join with a token again"
    )]
    NotAMember,
    /// The signing request is unsound.
    #[error("the certificate signing request is refused: {0}; the asking agent is at fault")]
    Csr(String),
    /// Another key has the name.
    #[error(
        "the name {node} belongs to another key; choose another name, or, if the node lost its key, remove nodes/{node}.json on the authority"
    )]
    NameTaken {
        /// The name.
        node: NodeName,
    },
    /// The node or its app was taken out of the mesh.
    #[error("{subject} was revoked{}; 'aire mesh reinstate {subject}' takes it back", because(reason))]
    Revoked {
        /// Who.
        subject: Subject,
        /// Why, as the operator said; may be empty.
        reason: String,
    },
    /// The authority's own certificate is over.
    #[error("the authority's certificate expired; make a new mesh, or correct the authority's clock")]
    AuthorityExpired,
    /// The authority's disk or a bug.
    #[error("the authority failed: {0}")]
    State(#[from] StateError),
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

impl EnrolError {
    /// A word that programs may rely on.
    pub const fn code(&self) -> &'static str {
        match self {
            EnrolError::UnknownToken => "unknown-token",
            EnrolError::Proof => "proof",
            EnrolError::Expired { .. } => "expired",
            EnrolError::UsedUp => "used-up",
            EnrolError::WrongMesh { .. } => "wrong-mesh",
            EnrolError::Scope { .. } => "scope",
            EnrolError::NotOwn(_) => "not-own",
            EnrolError::NotAMember => "not-a-member",
            EnrolError::Csr(_) => "csr",
            EnrolError::NameTaken { .. } => "name-taken",
            EnrolError::Revoked { .. } => "revoked",
            EnrolError::AuthorityExpired => "authority-expired",
            EnrolError::State(_) => "authority-failed",
        }
    }

    /// What the asking node is told. The authority's paths are not its business.
    pub fn refusal(&self) -> Refusal {
        let message = match self {
            EnrolError::State(_) => "the authority failed; its log says why".to_owned(),
            other => other.to_string(),
        };
        Refusal { code: self.code().to_owned(), message }
    }
}

impl Authority {
    /// Answers a request that came over a connection with the member `peer`, or with a stranger. The error of a
    /// refusal is for the authority's log; [`EnrolError::refusal`] and [`EnrolResponse::refused`] make the answer.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub fn answer(
        &self,
        request: &EnrolRequest,
        peer: Option<&Verified>,
        now: SystemTime,
    ) -> Result<EnrolResponse, EnrolError> {
        match &request.0 {
            Body::Enrol(_) => self.enrol(request, now),
            Body::Renew { csr, .. } => {
                let peer = peer.ok_or(EnrolError::NotAMember)?;
                let svid = self.renew(peer.identity(), peer.public_key(), &csr.0, now)?;
                Ok(EnrolResponse::issued(&svid, &self.certificate))
            }
        }
    }

    /// Takes a node with a token into the mesh. A node that used the token before gets in again with the same key,
    /// whether or not the token is used up or expired since, so that a crash before it saved its certificate does not
    /// lock it out.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub fn enrol(&self, request: &EnrolRequest, now: SystemTime) -> Result<EnrolResponse, EnrolError> {
        let Body::Enrol(enrol) = &request.0 else { return Err(EnrolError::NotAMember) };
        if enrol.mesh != self.mesh {
            return Err(EnrolError::WrongMesh { asked: enrol.mesh.clone(), ours: self.mesh.clone() });
        }
        // Nothing is spent on strangers but this read and one signature check.
        let invite = self.invite_of(enrol)?;
        let wanted = csr::check(&enrol.csr.0).map_err(|error| EnrolError::Csr(error.to_string()))?;
        if wanted.identity != invite.scope.identity(&self.mesh, &enrol.node) {
            return Err(EnrolError::Scope { granted: invite.scope, asked: wanted.identity });
        }
        let lock = self.lock()?;
        // Read again: before the lock, another process may have changed it.
        let invite = self.invite_of(enrol)?;
        self.check_revoked(&wanted.identity)?;
        self.admit(&enrol.node, &enrol.invite, invite, &wanted, now)?;
        drop(lock);
        let svid = self.issue(&wanted.identity, &wanted.key, now)?;
        Ok(EnrolResponse::issued(&svid, &self.certificate))
    }

    fn invite_of(&self, enrol: &Enrol) -> Result<Invite, EnrolError> {
        let invite = self.records.invite(&enrol.invite)?.ok_or(EnrolError::UnknownToken)?;
        let public_key = hex::decode(&invite.public_key).unwrap_or_default();
        if !secret::proves(&public_key, &enrol.proven(), &enrol.proof.0) {
            return Err(EnrolError::Proof);
        }
        Ok(invite)
    }

    /// Binds the name, then spends a use; each step may be repeated after a crash. Called with the lock held.
    fn admit(
        &self,
        node: &NodeName,
        id: &Fingerprint,
        mut invite: Invite,
        wanted: &Wanted,
        now: SystemTime,
    ) -> Result<(), EnrolError> {
        let key = wanted.key.fingerprint();
        if invite.used_by.get(node) == Some(&key) {
            return self.bind(node, &wanted.key, now);
        }
        match now.duration_since(moment(i64::try_from(invite.expires).unwrap_or(i64::MAX))) {
            Ok(by) if !by.is_zero() => return Err(EnrolError::Expired { by }),
            _ => {}
        }
        invite.uses_left = invite.uses_left.checked_sub(1).ok_or(EnrolError::UsedUp)?;
        self.bind(node, &wanted.key, now)?;
        invite.used_by.insert(node.clone(), key);
        Ok(self.records.write_invite(id, &invite)?)
    }

    fn check_revoked(&self, identity: &Identity) -> Result<(), EnrolError> {
        match self.revocation_of(identity)? {
            Some(Revocation { subject, reason, .. }) => Err(EnrolError::Revoked { subject, reason }),
            None => Ok(()),
        }
    }

    /// Gives the name to the key, or finds that it has it. Called with the lock held.
    fn bind(&self, node: &NodeName, key: &PublicKey, now: SystemTime) -> Result<(), EnrolError> {
        match self.records.node(node)? {
            Some(record) if record.key == key.fingerprint() => Ok(()),
            Some(_) => Err(EnrolError::NameTaken { node: node.clone() }),
            None => {
                let record = Node { key: key.fingerprint(), since: unix_seconds(now) };
                Ok(self.records.write_node(node, &record)?)
            }
        }
    }

    fn issue(&self, identity: &Identity, key: &PublicKey, now: SystemTime) -> Result<Svid, EnrolError> {
        if now >= self.issuer.not_after() {
            return Err(EnrolError::AuthorityExpired);
        }
        Ok(self.issuer.issue(identity, key, now)?)
    }

    /// Renews the certificate of a member that the connection has shown to be `peer` with the key `key`.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub fn renew(
        &self,
        peer: &Identity,
        key: &PublicKey,
        csr_der: &[u8],
        now: SystemTime,
    ) -> Result<Svid, EnrolError> {
        if peer.mesh != self.mesh {
            return Err(EnrolError::WrongMesh { asked: peer.mesh.clone(), ours: self.mesh.clone() });
        }
        let wanted = csr::check(csr_der).map_err(|error| EnrolError::Csr(error.to_string()))?;
        if wanted.identity != *peer || wanted.key != *key {
            return Err(EnrolError::NotOwn(peer.clone()));
        }
        let lock = self.lock()?;
        self.check_revoked(peer)?;
        self.bind(&peer.node, key, now)?;
        drop(lock);
        self.issue(peer, key, now)
    }

    /// A certificate for the agent that holds the authority itself: no token, the same rules for its name.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub fn issue_own(
        &self,
        node: &NodeName,
        role: Role,
        key: &NodeKey,
        now: SystemTime,
    ) -> Result<Svid, EnrolError> {
        let identity = Identity { mesh: self.mesh.clone(), role, node: node.clone() };
        let lock = self.lock()?;
        self.check_revoked(&identity)?;
        self.bind(node, key.public_key(), now)?;
        drop(lock);
        self.issue(&identity, key.public_key(), now)
    }
}
