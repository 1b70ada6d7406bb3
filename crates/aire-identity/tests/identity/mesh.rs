use std::time::{Duration, SystemTime};

use aire_identity::{
    Authority, EnrolError, EnrolRequest, EnrolResponse, NodeKey, Scope, Svid, Token, TrustBundle, Verified,
};
use aire_types::NodeName;

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// A moment long ago, so that nothing depends on this machine's clock.
pub(crate) fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

pub(crate) fn node(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

pub(crate) fn app(name: &str) -> Scope {
    Scope::App(name.parse().unwrap())
}

pub(crate) struct Mesh {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) authority: Authority,
}

/// A node with all that it keeps.
pub(crate) struct Member {
    pub(crate) key: NodeKey,
    pub(crate) svid: Svid,
    pub(crate) bundle: TrustBundle,
}

impl Mesh {
    pub(crate) fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create(&dir.path().join("ca"), name.parse().unwrap(), start()).unwrap();
        Mesh { dir, authority }
    }

    pub(crate) fn invite(&self, scope: Scope, uses: u32) -> Token {
        let seeds = vec!["seed.example:7600".to_owned()];
        self.authority.invite(scope, HOUR, uses, seeds, start()).unwrap()
    }

    /// Enrols over the wire format, as an agent would.
    pub(crate) fn enrol(
        &self,
        token: &Token,
        name: &str,
        key: &NodeKey,
        now: SystemTime,
    ) -> Result<EnrolResponse, EnrolError> {
        let request = EnrolRequest::with_token(token, &node(name), key).unwrap().encode();
        let response = self.authority.enrol(&EnrolRequest::decode(&request).unwrap(), now)?;
        Ok(EnrolResponse::decode(&response.encode()).unwrap())
    }

    pub(crate) fn member(&self, scope: Scope, name: &str, now: SystemTime) -> Member {
        let token = self.authority.invite(scope, HOUR, 1, Vec::new(), now).unwrap();
        let key = NodeKey::generate().unwrap();
        let response = self.enrol(&token, name, &key, now).unwrap();
        let (svid, bundle) = response.accept_enrolment(&token, &node(name), &key, now).unwrap();
        Member { key, svid, bundle }
    }
}

impl Member {
    pub(crate) fn verified(&self, now: SystemTime) -> Verified {
        self.bundle.verify(self.svid.chain(), now).unwrap()
    }
}
