//! The agent's own record of what it measures and decides, for `aire train` and `aire eval`.
//!
//! What the brain hears is gathered in memory ([`Window`]) and written once a span by a task that may block; a disk that
//! is full or gone costs records and one event.

mod window;

pub(crate) use window::Window;

use std::sync::Arc;

use aire_trace::{Limits, Record, Store, StoreError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::agent::Agent;
use crate::happening::{Happening, Kind};

/// The task that writes the history.
pub(crate) struct Keeper {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Keeper {
    pub(crate) fn start(agent: &Arc<Agent>) -> Self {
        let stop = CancellationToken::new();
        Keeper { task: tokio::spawn(keep(Arc::clone(agent), stop.clone())), stop }
    }

    /// Writes what is left.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        // One that panicked has nothing left to write.
        let _ = self.task.await;
    }
}

/// Writes the history once a span, and what is left when `stop` is cancelled.
async fn keep(agent: Arc<Agent>, stop: CancellationToken) {
    let Some(config) = agent.config.history else { return };
    let limits = Limits { bytes: config.bytes, age: config.age };
    let (folder, node) = (agent.config.state.join("history"), agent.config.node.clone());
    let open = || Store::new(folder.clone(), node.clone(), config.span, limits);
    let mut store = None;
    let mut failing = false;
    while !stop.is_cancelled() {
        tokio::select! {
            () = tokio::time::sleep(config.span) => {}
            () = stop.cancelled() => {}
        }
        let now_ms = crate::clock::unix_millis();
        let records = agent.control(|now, control| control.take_history(now, now_ms));
        let held = store.take().unwrap_or_else(open);
        let written = match tokio::task::spawn_blocking(move || write(held, now_ms, &records)).await {
            Ok((held, written)) => {
                store = Some(held);
                written.map_err(|error| error.to_string())
            }
            Err(error) => Err(format!("a bug: {error}")),
        };
        let failed = written.is_err();
        match written {
            Ok(()) if failing => {
                agent.tell(Happening::new(Kind::HistoryResumed, "the history is kept again".to_owned()));
            }
            Err(error) if !failing => agent.tell(Happening::new(Kind::HistoryFailed, error)),
            Ok(()) | Err(_) => {}
        }
        failing = failed;
    }
}

fn write(mut store: Store, now_ms: u64, records: &[Record]) -> (Store, Result<(), StoreError>) {
    let written = store.append(now_ms, records);
    (store, written)
}
