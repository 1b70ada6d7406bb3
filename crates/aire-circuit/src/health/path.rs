use std::time::Duration;

use aire_types::Time;

use super::change::{Cusum, Losses, Overdue, STALL_LEAST};
use super::leave::Symptom;

/// The round trip is judged in slots by the least of each, as one stall makes many late samples at once.
const SLOT_MIN: Duration = Duration::from_millis(25);
const SLOT_MAX: Duration = Duration::from_millis(100);
/// Alarm when the sum of ln(round trip / usual) beyond what is allowed passes this; 10-fold takes three slots.
const LEVEL_ALARM: f64 = 4.0;
/// Twice the usual round trip is let pass; four times while our own bulk fills the path, as in flight may be twice
/// what fits into the path and queues add to it.
const LEVEL_ALLOWED: f64 = std::f64::consts::LN_2;
const LEVEL_ALLOWED_LOADED: f64 = 2.0 * std::f64::consts::LN_2;
const LEVEL_MOST: f64 = 2.5;
/// A byte is overdue after this multiple of the usual round trip.
const OVERDUE_TIMES: f64 = 1.5;
const OVERDUE_TIMES_LOADED: f64 = 4.0;
/// Beyond a round trip: acknowledgements wait 5 ms, and machines are busy.
const NOISE: Duration = Duration::from_millis(15);
/// After an alarm the path may stay in use for want of a better one.
const QUIET: Duration = Duration::from_secs(5);
const LOADED_FOR: Duration = Duration::from_secs(1);
/// Probes that must be lost in a row, without a sign of life from a carrier.
const PROBES_LOST: u32 = 3;

/// What is usual on a path, and whether it changed. Outlives the carriers.
#[derive(Clone, Debug, Default)]
pub(crate) struct PathHealth {
    /// Natural logarithm of the usual round trip in microseconds.
    usual: Option<f64>,
    learned: u32,
    level: Cusum,
    overdue: Overdue,
    losses: Losses,
    slot: Option<Slot>,
    loaded_until: Time,
    quiet_until: Time,
    last_progress: Option<Time>,
    probes_lost: u32,
    first_lost: Time,
    pub(crate) touched: Time,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    began: Time,
    end: Time,
    /// Least round trip.
    least: Duration,
}

fn ln_us(duration: Duration) -> f64 {
    (duration.as_micros().max(1) as f64).ln()
}

impl PathHealth {
    /// The usual round trip.
    pub(crate) fn usual(&self) -> Option<Duration> {
        self.usual.map(|ln| Duration::from_micros(ln.exp() as u64))
    }

    /// A round trip that is known from elsewhere, where nothing better is.
    pub(crate) fn hint(&mut self, rtt: Duration) {
        self.usual.get_or_insert(ln_us(rtt));
    }

    /// Own bulk traffic fills the path.
    pub(crate) fn loaded(&mut self, now: Time) {
        self.loaded_until = now + LOADED_FOR;
    }

    fn is_loaded(&self, now: Time) -> bool {
        now < self.loaded_until
    }

    /// How long a byte may wait before it is overdue.
    pub(crate) fn limit(&self) -> Option<Duration> {
        let loaded = self.is_loaded(self.touched);
        let times = if loaded { OVERDUE_TIMES_LOADED } else { OVERDUE_TIMES };
        self.usual().map(|usual| usual.mul_f64(times) + NOISE)
    }

    /// An acknowledgement: the newest bytes took `rtt`, the oldest were sent at `since`.
    pub(crate) fn progress(
        &mut self,
        now: Time,
        rtt: Option<Duration>,
        since: Option<Time>,
    ) -> Option<Symptom> {
        self.touched = now;
        self.last_progress = Some(now);
        self.probes_lost = 0;
        let slow = rtt.and_then(|rtt| self.sample(now, rtt));
        slow.or_else(|| since.and_then(|since| self.waited(now, since, false)))
    }

