//! Messages that flow until they are told to stop, and can be looked at meanwhile.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::messages::{Messages, MessagesReport};

/// What a running client of messages shares with who looks at it.
#[derive(Debug, Default)]
pub(super) struct Live {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stop: bool,
    arrivals: Vec<Instant>,
    ended: Option<Instant>,
}

impl Live {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state().stop
    }

    pub(super) fn arrived(&self) {
        self.state().arrivals.push(Instant::now());
    }

    pub(super) fn end(&self) {
        self.state().ended = Some(Instant::now());
    }
}

/// A client of messages that runs in a thread.
#[derive(Debug)]
pub struct Flow {
    live: Arc<Live>,
    thread: JoinHandle<io::Result<MessagesReport>>,
}

impl Flow {
    /// Connects and begins. Within a namespace: call it from `Host::within`.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn start(messages: Messages) -> io::Result<Self> {
        let live = Arc::new(Live::default());
        let shared = Arc::clone(&live);
        let run = move || {
            let report = messages.run_live(&shared);
            shared.end();
            report
        };
        let thread = thread::Builder::new().name("messages".to_owned()).spawn(run)?;
        Ok(Flow { live, thread })
    }

    /// The longest time without an arrival of which a part is after `since`; up to now, where none came since.
    pub fn longest_gap(&self, since: Instant) -> Duration {
        let state = self.live.state();
        let end = state.ended.unwrap_or_else(Instant::now);
        let first = state.arrivals.partition_point(|at| *at < since).saturating_sub(1);
        let times: Vec<Instant> = state.arrivals[first..].iter().copied().chain([end]).collect();
        times.windows(2).map(|pair| pair[1].saturating_duration_since(pair[0])).max().unwrap_or_default()
    }

    /// How long ago the last one arrived; since the beginning of time where none did.
    pub fn quiet_for(&self) -> Duration {
        self.live.state().arrivals.last().map_or(Duration::MAX, Instant::elapsed)
    }

    /// When the connection ended, if it has.
    pub fn ended(&self) -> Option<Instant> {
        self.live.state().ended
    }

    /// Sends no more, waits for what is under way, and says what was seen.
    ///
    /// # Errors
    /// There never was a connection.
    pub fn stop(self) -> io::Result<MessagesReport> {
        self.live.state().stop = true;
        self.thread.join().map_err(|_| io::Error::other("the messages panicked"))?
    }
}
