use std::fmt;
use std::time::Duration;

use aire_types::{AppName, Class, Protocol, Time};
use aire_wire::{ResetCode, StreamId};
use bytes::Bytes;

/// Names a carrier on this machine. The driver chooses it and never uses one twice for an association.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CarrierId(pub u64);

impl fmt::Display for CarrierId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for CarrierId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "carrier {}", self.0)
    }
}

/// What an association wants its driver to do or to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// `poll_transmit` has something for this carrier. Not repeated before that was called.
    Ready(CarrierId),
    /// Source: the destination's application took the stream.
    Opened(StreamId),
    /// Destination: dial the application, then `accept` or `reset`.
    Incoming {
        /// The stream.
        stream: StreamId,
        /// What it wants.
        class: Class,
        /// What the application speaks.
        protocol: Protocol,
        /// The app that it wants.
        app: AppName,
    },
    /// `read` has something. Not repeated before that returned `Pending`.
    Readable(StreamId),
    /// There is room again after `writable` returned 0 or a write filled it.
    Writable(StreamId),
    /// The peer reset the stream, or the association was aborted. `Ended` follows.
    Reset {
        /// The stream.
        stream: StreamId,
        /// Why.
        code: ResetCode,
    },
    /// Both ends are acknowledged and delivered, or the reset is: all about the stream is forgotten.
    Ended {
        /// The stream.
        stream: StreamId,
        /// The reset that ended it; `None` for a clean end.
        reset: Option<ResetCode>,
        /// How often it changed its carrier.
        moves: u32,
        /// Bytes that the application took.
        bytes_in: u64,
        /// Bytes that the peer acknowledged.
        bytes_out: u64,
    },
    /// A round trip of the carrier, without the peer's delay.
    Rtt {
        /// The carrier.
        carrier: CarrierId,
        /// How long it took.
        rtt: Duration,
    },
    /// The carrier proved its life: more of it was acknowledged.
    Progress {
        /// The carrier.
        carrier: CarrierId,
    },
    /// The carrier owes an acknowledgement from now on, and did not before.
    Outstanding {
        /// The carrier.
        carrier: CarrierId,
    },
    /// The stream goes over another carrier.
    Moved {
        /// The stream.
        stream: StreamId,
        /// Its carrier before; `None` when it had none.
        from: Option<CarrierId>,
        /// Its carrier now.
        to: CarrierId,
    },
    /// Source: a busy stream shares its carrier with others; one of its own would serve all.
    WantCarrier {
        /// The stream.
        stream: StreamId,
    },
}

/// What `read` returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// The next bytes in order.
    Data(Bytes),
    /// All was read: the peer's application closed its direction.
    End,
    /// The stream was reset.
    Reset(ResetCode),
    /// Nothing now; `Output::Readable` follows.
    Pending,
    /// No such stream: its `Ended` was given out before.
    Unknown,
}

/// Facts about a carrier for the leave loop and for the operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CarrierState {
    /// When the oldest byte was sent that the peer owes an acknowledgement for.
    pub outstanding_since: Option<Time>,
    /// When an acknowledgement last covered something new.
    pub last_progress: Option<Time>,
    /// When anything last arrived on it.
    pub last_arrival: Option<Time>,
    /// Bytes sent and not acknowledged.
    pub in_flight: u64,
    /// Bytes that may be in flight.
    pub window: u64,
    /// Bytes that have arrived for sure since the carrier is up.
    pub acknowledged: u64,
    /// The window has found the path's rate: slow start is over.
    pub settled: bool,
    /// Measured delivery rate, bytes a second; 0 before the first measurement.
    pub delivery_rate: u64,
    /// Least round trip of the last ten seconds.
    pub min_rtt: Option<Duration>,
    /// Smoothed round trip (RFC 6298).
    pub srtt: Option<Duration>,
    /// Its variation.
    pub rtt_variation: Duration,
    /// Streams that it is assigned to.
    pub streams: usize,
    /// It is hedged: no acknowledgement since another carrier was asked to help.
    pub doubted: bool,
    /// It was abandoned and has not been acknowledged since.
    pub abandoned: bool,
}

/// Facts about a stream for the operator.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamState {
    /// The stream.
    pub stream: StreamId,
    /// The app that it reaches.
    pub app: Option<AppName>,
    /// What it wants.
    pub class: Class,
    /// What the application speaks.
    pub protocol: Protocol,
    /// The carrier that it is assigned to.
    pub carrier: Option<CarrierId>,
    /// The destination's application took it.
    pub opened: bool,
    /// It was reset on this side; the peer has not said that it knows.
    pub reset: Option<ResetCode>,
    /// How often it changed its carrier.
    pub moves: u32,
    /// Bytes that the application took.
    pub bytes_in: u64,
    /// Bytes that the application wrote.
    pub bytes_out: u64,
    /// Bytes written that the peer has not acknowledged.
    pub unacknowledged: u64,
    /// Bytes received that the application has not taken.
    pub unread: u64,
}
