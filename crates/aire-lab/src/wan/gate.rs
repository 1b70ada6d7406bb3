//! What stands between a host and the network: a NAT in a router of its own, or a firewall on the host itself. Both are
//! the kernel's (nftables).

use std::net::Ipv4Addr;

use serde::Deserialize;

use super::WanError;
use super::host::DEVICE;
use super::namespace::{Namespace, Reaper, ip, pipe};

/// How a NAT chooses the port by which a host is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nat {
    /// The same port towards everybody, where it is free. Only packets of whom the host has sent to come in.
    Cone,
    /// Another port towards everybody: nobody can foretell it.
    Symmetric,
}

/// How a host is joined to the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    /// Everything comes in.
    #[default]
    Open,
    /// A firewall on the host lets only answers in.
    InboundBlocked,
    /// A router hides it behind its own address, and lets only answers in.
    Nat(Nat),
}

/// The device of a router towards its host.
const INSIDE: &str = "lan0";

/// Only answers come in over the device.
const INPUT: &str = "  chain input {
    type filter hook input priority filter; policy drop;
    iifname \"lo\" accept
    iifname \"lan0\" accept
    ct state established,related accept
  }
";

fn nft(namespace: &Namespace, rules: &str) -> Result<(), WanError> {
    let table = format!("table ip gate {{\n{rules}}}\n");
    pipe("ip", &["netns", "exec", namespace.name(), "nft", "-f", "-"], &table)
}

/// Lets only answers into a host.
pub(super) fn block_inbound(namespace: &Namespace) -> Result<(), WanError> {
    nft(namespace, INPUT)
}

/// The router between a host and the network. It has the host's place there, and its address `outside`; the host gets
/// another one, which is returned.
pub(super) fn router(
    reaper: &Reaper,
    host: &Namespace,
    (number, name): (usize, &str),
    nat: Nat,
) -> Result<(Namespace, Ipv4Addr), WanError> {
    let router = reaper.namespace(&format!("{name}-nat"))?;
    router.settle()?;
    router.forward()?;
    let pair = ["link", "add", DEVICE, "netns", host.name(), "type", "veth"];
    ip(&[&pair[..], &["peer", "name", INSIDE, "netns", router.name()]].concat(), "")?;
    let (inner, gateway) =
        (Ipv4Addr::new(192, 168, number as u8, 2), Ipv4Addr::new(192, 168, number as u8, 1));
    router.ip(&format!("addr add {gateway}/24 dev {INSIDE}\nlink set {INSIDE} up\n"))?;
    host.ip(&format!(
        "addr add {inner}/24 dev {DEVICE}\nlink set {DEVICE} mtu 1500 up\nroute add default via {gateway}\n"
    ))?;
    let ports = match nat {
        Nat::Cone => "",
        Nat::Symmetric => " fully-random",
    };
    nft(
        &router,
        &format!(
            "{INPUT}  chain forward {{
    type filter hook forward priority filter; policy drop;
    iifname \"{INSIDE}\" accept
    ct state established,related accept
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    oifname \"{DEVICE}\" masquerade{ports}
  }}
"
        ),
    )?;
    Ok((router, inner))
}
