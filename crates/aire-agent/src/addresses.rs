//! The machine's own addresses, which may change while the agent runs.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use crate::agent::Agent;
use crate::happening::{Happening, Kind};
use crate::run::reachable_addresses;

/// How often the addresses are looked at: two sockets that send nothing.
const LOOK: Duration = Duration::from_millis(250);

/// Follows changes, where the agent listens on all addresses. What was bound to an address that is gone is opened again
/// from the new one: links, and the carriers of this agent's own streams.
pub(crate) async fn watch(agent: Arc<Agent>, listen: SocketAddr) {
    if !listen.ip().is_unspecified() {
        return;
    }
    let mut known = agent.own_record.addresses();
    loop {
        tokio::time::sleep(LOOK).await;
        let found = reachable_addresses(&agent.config.advertise, listen);
        // Without any address there is nothing to do but to wait for one.
        if found == known || found.is_empty() {
            continue;
        }
        let lost: Vec<IpAddr> = known.iter().filter(|old| !found.contains(old)).map(SocketAddr::ip).collect();
        let lost: Vec<IpAddr> = lost.into_iter().filter(|ip| !is_ours(*ip)).collect();
        known.clone_from(&found);
        agent.addresses_changed(found, &lost);
    }
}

/// Can a socket still be bound to it?
fn is_ours(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

impl Agent {
    fn addresses_changed(self: &Arc<Self>, addresses: Vec<SocketAddr>, lost: &[IpAddr]) {
        let list: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        let text = format!("this node is reached at {} from now on", list.join(", "));
        self.tell(Happening::new(Kind::AddressChanged, text));
        self.own_record.replace_addresses(addresses.clone());
        let any_lost = !lost.is_empty();
        self.control(|now, control| control.addresses_changed(now, addresses, any_lost));
        if any_lost {
            let outgoing = self.all_outgoing();
            outgoing.iter().for_each(|held| held.association.addresses_lost(lost));
            let incoming = self.all_incoming();
            incoming.iter().for_each(|held| held.association.addresses_lost(lost));
        }
    }
}
