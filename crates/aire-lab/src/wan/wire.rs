use std::path::Path;

use super::host::{DEVICE, Host};
use super::namespace::{Reaper, ip};
use super::{Gate, WanError, available};

/// Two hosts joined by a veth pair: full speed, MTU 1500, nothing in between. For benchmarks.
#[derive(Debug)]
pub struct Wire {
    left: Host,
    right: Host,
    // Last: it deletes the namespaces.
    _reaper: Reaper,
}

impl Wire {
    /// Makes the pair; output of processes goes to `folder`.
    ///
    /// # Errors
    /// See [`available`].
    pub fn start(folder: &Path) -> Result<Self, WanError> {
        available()?;
        let reaper = Reaper::start(Some(folder))?;
        let left = Host::new(&reaper, 0, "left", folder, Gate::Open)?;
        let right = Host::new(&reaper, 1, "right", folder, Gate::Open)?;
        let (l, r) = (left.namespace_name(), right.namespace_name());
        let pair = ["link", "add", DEVICE, "netns", l, "type", "veth", "peer", "name", DEVICE, "netns", r];
        ip(&pair, "")?;
        left.configure_device()?;
        right.configure_device()?;
        Ok(Wire { left, right, _reaper: reaper })
    }

    /// One end.
    pub fn left(&self) -> &Host {
        &self.left
    }

    /// The other end.
    pub fn right(&self) -> &Host {
        &self.right
    }
}
