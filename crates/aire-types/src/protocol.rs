use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an application speaks with its agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// A connection: bytes in order.
    #[default]
    Tcp,
    /// A flow: datagrams, each of which may get lost, overtaken or repeated.
    Udp,
}

impl Protocol {
    /// Both, in a fixed order.
    pub const ALL: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];

    /// The protocol as users write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = Protocol::ALL.into_iter().find(|protocol| protocol.as_str() == text);
        known.ok_or_else(|| format!("'{text}' is not a protocol (tcp or udp)"))
    }
}
