//! Links end with the earlier of their two certificates; whoever dialled one dials another before.

use std::time::Duration;

use aire_types::{NodeName, Time};

use super::links::{LinkSerial, Links};
use super::{Control, Effect};
use crate::happening::{Happening, Kind};

/// A link is dialled anew at most so long before it ends.
const AHEAD: Duration = Duration::from_secs(600);
/// The shortest time between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// When a link ends, and when another one is dialled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    at: Time,
    dial_at: Time,
}

impl Ends {
    /// For a link whose certificates hold for `left`.
    pub(super) fn new(now: Time, left: Duration) -> Self {
        Ends { at: now + left, dial_at: now + (left - (left / 3).min(AHEAD)) }
    }
}

impl Links {
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        let next = |entry: &super::links::Entry| match entry.ours {
            true => entry.ends.at.min(entry.ends.dial_at),
            false => entry.ends.at,
        };
        self.open.values().map(next).min()
    }
}

impl Control {
    /// Closes links whose certificates have run out, and dials those anew that are about to end.
    pub(super) fn end_links(&mut self, now: Time) {
        let mut over: Vec<(NodeName, u64)> = Vec::new();
        for (node, entry) in &mut self.links.open {
            if entry.ends.at <= now {
                entry.link.close(0, "a certificate ran out");
                over.push((node.clone(), entry.serial));
            } else if entry.ours && entry.ends.dial_at <= now {
                entry.ends.dial_at = now + (entry.ends.at.since(now) * 2 / 3).max(PAUSE);
                self.effects.push(Effect::Dial(entry.dial));
            }
        }
        for (node, serial) in over {
            let text = format!("the link to {node} ends, as a certificate was not renewed in time");
            self.tell(Happening::new(Kind::CertificateExpired, text).peer(&node));
            self.handle_link_closed(now, &node, LinkSerial(serial), "a certificate ran out");
        }
    }
}
