//! Certificates of the mesh's own authority, kept in the state folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use aire_identity::{
    Authority, EnrolRequest, EnrolResponse, Fingerprint, Issued, JoinError, NodeKey, StateError, Svid, Token,
    TrustBundle,
};
use aire_types::{MeshName, NodeName, Role};
use aire_wire::ALPN_ENROL;
use rustls::ClientConfig;

use super::{Membership, MembershipError, Source};

impl Membership {
    /// The membership kept in `dir`; `None` where there is none yet.
    pub(crate) fn load(dir: &Path, now: SystemTime) -> Result<Option<Self>, MembershipError> {
        let svid = match Svid::load(dir) {
            Err(StateError::Missing { .. }) => return Ok(None),
            other => other?,
        };
        let trust = TrustBundle::load(dir, svid.identity().mesh.clone())?;
        if svid.not_after() <= now {
            return Err(MembershipError::Expired);
        }
        trust.verify(svid.chain(), now)?;
        Self::kept(dir, NodeKey::load(dir)?, &trust, svid).map(Some)
    }

    fn kept(dir: &Path, key: NodeKey, trust: &TrustBundle, svid: Svid) -> Result<Self, MembershipError> {
        let issued = Issued { svid, key: Arc::new(key), roots: trust.certificates() };
        Self::new(Source::Authority(dir.to_owned()), issued)
    }

    fn save(dir: &Path, key: NodeKey, trust: &TrustBundle, svid: Svid) -> Result<Self, MembershipError> {
        trust.save(dir)?;
        svid.save(dir)?;
        Self::kept(dir, key, trust, svid)
    }

    /// Issues the certificate of the agent that holds the authority.
    pub(crate) fn issue(
        authority: &Authority,
        dir: &Path,
        node: &NodeName,
        role: Role,
        now: SystemTime,
    ) -> Result<Self, MembershipError> {
        let key = NodeKey::load_or_generate(dir)?;
        let svid = authority
            .issue_own(node, role, &key, now)
            .map_err(|error| JoinError::Refused(error.refusal()))?;
        Self::save(dir, key, &authority.bundle()?, svid)
    }

    /// The same certificate, issued anew.
    pub(crate) fn issue_again(&self, authority: &Authority, now: SystemTime) -> Result<(), MembershipError> {
        let current = self.current();
        let identity = current.svid.identity();
        let svid = authority
            .issue_own(&identity.node, identity.role.clone(), &current.key, now)
            .map_err(|error| JoinError::Refused(error.refusal()))?;
        self.renew(svid)
    }

    fn renew(&self, svid: Svid) -> Result<(), MembershipError> {
        if let Source::Authority(dir) = self.source() {
            svid.save(dir)?;
        }
        let key = Arc::clone(&self.current().key);
        let next = self.prepare(Issued { svid, key, roots: self.trust().certificates() })?;
        next.into_iter().for_each(|next| self.install(next));
        Ok(())
    }

    /// The request for a renewal.
    pub(crate) fn renewal(&self) -> Result<Vec<u8>, MembershipError> {
        let current = self.current();
        Ok(EnrolRequest::renewal(current.svid.identity(), &current.key)?.encode())
    }

    /// Takes the authority's answer to [`Membership::renewal`].
    pub(crate) fn renewed(&self, answer: &[u8], now: SystemTime) -> Result<(), MembershipError> {
        let response = EnrolResponse::decode(answer)?;
        let current = self.current();
        self.renew(response.accept_renewal(&current.svid, &current.key, self.trust(), now)?)
    }
}

/// A node on its way into the mesh.
pub(crate) struct Applicant {
    token: Token,
    node: NodeName,
    key: NodeKey,
    dir: PathBuf,
}

impl Applicant {
    /// Reads the token and makes the node's key.
    pub(crate) fn new(
        token: &str,
        node: &NodeName,
        dir: &Path,
        now: SystemTime,
    ) -> Result<Self, MembershipError> {
        let token = Token::parse(token)?;
        token.check(now)?;
        let key = NodeKey::load_or_generate(dir)?;
        Ok(Applicant { token, node: node.clone(), key, dir: dir.to_owned() })
    }

    pub(crate) fn mesh(&self) -> &MeshName {
        self.token.mesh()
    }

    pub(crate) fn ca(&self) -> &Fingerprint {
        self.token.ca()
    }

    pub(crate) fn seeds(&self) -> &[String] {
        self.token.seeds()
    }

    /// The role that the token gives.
    pub(crate) fn role(&self) -> Role {
        self.token.scope().identity(self.token.mesh(), &self.node).role
    }

    pub(crate) fn request(&self) -> Result<Vec<u8>, MembershipError> {
        Ok(EnrolRequest::with_token(&self.token, &self.node, &self.key)?.encode())
    }

    /// The TLS configuration that is pinned to the token's authority.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, MembershipError> {
        Ok(aire_identity::enrol_client_config(self.mesh(), self.ca(), &[ALPN_ENROL])?)
    }

    /// Takes the authority's answer to [`Applicant::request`].
    pub(crate) fn accept(self, answer: &[u8], now: SystemTime) -> Result<Membership, MembershipError> {
        let response = EnrolResponse::decode(answer)?;
        let (svid, trust) = response.accept_enrolment(&self.token, &self.node, &self.key, now)?;
        Membership::save(&self.dir, self.key, &trust, svid)
    }
}
