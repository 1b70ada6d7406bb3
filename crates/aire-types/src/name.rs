use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a name must not be empty")]
    Empty,
    /// More than 63 bytes.
    #[error("the name '{0}…' is longer than 63 characters")]
    TooLong(String),
    /// Something a DNS label may not hold.
    #[error("the name '{0}' may hold only a-z, 0-9 and '-', and neither begin nor end with '-'")]
    BadCharacter(String),
}

/// Names are DNS labels (RFC 1123), lower case, so that `APP.mesh` resolves and SPIFFE paths need no escaping.
fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > 63 {
        return Err(NameError::TooLong(text.chars().take(20).collect()));
    }
    let allowed = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !allowed || text.starts_with('-') || text.ends_with('-') {
        return Err(NameError::BadCharacter(text.to_owned()));
    }
    Ok(())
}

/// A trust domain is one label or several with dots between them.
fn check_domain(text: &str) -> Result<(), NameError> {
    if text.len() > 63 {
        return Err(NameError::TooLong(text.chars().take(20).collect()));
    }
    text.split('.').try_for_each(check)
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:ident, $form:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                // copies of one name are compared most
                if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            /// Checks `text` and makes it a name.
            ///
            /// # Errors
            #[doc = concat!("The text is not ", $form, " of 1 to 63 bytes.")]
            pub fn new(text: &str) -> Result<Self, NameError> {
                $check(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

name!(
    /// The name of a mesh: the SPIFFE trust domain.
    MeshName, check_domain, "lower-case DNS labels"
);
name!(
    /// The name of a node: one agent. Unique within a mesh; the authority binds it to its first key.
    NodeName, check, "a lower-case DNS label"
);
name!(
    /// The name of an app: a service with any number of instances.
    AppName, check, "a lower-case DNS label"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_dns_labels() {
        assert!(AppName::new("db-1").is_ok());
        assert_eq!(AppName::new(""), Err(NameError::Empty));
        for bad in ["DB", "a.b", "-a", "a-", "a b", "ä", "a/b"] {
            assert!(matches!(AppName::new(bad), Err(NameError::BadCharacter(_))), "{bad}");
        }
        assert!(matches!(AppName::new(&"a".repeat(64)), Err(NameError::TooLong(_))));
        assert!(AppName::new(&"a".repeat(63)).is_ok());
    }

    #[test]
    fn trust_domains_may_have_dots() {
        for good in ["prod", "example.org", "a.b.c"] {
            assert!(MeshName::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "A.b", "a_b"] {
            assert!(MeshName::new(bad).is_err(), "{bad}");
        }
        assert!(MeshName::new(&format!("{}.b", "a".repeat(62))).is_err());
    }

    #[test]
    fn deserialising_checks() {
        assert!(serde_json::from_str::<NodeName>("\"n1\"").is_ok());
        assert!(serde_json::from_str::<NodeName>("\"N1\"").is_err());
    }
}
