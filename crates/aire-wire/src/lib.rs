//! Bytes to messages and back: preambles, stream frames, control messages, probes.
//!
//! `docs/wire.md` is the specification. Decoders never allocate more than their input justifies and never panic.

mod code;
mod codec;
mod control;
mod datagram;
mod frame;
mod notice;
mod preamble;
mod probe;
mod record;
mod request;

pub use code::{CarrierClose, CircuitClose, NoticeKind, RefusalCode, ResetCode};
pub use codec::{DecodeError, Reader, put_bytes, put_text, put_varint, varint_len};
pub use control::{DigestEntry, MAX_MESSAGE, Message};
pub use datagram::{DATAGRAM_HEAD, DatagramHead, MAX_PAYLOAD, RELAYED_DATAGRAM, Towards};
pub use frame::{ACK_DELAY, Frame, INITIAL_CREDIT, MAX_DATA, StreamId};
pub use notice::{
    MAX_NOTICE_BODY, Notice, NoticeVersions, PolicyBody, PolicyText, Revocation, RevocationsBody, Subject,
    SubjectError,
};
pub use preamble::{PREAMBLE_LEN, Preamble, PreambleKind};
pub use probe::{PROBE_LEN, Probe, ProbeKind};
pub use record::{MAX_LEGS, MAX_LEGS_BYTES, Record, RecordBody};
pub use request::{Grant, Offer, Refusal, Request};

use std::fmt;

/// ALPN of links.
pub const ALPN_LINK: &[u8] = b"aire-link/1";
/// ALPN of carriers.
pub const ALPN_CARRIER: &[u8] = b"aire-carrier/1";
/// ALPN of enrolment.
pub const ALPN_ENROL: &[u8] = b"aire-enrol/1";
/// Label of the TLS exporter that a join proves itself with.
pub const EXPORTER_JOIN: &[u8] = b"EXPORTER-aire-join";
/// Label of the TLS exporter that the keys of datagrams come from.
pub const EXPORTER_DATAGRAM: &[u8] = b"EXPORTER-aire-datagram";

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
    };
}

id!(
    /// Names a circuit. Random, chosen by the source.
    CircuitId
);
id!(
    /// Names an association. Random, chosen by the source.
    AssociationId
);
