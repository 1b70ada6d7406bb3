//! Who a workload is, and how it proves it: the mesh certificate authority, enrolment tokens, SVIDs, their
//! rotation, and the TLS configurations that rest on them.
//!
//! No sockets and no runtime, but for [`WorkloadApi`]: the caller moves bytes and passes the time of day. [`Authority`], [`NodeKey`],
//! [`Svid`] and [`TrustBundle`] read and write small files with `fsync`, so an asynchronous caller runs them on a
//! blocking thread.
//!
//! The way of a node into the mesh: [`Token::parse`], [`NodeKey::load_or_generate`], [`EnrolRequest::with_token`],
//! a connection with [`enrol_client_config`], [`Authority::answer`] on the other end,
//! [`EnrolResponse::accept_enrolment`], [`Svid::save`]. From then on [`Rotation`] says when to send
//! [`EnrolRequest::renewal`] over a mutually authenticated connection.
//!
//! Other sources of identities are [`Files`] and [`WorkloadApi`]; what they give is an [`Issued`].

mod authority;
mod csr;
mod digest;
mod enrol;
mod explain;
mod files;
mod issued;
mod key;
mod leaf;
mod notices;
mod pem;
mod rotation;
mod secret;
mod state;
mod svid;
mod tls;
mod token;
mod trust;
mod verifier;
mod workload_api;

#[cfg(feature = "fuzzing")]
pub use authority::fuzzing;
pub use authority::{Authority, CA_LIFETIME, CLOCK_SKEW, EnrolError, NoticeError, SVID_LIFETIME};
pub use digest::Fingerprint;
pub use enrol::{EnrolRequest, EnrolResponse, JoinError, MAX_MESSAGE, MessageError, Refusal};
pub use explain::explain_tls;
pub use files::{Files, FilesError, Stamp};
pub use issued::{Issued, IssuedError};
pub use key::{KeyError, NodeKey, PublicKey, SignatureError};
pub use leaf::claimed_identity;
pub use notices::{keep_notice, load_notices};
pub use rotation::Rotation;
pub use state::{StateError, StateLock};
pub use svid::Svid;
pub use tls::{TlsError, client_config, enrol_client_config, enrol_server_config, server_config};
pub use token::{Scope, Token, TokenError};
pub use trust::{TrustBundle, TrustError, Verified};
pub use workload_api::{Updates, WorkloadApi, WorkloadApiError};
