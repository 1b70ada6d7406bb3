use aire_admin::documents::Peer;

use super::{Done, show};
use crate::args::Ask;
use crate::figures;
use crate::table::Table;

pub(crate) fn peers(ask: &Ask) -> Done {
    show(ask, "/api/v1/peers", |peers: &Vec<Peer>| text(peers))
}

fn text(peers: &[Peer]) -> String {
    let mut table = Table::new(&["NODE", "SERVES", "LINK", "REACH", ">RTT", "ZONE", ">HEARD", "ADDRESSES"]);
    for peer in peers {
        let addresses: Vec<String> = peer.addresses.iter().map(ToString::to_string).collect();
        let serves = match &peer.app {
            Some(app) => app.to_string(),
            None => peer.role.clone(),
        };
        table.row([
            peer.node.to_string(),
            if peer.draining { format!("{serves} (draining)") } else { serves },
            peer.link.as_str().to_owned(),
            peer.reach.as_str().to_owned(),
            figures::ms(peer.rtt_ms),
            peer.zone.clone(),
            figures::span(peer.age_s),
            addresses.join(" "),
        ]);
    }
    table.text("no other agent is known yet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_named_and_a_relay_is_one() {
        let document = r#"[{"node":"n1","role":"app","app":"web","link":"quic","reach":"dials-back","rtt_ms":12.5,
            "addresses":["127.0.0.1:1"],"zone":"eu","incarnation":1,"age_s":2.0,"draining":false},
            {"node":"r1","role":"relay","app":null,"link":"none","rtt_ms":null,
            "addresses":[],"zone":"","incarnation":1,"age_s":2.0,"draining":true}]"#;
        let text = text(&serde_json::from_str::<Vec<Peer>>(document).unwrap());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "n1    web               quic  dials-back  12.5 ms  eu       2s  127.0.0.1:1");
        assert!(lines[2].starts_with("r1    relay (draining)  none  none              -"), "{text}");
    }
}
