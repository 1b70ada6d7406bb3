//! Hosts in network namespaces, joined by a network of our making. Needs root, `ip` and (for the [`Wan`]) `/dev/net/tun`.

mod addresses;
mod gate;
mod host;
mod namespace;
mod network;
mod packet;
mod process;
mod switch;
mod tun;
mod wire;

use std::io;
use std::process::Command;

pub use gate::{Gate, Nat};
pub use host::Host;
pub use network::{LinkCounters, Wan, WanConfig};
pub use process::Process;
pub use wire::Wire;

use crate::TopologyError;

/// Why the lab cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum WanError {
    /// This machine refused.
    #[error("this machine: {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        source: io::Error,
    },
    /// A program that the lab needs failed.
    #[error("this machine: '{command}' failed: {message}")]
    Command {
        /// What was run.
        command: String,
        /// What it wrote to standard error.
        message: String,
    },
    /// A wrong place or shape.
    #[error("configuration: {0}")]
    Topology(#[from] TopologyError),
    /// The lab cannot run here at all.
    #[error("this machine: {0}")]
    Unavailable(String),
}

impl WanError {
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        WanError::Io { what: what.into(), source }
    }
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether hosts can be made here.
///
/// # Errors
/// What is missing, and what to do about it.
pub fn available() -> Result<(), WanError> {
    let missing = |text: &str| Err(WanError::Unavailable(text.to_owned()));
    if !is_root() {
        return missing("network namespaces need root; run it as root");
    }
    if !std::path::Path::new("/dev/net/tun").exists() {
        return missing("there is no /dev/net/tun; load the module tun");
    }
    match Command::new("ip").args(["netns", "list"]).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            missing(&format!("'ip netns list' failed: {}", String::from_utf8_lossy(&output.stderr)))
        }
        Err(_) => missing("there is no 'ip'; install iproute2"),
    }
}
