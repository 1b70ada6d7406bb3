use std::time::Duration;

use aire_types::{Path, Time};

use super::rtt::Rtt;

/// An acknowledgement on a carrier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Round trip of the newest acknowledged bytes, without the peer's delay, where it was measured.
    pub rtt: Option<Duration>,
    /// When the oldest byte was sent that is still unacknowledged; `None`: nothing is.
    pub outstanding_since: Option<Time>,
    /// Own bulk fills the path: at least half of the in-flight window is used, at 64 KiB a second or more.
    pub loaded: bool,
}

/// What the kernel says about the first leg of a carrier. It can only make a path look worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFacts {
    /// Segments with data sent since the connection began, repetitions included (`tcpi_data_segs_out`).
    pub sent: u64,
    /// Segments sent again since the connection began (`tcpi_total_retrans`).
    pub retransmitted: u64,
}

/// One open carrier.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) path: Path,
    pub(crate) rtt: Rtt,
    pub(crate) outstanding_since: Option<Time>,
    pub(crate) last_progress: Option<Time>,
    /// Since the oldest byte was late: when help was called last.
    pub(crate) hedged: Option<Time>,
    /// Told that it is silent while nothing else proves that the path is to blame.
    pub(crate) told_silent: bool,
    /// When it last answered again after having been late.
    pub(crate) recovered: Option<Time>,
    /// When it was last asked for a sign of life out of turn.
    pub(crate) pinged: Option<Time>,
    pub(crate) next_ping: Time,
    pub(crate) tcp: Option<(Time, TcpFacts)>,
}

impl Watched {
    /// Since when nothing moves although something should.
    pub(crate) fn quiet_since(&self) -> Option<Time> {
        let since = self.outstanding_since?;
        Some(self.last_progress.map_or(since, |progress| progress.max(since)))
    }

    /// When help is due: the oldest byte is older than the timeout, and acknowledgements have stopped coming.
    pub(crate) fn late_at(&self, timeout: Duration) -> Option<Time> {
        let since = self.outstanding_since?;
        let stopped = self.last_progress.map_or(since, |progress| progress + timeout / 2);
        Some((since + timeout).max(stopped))
    }
}
