use std::time::Duration;

use aire_types::Time;

/// Tells by repeated evidence that something changed: a cumulative sum of what speaks for a change less what is usual,
/// never below zero (Page, 1954). It alarms after little strong evidence or much that is weak.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cusum {
    sum: f64,
}

impl Cusum {
    /// Adds evidence; true when the sum passes `threshold`.
    pub(crate) fn add(&mut self, evidence: f64, threshold: f64) -> bool {
        self.sum = (self.sum + evidence).max(0.0);
        self.sum >= threshold
    }

    pub(crate) const fn reset(&mut self) {
        self.sum = 0.0;
    }
}

/// The share of the time in which the oldest byte was overdue.
///
/// A lost packet holds up all behind it for a round trip or more, so this is what loss comes to, wherever on the path
/// it happens. Time counts, not samples: after a stall many late samples come at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overdue {
    /// Usual share.
    usual: f64,
    /// Seconds that it was learned from.
    learned_s: f64,
    sum: Cusum,
    /// Up to when time is accounted for.
    counted: Time,
    /// The oldest byte was overdue when it was last looked at.
    stalled: bool,
    /// Seconds overdue since the kernel's view was last taken.
    seen: f64,
}

/// A share that no path is blamed for; one in a hundred packets lost comes to about a third of it.
const TOLERATED: f64 = 0.25;
/// Multiple of the usual share that a path with frequent stalls is allowed.
const USUAL_TIMES: f64 = 3.0;
const ALLOWED_MOST: f64 = 0.7;
/// The least that one stall counts, so that short round trips hide nothing.
pub(crate) const STALL_LEAST: f64 = 0.06;
/// Seconds over which the usual share is learned, first and later.
const LEARN_FIRST_S: f64 = 10.0;
const LEARN_S: f64 = 120.0;
/// Time without trouble speaks against loss the more, the longer the round trip: with 5 % loss a path of 200 ms is
/// hardly ever without a stall, one of 60 ms for half the time. Added to what is allowed, for each second of round trip
/// beyond `SHORT_S`.
const GOOD_EACH_S: f64 = 10.0;
const SHORT_S: f64 = 0.06;
const GOOD_MOST: f64 = 1.5;
/// Alarm after so many seconds overdue (beyond what is allowed), and a round trip more.
const ALARM_S: f64 = 0.25;

impl Default for Overdue {
    fn default() -> Self {
        Overdue {
            usual: 0.02,
            learned_s: 0.0,
            sum: Cusum::default(),
            counted: Time::ZERO,
            stalled: false,
            seen: 0.0,
        }
    }
}

impl Overdue {
    /// The oldest byte was sent at `since` and is acknowledged now, or still waits. `limit` is how long it may wait,
    /// `usual` how long it waits usually. True: alarm.
    pub(crate) fn observe(&mut self, now: Time, since: Time, usual: Duration, limit: Duration) -> bool {
        let from = since.max(self.counted);
        let covered = now.since(from).as_secs_f64();
        let stalled = now >= since + limit;
        let mut overdue = 0.0;
        if stalled {
            overdue = now.since(from.max(since + usual)).as_secs_f64();
            if !self.stalled {
                overdue = overdue.max(STALL_LEAST);
            }
        }
        self.stalled = stalled;
        self.seen += overdue;
        self.counted = self.counted.max(now);
        self.add(covered, overdue, usual)
    }

    /// The kernel saw losses that come to so many seconds; what of it was seen as stalls is counted already.
    pub(crate) fn add_losses(&mut self, seconds: f64, usual: Duration) -> bool {
        let unseen = seconds - std::mem::take(&mut self.seen);
        unseen > 0.0 && self.add(0.0, unseen, usual)
    }

    fn add(&mut self, covered: f64, overdue: f64, usual: Duration) -> bool {
        let allowed = (USUAL_TIMES * self.usual).clamp(TOLERATED, ALLOWED_MOST);
        self.learn(covered, overdue);
        let usual = usual.as_secs_f64();
        let good = (allowed + (usual - SHORT_S).max(0.0) * GOOD_EACH_S).min(GOOD_MOST);
        let evidence = overdue * (1.0 - allowed) - good * (covered - overdue).max(0.0);
        self.sum.add(evidence, ALARM_S + usual)
    }

