use std::time::Duration;

use aire_circuit::TcpFacts;
use aire_types::Time;

/// What was counted on a carrier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Segments with data that the kernel sent on the first leg, and of these how many again.
    pub(crate) segments: (u64, u64),
    /// Bytes that arrived end to end while the path set the pace, and how long that took.
    pub(crate) transfer: (u64, Duration),
}

/// Where the counters of a carrier stood.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    kernel: TcpFacts,
    /// Since when the path sets the pace, and what was acknowledged then.
    filled: Option<(Time, u64)>,
}

impl Counts {
    /// The kernel's counters now.
    pub(super) fn segments(&mut self, facts: TcpFacts, counted: &mut Counted) {
        counted.segments.0 += facts.sent.saturating_sub(self.kernel.sent);
        counted.segments.1 += facts.retransmitted.saturating_sub(self.kernel.retransmitted);
        self.kernel = facts;
    }

    /// `acknowledged` bytes have arrived in all; `filled`: since the last call, and from now on, more would have been sent if
    /// the path had taken it.
    pub(super) fn arrived(&mut self, now: Time, acknowledged: u64, filled: bool, counted: &mut Counted) {
        if let Some((since, before)) = self.filled {
            counted.transfer.0 += acknowledged.saturating_sub(before);
            counted.transfer.1 += now.since(since);
        }
        self.filled = filled.then_some((now, acknowledged));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_since_and_while_the_path_was_full_counts() {
        let (mut counts, mut counted) = (Counts::default(), Counted::default());
        counts.segments(TcpFacts { sent: 10, retransmitted: 1 }, &mut counted);
        counts.segments(TcpFacts { sent: 30, retransmitted: 1 }, &mut counted);
        assert_eq!(counted.segments, (30, 1));
        let at = Time::from_millis;
        counts.arrived(at(0), 1000, false, &mut counted);
        counts.arrived(at(10), 5000, true, &mut counted);
        assert_eq!(counted.transfer.0, 0, "what came before the path was full is the application's pace");
        counts.arrived(at(30), 9000, true, &mut counted);
        counts.arrived(at(40), 9500, false, &mut counted);
        counts.arrived(at(90), 9900, false, &mut counted);
        assert_eq!(counted.transfer, (4500, Duration::from_millis(30)));
    }
}
