use std::time::Duration;

use aire_wire::ACK_DELAY;

/// Until a round trip was measured.
const UNKNOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Smoothed round trip and variation (RFC 6298 §2).
#[derive(Debug, Default)]
pub(crate) struct RoundTrip {
    smoothed: Option<Duration>,
    variation: Duration,
}

impl RoundTrip {
    pub(crate) fn on_sample(&mut self, rtt: Duration) {
        if let Some(smoothed) = self.smoothed {
            self.variation = (self.variation * 3 + smoothed.abs_diff(rtt)) / 4;
            self.smoothed = Some((smoothed * 7 + rtt) / 8);
        } else {
            self.smoothed = Some(rtt);
            self.variation = rtt / 2;
        }
    }

    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    pub(crate) fn variation(&self) -> Duration {
        self.variation
    }

    /// An acknowledgement that takes longer is late.
    pub(crate) fn probe_timeout(&self) -> Duration {
        self.smoothed.map_or(UNKNOWN_TIMEOUT, |smoothed| smoothed + self.variation * 4 + ACK_DELAY)
    }
}
