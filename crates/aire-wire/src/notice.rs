use std::fmt;
use std::str::FromStr;

use aire_types::{AppName, MeshName, NameError, NodeName};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::code::NoticeKind;
use crate::codec::{put_bytes, put_text};
use crate::{DecodeError, Reader, put_varint};

/// The longest body of a notice, bytes: with the rest it fits into one message.
pub const MAX_NOTICE_BODY: usize = 62 * 1024;
const MAX_NAME: usize = 63;
const MAX_SIGNATURE: usize = 128;

/// What the authority says to the whole mesh, signed with the key of its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it is about; versions are counted for each kind.
    pub kind: NoticeKind,
    /// From 1. Of two notices of a kind the higher one stands.
    pub version: u64,
    /// For which mesh.
    pub mesh: MeshName,
    /// When it was signed, seconds since 1970; for people.
    pub issued: u64,
    /// A [`PolicyBody`] or a [`RevocationsBody`] as JSON.
    pub body: Vec<u8>,
    /// ECDSA P-256 over [`Notice::signed`].
    pub signature: Vec<u8>,
}

/// The versions of both kinds that somebody holds; 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeVersions {
    /// Of the policy.
    pub policy: u64,
    /// Of the revocations.
    pub revocations: u64,
}

impl NoticeVersions {
    /// That of one kind.
    pub const fn of(self, kind: NoticeKind) -> u64 {
        match kind {
            NoticeKind::Policy => self.policy,
            NoticeKind::Revocations => self.revocations,
        }
    }

    /// Sets that of one kind.
    pub const fn set(&mut self, kind: NoticeKind, version: u64) {
        match kind {
            NoticeKind::Policy => self.policy = version,
            NoticeKind::Revocations => self.revocations = version,
        }
    }
}

impl NoticeKind {
    /// Both.
    pub const ALL: [NoticeKind; 2] = [NoticeKind::Policy, NoticeKind::Revocations];
}

impl Notice {
    /// The bytes that the signature covers.
    pub fn signed(&self) -> Vec<u8> {
        let mut out = b"aire notice 1".to_vec();
        self.write_fields(&mut out);
        out
    }

    fn write_fields(&self, out: &mut Vec<u8>) {
        out.push(self.kind.to_byte());
        put_varint(out, self.version);
        put_text(out, self.mesh.as_str(), MAX_NAME);
        out.extend_from_slice(&self.issued.to_be_bytes());
        put_bytes(out, &self.body);
    }

    /// Its bytes, as they are kept in a file and sent behind a message's type.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body.len() + 256);
        self.write(&mut out);
        out
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.write_fields(out);
        put_bytes(out, &self.signature);
    }

    /// Reads what [`Notice::encode`] wrote; the signature is not checked.
    ///
    /// # Errors
    /// Not a notice.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u8("notice kind")?;
        let notice = Self::read(&mut reader, kind)?;
        reader.end()?;
        Ok(notice)
    }

    /// Reads what follows the kind.
    pub(crate) fn read(reader: &mut Reader<'_>, kind: u8) -> Result<Self, DecodeError> {
        let malformed = |error: NameError| DecodeError::Malformed { what: "mesh", why: error.to_string() };
        Ok(Notice {
            kind: crate::control::known("notice kind", kind, NoticeKind::from_byte)?,
            version: reader.varint("notice version")?,
            mesh: MeshName::new(reader.text(MAX_NAME, "mesh")?).map_err(malformed)?,
            issued: reader.u64("issued")?,
            body: reader.bytes(MAX_NOTICE_BODY, "notice body")?.to_vec(),
            signature: reader.bytes(MAX_SIGNATURE, "signature")?.to_vec(),
        })
    }

    /// The body of a policy.
    ///
    /// # Errors
    /// Not JSON of the documented form.
    pub fn policy(&self) -> Result<PolicyBody, DecodeError> {
        self.parse("policy notice")
    }

    /// The body of revocations.
    ///
    /// # Errors
    /// Not JSON of the documented form.
    pub fn revocations(&self) -> Result<RevocationsBody, DecodeError> {
        self.parse("revocations notice")
    }

    fn parse<T: DeserializeOwned>(&self, what: &'static str) -> Result<T, DecodeError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| DecodeError::Malformed { what, why: error.to_string() })
    }
}

