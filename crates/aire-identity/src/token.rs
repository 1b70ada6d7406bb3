use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use aire_types::{AppName, Identity, MeshName, NodeName, Role};

use crate::digest::{Fingerprint, sha256};
use crate::leaf::{moment, spoken};
use crate::secret::Secret;

const FAMILY: &str = "aire";
const VERSION: &str = "1";
/// Longer texts are no tokens; a token has a few hundred characters.
const MAX_TEXT: usize = 8 * 1024;
const CHECKSUM: usize = 6;

/// What an invitation may be used for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// An instance of this app.
    App(AppName),
    /// A relay.
    Relay,
}

impl Scope {
    /// The identity that `node` gets in `mesh` with this scope.
    pub fn identity(&self, mesh: &MeshName, node: &NodeName) -> Identity {
        let role = match self {
            Scope::App(app) => Role::App(app.clone()),
            Scope::Relay => Role::Relay,
        };
        Identity { mesh: mesh.clone(), role, node: node.clone() }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::App(app) => write!(f, "app {app}"),
            Scope::Relay => f.write_str("a relay"),
        }
    }
}

/// Why a text is not a token that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Changed or cut since it was printed.
    #[error("the token is damaged ({0}); copy all of it, or ask for a new one with 'aire mesh invite'")]
    Damaged(&'static str),
    /// Of another version of AIRE.
    #[error(
        "the token is of version '{0}' and this agent understands version {VERSION}; use the same release on both"
    )]
    Version(String),
    /// Too late.
    #[error("the token expired {} ago; check this machine's clock, or ask for a new one with 'aire mesh invite'", spoken(*by))]
    Expired {
        /// How long ago.
        by: Duration,
    },
}

/// An invitation to a mesh, good for as many nodes as it was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub(crate) mesh: MeshName,
    pub(crate) ca: Fingerprint,
    pub(crate) seeds: Vec<String>,
    pub(crate) secret: Secret,
    pub(crate) scope: Scope,
    pub(crate) expires: u64,
}

#[derive(Serialize, Deserialize)]
struct Content {
    mesh: MeshName,
    ca: String,
    seeds: Vec<String>,
    secret: String,
    scope: Scope,
    expires: u64,
}

impl Token {
    /// Reads a token's text; white space around it does not matter.
    ///
    /// # Errors
    /// It is damaged, or of another version. That it has expired is not looked at; see [`Token::check`].
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > MAX_TEXT {
            return Err(TokenError::Damaged("it is too long"));
        }
        let (prefix, body) =
            text.split_once('.').ok_or(TokenError::Damaged("it does not begin with 'aire1.'"))?;
        match prefix.strip_prefix(FAMILY) {
            Some(VERSION) => {}
            Some(other) if !other.is_empty() && other.bytes().all(|b| b.is_ascii_digit()) => {
                return Err(TokenError::Version(other.chars().take(20).collect()));
            }
            _ => return Err(TokenError::Damaged("it does not begin with 'aire1.'")),
        }
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| TokenError::Damaged("not base64"))?;
        let (content, sum) =
            bytes.split_last_chunk::<CHECKSUM>().ok_or(TokenError::Damaged("it is too short"))?;
        if checksum(content) != *sum {
            return Err(TokenError::Damaged("its checksum is wrong"));
        }
        Self::from_content(content).ok_or(TokenError::Damaged("its content is not that of a token"))
    }

    fn from_content(json: &[u8]) -> Option<Self> {
        let content: Content = serde_json::from_slice(json).ok()?;
        let secret: [u8; 32] = URL_SAFE_NO_PAD.decode(content.secret).ok()?.try_into().ok()?;
        let ca: [u8; 32] = URL_SAFE_NO_PAD.decode(content.ca).ok()?.try_into().ok()?;
        Some(Token {
            mesh: content.mesh,
            ca: Fingerprint::try_from(hex::encode(ca)).ok()?,
            seeds: content.seeds,
            secret: Secret::from_bytes(secret),
            scope: content.scope,
            expires: content.expires,
        })
    }

    /// The token as one line of text, secret included: for the eyes of the one who invites only.
    pub fn reveal(&self) -> String {
        let content = Content {
            mesh: self.mesh.clone(),
            ca: URL_SAFE_NO_PAD.encode(self.ca.as_bytes()),
            seeds: self.seeds.clone(),
            secret: URL_SAFE_NO_PAD.encode(self.secret.reveal()),
            scope: self.scope.clone(),
            expires: self.expires,
        };
        let mut bytes = serde_json::to_vec(&content).expect("text, lists and numbers always encode");
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        format!("{FAMILY}{VERSION}.{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Checks that it can still be used at `now`.
    ///
    /// # Errors
    /// It has expired.
    pub fn check(&self, now: SystemTime) -> Result<(), TokenError> {
        match now.duration_since(self.expires()) {
            Ok(by) if !by.is_zero() => Err(TokenError::Expired { by }),
            _ => Ok(()),
        }
    }

    /// The mesh that it leads to.
    pub fn mesh(&self) -> &MeshName {
        &self.mesh
    }

    /// The fingerprint of the mesh authority's certificate.
    pub fn ca(&self) -> &Fingerprint {
        &self.ca
    }

    /// Where to find the mesh: `HOST:PORT` each; may be empty.
    pub fn seeds(&self) -> &[String] {
        &self.seeds
    }

    /// What it may be used for.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Until when a node that has not used it may use it.
    pub fn expires(&self) -> SystemTime {
        moment(i64::try_from(self.expires).unwrap_or(i64::MAX))
    }
}

/// Catches slips of the hand, not forgers: the authority checks the secret.
fn checksum(content: &[u8]) -> [u8; CHECKSUM] {
    let hash = sha256(&[b"aire token 1\0", content].concat());
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&hash[..CHECKSUM]);
    sum
}

