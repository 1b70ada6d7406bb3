//! The streams that are open, for operators.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use aire_admin::documents::StreamRow;
use aire_types::{AppName, Class, NodeName, Path, Protocol, Time};
use aire_wire::{AssociationId, ResetCode, StreamId};
use parking_lot::Mutex;

use crate::agent::Agent;
use crate::carry::Association;
use crate::happening::{Happening, Kind};

/// What is noted of an open stream.
#[derive(Clone)]
struct Entry {
    association: Weak<Association>,
    app: AppName,
    peer: NodeName,
    class: Class,
    since: Time,
}

/// All open streams of an agent, of both directions.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<BTreeMap<(AssociationId, StreamId), Entry>>);

/// A stream's name for operators and applications.
pub(crate) fn stream_id(association: AssociationId, stream: StreamId) -> String {
    format!("{association}-{stream}")
}

/// How a stream ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) reset: Option<ResetCode>,
    pub(crate) moves: u32,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

impl Ledger {
    /// A stream begins.
    pub(crate) fn begin(
        &self,
        agent: &Agent,
        id: AssociationId,
        association: &Arc<Association>,
        stream: StreamId,
        (app, peer, class): (AppName, NodeName, Class),
    ) {
        agent.totals.streams.fetch_add(1, Ordering::Relaxed);
        let entry =
            Entry { association: Arc::downgrade(association), app, peer, class, since: agent.clock.now() };
        self.0.lock().insert((id, stream), entry);
        if association.has_ended(stream) {
            // Its end may have been reported before its beginning was noted.
            self.0.lock().remove(&(id, stream));
        }
    }

    /// A stream has ended.
    pub(crate) fn end(&self, agent: &Agent, id: AssociationId, stream: StreamId, ending: Ending) {
        let Some(entry) = self.0.lock().remove(&(id, stream)) else { return };
        let totals = &agent.totals;
        totals.moved.fetch_add(ending.moves.into(), Ordering::Relaxed);
        totals.bytes_in.fetch_add(ending.bytes_in, Ordering::Relaxed);
        totals.bytes_out.fetch_add(ending.bytes_out, Ordering::Relaxed);
        match ending.reset {
            None | Some(ResetCode::Application) => {}
            Some(code) => {
                totals.reset.fetch_add(1, Ordering::Relaxed);
                let text = format!("a stream between {} and {} was reset: {code}", entry.app, entry.peer);
                agent.tell(Happening::new(Kind::StreamReset, text).app(&entry.app).peer(&entry.peer));
            }
        }
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Bytes in and out of the open streams so far.
    pub(crate) fn bytes(&self, now: Time) -> (u64, u64) {
        let rows = self.rows(now);
        rows.iter().fold((0, 0), |(into, out), row| (into + row.bytes_in, out + row.bytes_out))
    }

    /// The open streams with what their associations know.
    pub(crate) fn rows(&self, now: Time) -> Vec<StreamRow> {
        // Associations are asked after the lock is released.
        let entries: Vec<_> = self.0.lock().iter().map(|(key, entry)| (*key, entry.clone())).collect();
        let row = |((id, stream), entry): ((AssociationId, StreamId), Entry)| {
            let association = entry.association.upgrade()?;
            let state = association.read(|core| core.stream(stream))?;
            let of_carrier = || state.carrier.and_then(|carrier| association.path_of(carrier));
            let straight = state.protocol == Protocol::Udp && association.takes_shortcut();
            let path = if straight { Some(Path::DIRECT) } else { of_carrier() };
            let (more_in, more_out) = association.datagram_bytes(stream);
            Some(StreamRow {
                id: stream_id(id, stream),
                app: entry.app,
                peer: entry.peer,
                class: entry.class,
                path: path.unwrap_or(Path::DIRECT),
                protocol: state.protocol,
                bytes_in: state.bytes_in + more_in,
                bytes_out: state.bytes_out + more_out,
                moves: state.moves.into(),
                age_s: now.since(entry.since).as_secs_f64(),
            })
        };
        entries.into_iter().filter_map(row).collect()
    }
}