/// The mesh's policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyBody {
    /// The texts; `None` where the mesh has no policies of its own (any more).
    pub texts: Option<Vec<PolicyText>>,
}

/// One policy file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyText {
    /// What verdicts call it.
    pub name: String,
    /// Cedar.
    pub text: String,
}

/// All that is revoked now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationsBody {
    /// In order of [`Subject`].
    pub revoked: Vec<Revocation>,
}

impl RevocationsBody {
    /// The revocation of `subject`.
    pub fn of(&self, subject: &Subject) -> Option<&Revocation> {
        self.revoked.iter().find(|revocation| revocation.subject == *subject)
    }
}

/// That somebody's certificates do not count any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Whose.
    pub subject: Subject,
    /// Since when, seconds since 1970.
    pub since: u64,
    /// Why, as the operator said; may be empty.
    pub reason: String,
}

/// Whom a revocation is about. As text `node/NAME` or `app/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// One node, whatever it serves.
    Node(NodeName),
    /// All instances of an app.
    App(AppName),
}

/// Why a text names neither a node nor an app.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// It does not say which of both is meant.
    #[error("'{0}' may be a node or an app; say node/{0} or app/{0}")]
    Ambiguous(String),
    /// The name is none.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        match text.split_once('/') {
            Some(("node", name)) => Ok(Subject::Node(name.parse()?)),
            Some(("app", name)) => Ok(Subject::App(name.parse()?)),
            _ => Err(SubjectError::Ambiguous(text.rsplit('/').next().unwrap_or_default().to_owned())),
        }
    }
}

impl TryFrom<String> for Subject {
    type Error = SubjectError;

    fn try_from(text: String) -> Result<Self, SubjectError> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> String {
        subject.to_string()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Node(node) => write!(f, "node/{node}"),
            Subject::App(app) => write!(f, "app/{app}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_notice_fits_into_a_message_and_a_larger_one_is_refused() {
        let mut notice = Notice {
            kind: NoticeKind::Policy,
            version: (1 << 62) - 1,
            mesh: MeshName::new(&"m".repeat(63)).unwrap(),
            issued: 1,
            body: vec![b' '; MAX_NOTICE_BODY],
            signature: vec![1; MAX_SIGNATURE],
        };
        assert!(crate::Message::Notice(notice.clone()).encode().len() <= crate::MAX_MESSAGE);
        assert_eq!(Notice::decode(&notice.encode()).as_ref(), Ok(&notice));
        notice.body.push(b' ');
        assert!(Notice::decode(&notice.encode()).is_err());
    }

    #[test]
    fn a_subject_says_what_it_is() {
        for text in ["node/n1", "app/echo"] {
            assert_eq!(text.parse::<Subject>().unwrap().to_string(), text);
        }
        for (text, told) in
            [("echo", "say node/echo or app/echo"), ("relay/r1", "node/r1"), ("node/", "empty")]
        {
            let error = text.parse::<Subject>().unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn bodies_are_the_documented_json() {
        let body = RevocationsBody {
            revoked: vec![Revocation {
                subject: "app/echo".parse().unwrap(),
                since: 7,
                reason: "stolen".into(),
            }],
        };
        let json = serde_json::to_string(&body).unwrap();
        assert_eq!(json, r#"{"revoked":[{"subject":"app/echo","since":7,"reason":"stolen"}]}"#);
        assert_eq!(serde_json::from_str::<RevocationsBody>(&json).unwrap(), body);
        assert_eq!(serde_json::to_string(&PolicyBody { texts: None }).unwrap(), r#"{"texts":null}"#);
    }
}