impl FromStr for Token {
    type Err = TokenError;
    fn from_str(text: &str) -> Result<Self, TokenError> {
        Token::parse(text)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invitation of mesh {} for {}", self.mesh, self.scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token {
            mesh: "prod".parse().unwrap(),
            ca: Fingerprint::of_bytes(b"ca"),
            seeds: vec!["seed.example:7600".to_owned()],
            secret: Secret::from_bytes([0x5a; 32]),
            scope: Scope::App("db".parse().unwrap()),
            expires: 1_800_000_000,
        }
    }

    #[test]
    fn text_and_back() {
        let text = token().reveal();
        assert!(text.starts_with("aire1.") && !text.contains(char::is_whitespace));
        assert_eq!(Token::parse(&format!(" {text}\n")).unwrap(), token());
    }

    #[test]
    fn no_edit_and_no_cut_passes() {
        let text = token().reveal();
        for at in 6..text.len() {
            let mut edited = text.clone().into_bytes();
            edited[at] = if edited[at] == b'A' { b'B' } else { b'A' };
            let edited = String::from_utf8(edited).unwrap();
            assert!(matches!(Token::parse(&edited), Err(TokenError::Damaged(_))), "character {at}");
            assert!(matches!(Token::parse(&text[..at]), Err(TokenError::Damaged(_))), "cut at {at}");
        }
        for other in ["", "hello", "aire.x", "air1.x", "airex1.x", "aire1."] {
            assert!(matches!(Token::parse(other), Err(TokenError::Damaged(_))), "{other}");
        }
    }

    #[test]
    fn another_version_is_not_called_damaged() {
        assert_eq!(Token::parse("aire2.AAAA"), Err(TokenError::Version("2".to_owned())));
    }

    #[test]
    fn the_secret_stays_hidden() {
        let token = token();
        let shown = format!("{token:?} {token:#?} {token}");
        assert!(!shown.contains("90, 90") && !shown.contains("5a5a") && !shown.contains("WlpaWlpa"));
    }

    #[test]
    fn expiry_is_checked_when_asked() {
        let token = token();
        assert_eq!(token.check(token.expires()), Ok(()));
        let by = Duration::from_secs(7200);
        assert_eq!(token.check(token.expires() + by), Err(TokenError::Expired { by }));
    }

    #[test]
    fn a_far_expiry_does_not_overflow() {
        let far = Token { expires: u64::MAX, ..token() };
        assert_eq!(far.check(SystemTime::now()), Ok(()));
    }
}