    /// The oldest bytes were sent at `since`; they wait still (`waits`), or have been acknowledged now.
    pub(crate) fn waited(&mut self, now: Time, since: Time, waits: bool) -> Option<Symptom> {
        self.touched = now;
        let (usual, limit) = (self.usual()?, self.limit()?);
        if waits && now < since + limit {
            return None;
        }
        if self.overdue.observe(now, since, usual, limit) { self.alarm(now, Symptom::Lossy) } else { None }
    }

    /// Of `sent` segments the kernel sent `again` so many on the first leg within `span`. Bulk that fills the path loses
    /// packets by itself.
    pub(crate) fn retransmitted(
        &mut self,
        now: Time,
        (sent, again): (u64, u64),
        span: Duration,
    ) -> Option<Symptom> {
        if self.is_loaded(now) {
            return None;
        }
        let overdue = (again as f64 * STALL_LEAST).min(span.as_secs_f64());
        let usual = self.usual()?;
        let repeated = self.losses.observe(sent, again);
        let held_up = self.overdue.add_losses(overdue, usual);
        if repeated || held_up { self.alarm(now, Symptom::Lossy) } else { None }
    }

    /// A probe was answered or lost. Only carriers prove life; probes count where no carrier says anything.
    pub(crate) fn probe(&mut self, now: Time, rtt: Option<Duration>) -> Option<Symptom> {
        self.touched = now;
        let Some(rtt) = rtt else {
            if self.probes_lost == 0 {
                self.first_lost = now;
            }
            self.probes_lost += 1;
            let carriers_live = self.last_progress.is_some_and(|at| at >= self.first_lost);
            return (self.probes_lost >= PROBES_LOST && !carriers_live)
                .then(|| self.alarm(now, Symptom::Unanswered))
                .flatten();
        };
        self.probes_lost = 0;
        self.hint(rtt);
        None
    }

    fn slot_length(&self) -> Duration {
        self.usual().unwrap_or(SLOT_MAX).clamp(SLOT_MIN, SLOT_MAX)
    }

    fn sample(&mut self, now: Time, rtt: Duration) -> Option<Symptom> {
        self.hint(rtt);
        let over = self.slot.take_if(|slot| now >= slot.end);
        let length = self.slot_length();
        let slot = self.slot.get_or_insert(Slot { began: now, end: now + length, least: rtt });
        slot.least = slot.least.min(rtt);
        over.and_then(|slot| self.judge_level(slot.began, slot.least))
    }

    fn judge_level(&mut self, at: Time, least: Duration) -> Option<Symptom> {
        let usual = *self.usual.get_or_insert(ln_us(least));
        let above = ln_us(least) - usual;
        let loaded = self.is_loaded(at);
        self.learn_usual(above, loaded);
        let allowed = if loaded { LEVEL_ALLOWED_LOADED } else { LEVEL_ALLOWED };
        // On a fast path a busy machine multiplies the round trip, and harms nobody.
        let noise = least < self.usual().unwrap_or(least) + NOISE;
        let evidence = if noise { -allowed } else { above.min(LEVEL_MOST) - allowed };
        if !self.level.add(evidence, LEVEL_ALARM) {
            return None;
        }
        // If the path stays in use, its new level becomes the usual one soon.
        self.learned = 8;
        self.alarm(at, Symptom::Slow { times: above.exp() })
    }

    fn learn_usual(&mut self, above: f64, loaded: bool) {
        if loaded && above > 0.0 {
            return;
        }
        self.learned = self.learned.saturating_add(1);
        let weight =
            if above < 0.0 { 1.0 / 8.0 } else { (1.0 / f64::from(self.learned + 1)).max(1.0 / 500.0) };
        if let Some(usual) = &mut self.usual {
            *usual += above.clamp(-0.5, 0.5) * weight;
        }
    }

    fn alarm(&mut self, now: Time, symptom: Symptom) -> Option<Symptom> {
        self.level.reset();
        self.overdue.reset();
        self.losses.reset();
        if now < self.quiet_until {
            return None;
        }
        self.quiet_until = now + QUIET;
        Some(symptom)
    }
}
