use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Which address to dial in place of which, as seen by one agent.
///
/// As JSON a flat object: `{"REAL": "EMULATED", …}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AddressMap(pub BTreeMap<SocketAddr, SocketAddr>);

impl AddressMap {
    /// What to dial in place of `real`; itself where nothing is said.
    pub fn dial(&self, real: SocketAddr) -> SocketAddr {
        self.0.get(&real).copied().unwrap_or(real)
    }

    /// Writes the map as JSON.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, file: &Path) -> std::io::Result<()> {
        std::fs::write(file, serde_json::to_vec_pretty(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_flat_object() {
        let (real, emulated): (SocketAddr, SocketAddr) =
            ("127.0.0.1:7001".parse().unwrap(), "127.0.0.1:40001".parse().unwrap());
        let map = AddressMap(BTreeMap::from([(real, emulated)]));
        let text = serde_json::to_string(&map).unwrap();
        assert_eq!(text, r#"{"127.0.0.1:7001":"127.0.0.1:40001"}"#);
        assert_eq!(serde_json::from_str::<AddressMap>(&text).unwrap(), map);
        assert_eq!((map.dial(real), map.dial(emulated)), (emulated, emulated));
    }
}
