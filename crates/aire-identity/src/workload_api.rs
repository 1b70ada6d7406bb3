//! Identities from the SPIFFE Workload API (of a SPIRE agent, for one), streamed while they are renewed.

use std::pin::Pin;
use std::time::{Duration, SystemTime};

use futures::{Stream, StreamExt};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde::{Serialize, Serializer};
use spiffe::transport::Endpoint;
use spiffe::{WorkloadApiClient, WorkloadApiError as ApiError, X509Context, X509Svid};
use tokio::time::timeout;

use aire_types::{Identity, NodeName, Role};

use crate::issued::{Issued, IssuedError};
use crate::key::{KeyError, NodeKey};

/// How long the API may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the Workload API gives no identity.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadApiError {
    /// The configuration.
    #[error("'{0}' is no address of a Workload API: {1}; it looks like unix:///run/spire/agent.sock")]
    Endpoint(String, String),
    /// Nobody is there.
    #[error(
        "no SPIFFE Workload API answers at {endpoint}: {why}; check that the SPIRE agent runs, that this is its socket, and that this user may open it"
    )]
    Unreachable {
        /// Where it was looked for.
        endpoint: String,
        /// What the system said.
        why: String,
    },
    /// It does not know this process.
    #[error(
        "the Workload API at {0} has no identity for this process; register an entry whose selectors match it, such as 'spire-server entry create -spiffeID spiffe://MESH/app/APP/NODE -selector unix:uid:UID -parentID …'"
    )]
    NotRegistered(String),
    /// It gave something that cannot be read.
    #[error("the Workload API at {endpoint} failed: {why}; look at the SPIRE agent's log")]
    Failed {
        /// Where it is.
        endpoint: String,
        /// What went wrong.
        why: String,
    },
    /// None of the identities is that of this node.
    #[error(
        "the Workload API gave {given}, and this node needs {wanted}; register that id for it, or start with the --node and --app that are registered"
    )]
    NotOurs {
        /// The ids that it gave.
        given: String,
        /// The id, or ids, that would do.
        wanted: String,
    },
    /// The key of the identity.
    #[error("the Workload API's SVID: {0}; set its key type to ec-p256")]
    Key(#[from] KeyError),
    /// The parts of the identity do not belong together.
    #[error("the Workload API's SVID: {0}")]
    Issued(#[from] IssuedError),
}

/// The address of a Workload API, and for whom it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadApi {
    endpoint: Endpoint,
    text: String,
}

/// What the API sends, now and whenever it changes.
pub struct Updates {
    api: WorkloadApi,
    stream: Pin<Box<dyn Stream<Item = Result<X509Context, ApiError>> + Send>>,
}

impl Serialize for WorkloadApi {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl WorkloadApi {
    /// The API at `unix:///PATH` (or `tcp://IP:PORT`).
    ///
    /// # Errors
    /// The text is no such address.
    pub fn new(text: &str) -> Result<Self, WorkloadApiError> {
        let endpoint = Endpoint::parse(text)
            .map_err(|error| WorkloadApiError::Endpoint(text.to_owned(), error.to_string()))?;
        Ok(WorkloadApi { endpoint, text: text.to_owned() })
    }

    /// Where it is.
    pub fn endpoint(&self) -> &str {
        &self.text
    }

    /// Begins to follow what it issues.
    ///
    /// # Errors
    /// It cannot be reached, or refuses.
    pub async fn watch(&self) -> Result<Updates, WorkloadApiError> {
        let open = async {
            let client = WorkloadApiClient::connect(self.endpoint.clone()).await?;
            client.stream_x509_contexts().await
        };
        match timeout(PATIENCE, open).await {
            Ok(Ok(stream)) => Ok(Updates { api: self.clone(), stream: Box::pin(stream) }),
            Ok(Err(error)) => Err(self.refused(&error)),
            Err(_) => Err(self.unreachable("it does not answer".to_owned())),
        }
    }

    /// The identity that it gives `node` now, as one of `role` where that is said.
    ///
    /// # Errors
    /// See [`WorkloadApiError`].
    pub async fn fetch(&self, node: &NodeName, role: Option<&Role>) -> Result<Issued, WorkloadApiError> {
        let mut updates = self.watch().await?;
        match timeout(PATIENCE, updates.next(node, role)).await {
            Ok(issued) => issued,
            Err(_) => Err(self.unreachable("it does not answer".to_owned())),
        }
    }

    fn unreachable(&self, why: String) -> WorkloadApiError {
        WorkloadApiError::Unreachable { endpoint: self.text.clone(), why }
    }

    fn refused(&self, error: &ApiError) -> WorkloadApiError {
        let (endpoint, why) = (self.text.clone(), spelled_out(error));
        match error {
            ApiError::NoIdentityIssued | ApiError::PermissionDenied(_) => {
                WorkloadApiError::NotRegistered(endpoint)
            }
            ApiError::Transport(_) => WorkloadApiError::Unreachable { endpoint, why },
            _ => WorkloadApiError::Failed { endpoint, why },
        }
    }
}

impl Updates {
    /// Waits for the next identity of `node`, as one of `role` where that is said. An identity that does not fit is an
    /// error after which the next one may be waited for; so is not [`WorkloadApiError::Unreachable`].
    ///
    /// # Errors
    /// See [`WorkloadApiError`].
    pub async fn next(&mut self, node: &NodeName, role: Option<&Role>) -> Result<Issued, WorkloadApiError> {
        match self.stream.next().await {
            Some(Ok(context)) => choose(&context, node, role),
            Some(Err(error)) => Err(self.api.refused(&error)),
            None => Err(self.api.unreachable("it ended the stream".to_owned())),
        }
    }
}

/// An error with all its causes.
fn spelled_out(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// A process may have several identities; the node's is taken.
fn choose(context: &X509Context, node: &NodeName, role: Option<&Role>) -> Result<Issued, WorkloadApiError> {
    let fits = |svid: &X509Svid| {
        let id: Result<Identity, _> = svid.spiffe_id().to_string().parse();
        id.is_ok_and(|id| id.node == *node && role.is_none_or(|role| id.role == *role))
    };
    let Some(svid) = context.svids().iter().find(|svid| fits(svid)) else {
        let given: Vec<String> = context.svids().iter().map(|svid| svid.spiffe_id().to_string()).collect();
        let wanted = match role {
            Some(Role::App(app)) => format!("spiffe://MESH/app/{app}/{node}"),
            Some(Role::Relay) => format!("spiffe://MESH/relay/{node}"),
            None => format!("spiffe://MESH/app/APP/{node} or spiffe://MESH/relay/{node}"),
        };
        return Err(WorkloadApiError::NotOurs { given: given.join(", "), wanted });
    };
    let der = |certificate: &spiffe::Certificate| CertificateDer::from(certificate.as_bytes().to_vec());
    let chain = svid.cert_chain().iter().map(der).collect();
    let bundle = context.bundle_set().get(svid.spiffe_id().trust_domain());
    let roots = bundle.map(|bundle| bundle.authorities().iter().map(der).collect()).unwrap_or_default();
    let key = NodeKey::from_der(PrivatePkcs8KeyDer::from(svid.private_key().as_bytes()).into())?;
    Ok(Issued::new(chain, key, roots, SystemTime::now())?)
}
