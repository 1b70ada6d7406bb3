//! What is known of one path, from measurements with their age, count and source.

mod bandwidth;
mod evidence;
mod loss;
mod rtt;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use bandwidth::Bandwidth;
pub use evidence::{Evidence, Measured};
pub(crate) use loss::Loss;
pub(crate) use rtt::Rtt;

/// One measurement of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sample {
    /// Something was answered after this long.
    Rtt(Duration),
    /// Something will not be answered any more.
    Lost,
    /// The oldest unanswered byte is this old, and the answer may still come.
    Waiting(Duration),
    /// Of `sent` packets `lost` had to be sent again.
    Packets {
        /// Packets sent since the last report.
        sent: u32,
        /// How many of them were lost.
        lost: u32,
    },
    /// So much went through while the path, and not the application, set the pace.
    Transfer {
        /// Bytes that arrived.
        bytes: u64,
        /// How long that took.
        elapsed: Duration,
    },
}

/// The longest round trip that is believed; a longer one is taken for this.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.min(LONGEST).as_secs_f64() * 1000.0
}
