use aire_types::{AppName, NodeName, Path};
use serde::{Deserialize, Serialize};

/// `ping`: round trips to an app that were measured just now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PingReport {
    /// The destination.
    pub app: AppName,
    /// The instance that was asked.
    pub instance: NodeName,
    /// The relays on the way; empty for direct.
    pub path: Path,
    /// How many probes were sent.
    pub sent: u32,
    /// How many were answered.
    pub received: u32,
    /// Each round trip in the order of sending, milliseconds; `null` where no answer came.
    pub rtts_ms: Vec<Option<f64>>,
    /// Median of the answered ones, milliseconds.
    pub rtt_ms: Option<f64>,
    /// Share that was not answered.
    pub loss: f64,
}

impl PingReport {
    /// Counts what was measured.
    pub fn new(app: AppName, instance: NodeName, path: Path, rtts_ms: Vec<Option<f64>>) -> Self {
        let mut answered: Vec<f64> = rtts_ms.iter().copied().flatten().collect();
        answered.sort_by(f64::total_cmp);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (sent, received) = (count(rtts_ms.len()), count(answered.len()));
        let loss = if sent == 0 { 0.0 } else { f64::from(sent - received) / f64::from(sent) };
        let rtt_ms = answered.get(answered.len() / 2).copied();
        PingReport { app, instance, path, sent, received, rtts_ms, rtt_ms, loss }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unanswered_probes_are_loss() {
        let report = |rtts| {
            let (app, node) = (AppName::new("echo").unwrap(), NodeName::new("n1").unwrap());
            PingReport::new(app, node, Path::DIRECT, rtts)
        };
        let some = report(vec![Some(30.0), None, Some(10.0), Some(20.0)]);
        assert_eq!((some.sent, some.received, some.rtt_ms, some.loss), (4, 3, Some(20.0), 0.25));
        let none = report(vec![]);
        assert_eq!((none.sent, none.rtt_ms, none.loss), (0, None, 0.0));
    }
}
