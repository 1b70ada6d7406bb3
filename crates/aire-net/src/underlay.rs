use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{NetError, options};

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// The way to the network: everything that dials asks it where to. An emulated network takes the place of the real
/// one by rewriting addresses.
#[derive(Clone, Debug, Default)]
pub struct Underlay {
    table: Arc<BTreeMap<SocketAddr, SocketAddr>>,
}

impl Underlay {
    /// The network as it is.
    pub fn new() -> Self {
        Self::default()
    }

    /// Dials the address on the right of `table` where the one on the left is meant.
    pub fn rewritten(table: BTreeMap<SocketAddr, SocketAddr>) -> Self {
        Underlay { table: Arc::new(table) }
    }

    /// Where to send what is meant for `addr`.
    pub fn map(&self, addr: SocketAddr) -> SocketAddr {
        self.table.get(&addr).copied().unwrap_or(addr)
    }

    /// A TCP connection to `addr`, tuned for agents, within five seconds.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn dial_tcp(&self, addr: SocketAddr) -> Result<TcpStream, NetError> {
        let stream = timeout(CONNECT_DEADLINE, TcpStream::connect(self.map(addr)))
            .await
            .map_err(|_| NetError::Timeout { addr, step: "TCP connect", after: CONNECT_DEADLINE })?
            .map_err(|source| NetError::from_io(addr, source))?;
        options::tune(&stream);
        Ok(stream)
    }
}
