//! What membership costs, by the size of the mesh.

use std::fmt;
use std::time::Duration;

use aire_registry::Config;

use crate::sim::{Sim, body};

/// Bytes that one node sends, which on average is what it receives.
struct Cost {
    nodes: usize,
    join_bytes: f64,
    idle_bits_per_s: f64,
    /// Two in a hundred nodes a minute start anew, and as many change what they say.
    churn_bits_per_s: f64,
    /// What one such event costs each node above idling.
    bytes_per_event: f64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:5} nodes: join {:7.1} kB; idle {:6.2} kbit/s; with churn {:6.2} kbit/s ({:.0} bytes an event)",
            self.nodes,
            self.join_bytes / 1e3,
            self.idle_bits_per_s / 1e3,
            self.churn_bits_per_s / 1e3,
            self.bytes_per_event
        )
    }
}

fn bytes(sim: &Sim) -> u64 {
    sim.hosts.iter().map(|host| host.bytes_sent).sum()
}

/// Eight links a node, the usual configuration, `minutes` of each state.
fn measure(nodes: usize, minutes: u64) -> Cost {
    let mut sim = Sim::new(11, nodes, |_: &mut Config| {});
    sim.check_every = 100_003;
    sim.lay_wires(8);
    for host in 0..nodes {
        sim.start(host);
        // Starts are spread over a minute, as in a real rollout.
        let pause = Duration::from_micros(60_000_000 / nodes as u64);
        sim.run_until(sim.now + pause);
    }
    sim.run_for(30);
    let per_node = |bytes: u64| bytes as f64 / nodes as f64;
    let join_bytes = per_node(bytes(&sim));
    // Until the renewals of the start, when the mesh was small, are over.
    sim.run_for(if nodes > 100 { 600 } else { 60 });

    let seconds = minutes * 60;
    let before = bytes(&sim);
    sim.run_for(seconds);
    let idle = per_node(bytes(&sim) - before);

    let before = bytes(&sim);
    let events = nodes as u64 * 4 * minutes / 100 + 10;
    for event in 0..events {
        let host = sim.dice.below(nodes);
        if event % 2 == 0 {
            sim.kill(host);
            sim.start(host);
        } else {
            let zone = format!("zone of {} {event}", sim.name(host));
            sim.on(host, |registry, now| registry.set_own(now, body(&zone)));
        }
        sim.run_until(sim.now + Duration::from_micros(seconds * 1_000_000 / events));
    }
    let churn = per_node(bytes(&sim) - before);
    Cost {
        nodes,
        join_bytes,
        idle_bits_per_s: idle * 8.0 / seconds as f64,
        churn_bits_per_s: churn * 8.0 / seconds as f64,
        bytes_per_event: (churn - idle) / events as f64,
    }
}

#[test]
fn idling_is_cheap_at_any_size() {
    for nodes in [10, 60] {
        let cost = measure(nodes, 4);
        println!("{cost}");
        assert!(cost.idle_bits_per_s < 50_000.0, "{cost}");
        assert!(cost.churn_bits_per_s < 100_000.0, "{cost}");
        assert!(cost.join_bytes < 20_000.0 * nodes as f64, "{cost}");
    }
}

#[test]
#[ignore = "takes minutes; prints the figures: cargo test -p aire-registry figures -- --ignored --nocapture"]
fn figures() {
    for nodes in [10, 100, 1000] {
        println!("{}", measure(nodes, if nodes < 1000 { 10 } else { 4 }));
    }
}
