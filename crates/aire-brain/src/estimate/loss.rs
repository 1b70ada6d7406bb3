use std::time::Duration;

use aire_types::{Estimate, Source, Time};

/// Evidence halves in this time.
const HALF_LIFE: Duration = Duration::from_secs(60);
/// More packets than this do not make the estimate slower.
const MOST: f64 = 500.0;
/// What is believed before the first packet: as if so many had been sent and so many of them lost.
const PRIOR_SENT: f64 = 6.0;
const PRIOR_LOST: f64 = 0.012;

/// Share of packets that vanish: lost over sent with fading counts and a weak prior, so that 1 of 2 is not 50 %.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loss {
    sent: f64,
    lost: f64,
    at: Time,
}

impl Loss {
    pub(crate) const fn new() -> Self {
        Loss { sent: 0.0, lost: 0.0, at: Time::ZERO }
    }

    pub(crate) fn add(&mut self, now: Time, sent: u32, lost: u32) {
        *self = self.faded(now);
        self.sent += f64::from(sent);
        self.lost += f64::from(lost.min(sent));
        if self.sent > MOST {
            self.lost *= MOST / self.sent;
            self.sent = MOST;
        }
        self.at = now;
    }

    fn faded(mut self, now: Time) -> Self {
        if self.sent == 0.0 {
            return self;
        }
        let keep = (-now.since(self.at).as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2();
        self.sent *= keep;
        self.lost *= keep;
        self
    }

    /// This evidence and `other`'s as if one had gathered both.
    pub(crate) fn pooled(&self, other: &Loss, now: Time) -> Loss {
        let (a, b) = (self.faded(now), other.faded(now));
        Loss { sent: a.sent + b.sent, lost: a.lost + b.lost, at: a.at.max(b.at) }
    }

    pub(crate) fn any_lost(&self) -> bool {
        self.lost > 0.0
    }

    pub(crate) fn count(&self) -> f64 {
        self.sent
    }

    /// Share from 0 to 1, with `waiting` more packets counted as lost.
    pub(crate) fn estimate(&self, now: Time, waiting: u32, source: Source) -> Estimate {
        let faded = self.faded(now);
        let (sent, lost) = (faded.sent + f64::from(waiting), faded.lost + f64::from(waiting));
        let share = if sent > 0.0 { lost / sent } else { 0.0 };
        Estimate {
            value: (lost + PRIOR_LOST) / (sent + PRIOR_SENT),
            deviation: (share * (1.0 - share)).max(0.0).sqrt(),
            at: self.at,
            count: sent as u32,
            censored: waiting > 0,
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(loss: &Loss, at: u64) -> f64 {
        loss.estimate(Time::from_millis(at), 0, Source::Probe).value
    }

    #[test]
    fn one_of_two_is_not_half() {
        let mut loss = Loss::default();
        loss.add(Time::ZERO, 2, 1);
        assert!(value(&loss, 0) < 0.15);
    }

    #[test]
    fn many_packets_show_the_share() {
        let mut loss = Loss::default();
        loss.add(Time::ZERO, 1000, 30);
        assert!((value(&loss, 0) - 0.03).abs() < 0.002);
        let mut heavy = Loss::default();
        for i in 0..30 {
            heavy.add(Time::from_millis(i * 100), 1, u32::from(i % 3 == 0));
        }
        assert!((0.2..0.33).contains(&value(&heavy, 3000)));
    }

    #[test]
    fn a_long_clean_past_does_not_hide_new_loss() {
        let mut loss = Loss::default();
        loss.add(Time::ZERO, 1_000_000, 0);
        loss.add(Time::from_millis(1000), 500, 25);
        assert!(value(&loss, 1000) > 0.02);
    }

    #[test]
    fn loss_is_forgiven_with_time_and_waiting_counts_as_lost() {
        let mut loss = Loss::default();
        loss.add(Time::ZERO, 20, 10);
        assert!(value(&loss, 0) > 0.3);
        assert!(value(&loss, 600_000) < 0.01);
        let waiting = Loss::default().estimate(Time::ZERO, 3, Source::Probe);
        assert!(waiting.value > 0.2 && waiting.censored);
    }
}