    fn learn(&mut self, covered: f64, overdue: f64) {
        self.learned_s = (self.learned_s + covered).min(LEARN_S);
        let memory = self.learned_s.max(LEARN_FIRST_S);
        self.usual += (overdue - self.usual * covered) / memory;
        self.usual = self.usual.clamp(0.0, 1.0);
    }

    pub(crate) const fn reset(&mut self) {
        self.sum.reset();
    }
}

/// The share of the segments that the kernel sent again: what a short first leg loses is repaired before anything is
/// overdue, and still it delays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Losses {
    /// Usual share.
    usual: f64,
    sum: Cusum,
}

/// A share that no path is blamed for.
const LOSS_LEAST: f64 = 0.01;
const LOSS_MOST: f64 = 0.1;
/// Five times the usual share is the change that is looked for.
const LOSS_TIMES: f64 = 5.0;
/// So many segments the usual share is learned from.
const LOSS_MEMORY: f64 = 5000.0;
/// One reading counts as so many segments at most, and as one loss: losses in a row have one cause.
const READING: f64 = 20.0;
const LOSS_ALARM: f64 = 4.0;

impl Default for Losses {
    fn default() -> Self {
        Losses { usual: LOSS_LEAST, sum: Cusum::default() }
    }
}

impl Losses {
    /// Of `sent` segments `again` were repetitions, since the last reading. True: alarm.
    pub(crate) fn observe(&mut self, sent: u64, again: u64) -> bool {
        let (sent, again) = (sent.max(again) as f64, again as f64);
        if sent == 0.0 {
            return false;
        }
        let scale = (READING / sent).min(1.0);
        let lost = (again * scale).min(1.0);
        let passed = (sent - again) * scale;
        let usual = self.usual.clamp(LOSS_LEAST, LOSS_MOST);
        let speaks_against = ((1.0 - LOSS_TIMES * usual) / (1.0 - usual)).ln();
        let alarm = self.sum.add(lost * LOSS_TIMES.ln() + passed * speaks_against, LOSS_ALARM);
        let weight = (sent / LOSS_MEMORY).min(1.0);
        self.usual += weight * (again / sent - self.usual);
        alarm
    }

    pub(crate) const fn reset(&mut self) {
        self.sum.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readings of six segments each until the alarm, where one of `one_in` is lost.
    fn readings_until_alarm(losses: &mut Losses, one_in: u64, most: u64) -> Option<u64> {
        let lost = |reading: u64| (reading * 6..reading * 6 + 6).filter(|n| n % one_in == 0).count() as u64;
        (1..most).find(|reading| losses.observe(6, lost(*reading)))
    }

    #[test]
    fn repeated_segments_alarm_where_they_are_more_than_usual() {
        let mut losses = Losses::default();
        assert_eq!(readings_until_alarm(&mut losses, 100, 100_000), None);
        let found = readings_until_alarm(&mut losses, 20, 1000);
        assert!(found.is_some_and(|found| found <= 20), "{found:?}");
        // a burst is one loss
        let mut losses = Losses::default();
        assert!(!losses.observe(40, 20));
        // in the end it is usual
        let mut losses = Losses::default();
        while readings_until_alarm(&mut losses, 20, 500).is_some() {
            losses.reset();
        }
        assert!(losses.usual > 0.02);
    }

    /// A message each 10 ms; of `stall_each` one waits for 145 ms instead of 60, and with it those behind it.
    fn alarm_after(overdue: &mut Overdue, begin: u64, seconds: u64, stall_each: u64) -> Option<u64> {
        let ms = Duration::from_millis;
        let (usual, limit) = (ms(60), ms(105));
        let mut blocked_until = 0;
        for i in 0..seconds * 100 {
            let sent = begin + i * 10;
            let arrives = sent + if i % stall_each == 0 { 145 } else { 60 };
            blocked_until = arrives.max(blocked_until);
            if overdue.observe(Time::from_millis(blocked_until), Time::from_millis(sent), usual, limit) {
                return Some(i * 10);
            }
        }
        None
    }

    #[test]
    fn seldom_stalls_never_alarm_and_frequent_ones_soon_do() {
        let mut overdue = Overdue::default();
        assert_eq!(alarm_after(&mut overdue, 0, 3600, 200), None);
        let found = alarm_after(&mut overdue, 3_700_000, 10, 10);
        assert!(found.is_some_and(|found| found <= 800), "{found:?}");
    }
}
