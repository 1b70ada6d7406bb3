use std::time::Duration;

use aire_types::{Class, Path, Time};
use aire_wire::{CircuitClose, CircuitId};

use crate::health::{CarrierId, LeaveConfig, Symptom};

/// How a pool is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// The class that circuits are asked for and carriers dialled for.
    pub class: Class,
    /// The first carrier's number; the others count up from it.
    pub first_carrier: u64,
    /// Carriers on one path at most.
    pub max_per_path: usize,
    /// How long carriers stay open without a stream.
    pub idle_timeout: Duration,
    /// How long a dial may take, handshakes included.
    pub dial_timeout: Duration,
    /// How long a path that was left is not used again; doubles with every time.
    pub dwell: Duration,
    /// The longest dwell.
    pub dwell_most: Duration,
    /// How long a path is used at least before a better one is taken; right after the first path was found no longer than
    /// since then.
    pub settle: Duration,
    /// The wait after a failed dial or a refusal; doubles with every failure.
    pub backoff: Duration,
    /// The longest wait.
    pub backoff_most: Duration,
    /// The leave loop.
    pub leave: LeaveConfig,
}

impl PoolConfig {
    /// The usual patience.
    pub const fn new(class: Class, seed: u64) -> Self {
        PoolConfig {
            class,
            first_carrier: 1,
            max_per_path: 4,
            idle_timeout: Duration::from_secs(300),
            dial_timeout: Duration::from_secs(5),
            dwell: Duration::from_secs(10),
            dwell_most: Duration::from_secs(300),
            settle: Duration::from_secs(10),
            backoff: Duration::from_millis(250),
            backoff_most: Duration::from_secs(60),
            leave: LeaveConfig::source(seed),
        }
    }
}

/// What the streams to this destination need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Open streams.
    pub streams: usize,
    /// Of these, streams that keep a carrier of their own busy.
    pub busy: usize,
    /// Keep carriers open even without streams.
    pub warm: bool,
}

/// Why a path was left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LeftBecause {
    /// It was silent for so long while another path was not.
    Dead(Duration),
    /// Its carriers were closed or reset from outside.
    Closed,
    /// It is not what it used to be.
    Degraded(Symptom),
    /// The certificate of one of its ends ran out.
    Expired,
    /// A hop closed the circuit.
    CircuitClosed(CircuitClose),
    /// A better one is ready.
    Better,
}

/// What happened, for operators.
#[derive(Clone, Debug, PartialEq)]
pub enum PoolEvent {
    /// The streams leave a path.
    Left {
        /// Which.
        path: Path,
        /// Why.
        because: LeftBecause,
        /// Where they go; `None`: nowhere yet.
        to: Option<Path>,
    },
    /// The first path, or one after a time without any.
    Found {
        /// Which.
        path: Path,
        /// How long streams had waited for it.
        after: Duration,
        /// There had been one before.
        again: bool,
    },
}

/// What a pool wants done, or has to tell.
#[derive(Clone, Debug, PartialEq)]
pub enum PoolOutput {
    /// Ask for a circuit along the path. Answered by `handle_granted` or `handle_refused`.
    Negotiate {
        /// The path.
        path: Path,
    },
    /// The circuit is not needed any more: close it.
    Release {
        /// The circuit.
        circuit: CircuitId,
    },
    /// Open a carrier. Answered by `handle_up` or `handle_failed`.
    Dial {
        /// Its name from now on.
        carrier: CarrierId,
        /// Along which circuit.
        circuit: CircuitId,
        /// Along which path.
        path: Path,
        /// For which class.
        class: Class,
    },
    /// Close a carrier, or give its dial up. Streams on it have been moved where there is another carrier.
    Close {
        /// The carrier.
        carrier: CarrierId,
        /// It does not answer: no orderly end.
        dead: bool,
    },
    /// New streams, and those without a carrier, go here.
    Prefer {
        /// The carrier.
        carrier: CarrierId,
    },
    /// Move a share of the streams that are on one carrier now.
    MoveShare {
        /// From.
        from: CarrierId,
        /// To.
        to: CarrierId,
        /// Above 0, up to 1.
        share: f64,
    },
    /// Move all streams at once; what is unacknowledged is sent again.
    MoveAll {
        /// From.
        from: CarrierId,
        /// To.
        to: CarrierId,
    },
    /// Send what is unacknowledged on one carrier on the other as well.
    Hedge {
        /// The late one.
        from: CarrierId,
        /// The helper.
        onto: CarrierId,
    },
    /// Send a PING on the carrier.
    Ping {
        /// The carrier.
        carrier: CarrierId,
    },
    /// A path changed for the worse: rank again with it penalised, and call `handle_ranking`.
    Rerank {
        /// The path.
        path: Path,
        /// Why.
        because: LeftBecause,
    },
    /// Streams wait and no carrier is open. Told once; `PoolEvent::Found` ends it.
    NoPath {
        /// Since when.
        since: Time,
    },
    /// For operators.
    Event(PoolEvent),
}
