use std::time::Duration;

use aire_types::Time;

use super::change::{BadShare, Cusum};
use super::leave::Symptom;

/// Evidence is taken in slots, as one stall of a carrier makes many late samples at once.
const SLOT_MIN: Duration = Duration::from_millis(25);
const SLOT_MAX: Duration = Duration::from_millis(100);
/// Level: alarm when the sum of ln(round trip / usual) beyond the allowance passes this; 10-fold takes three slots.
const LEVEL_ALARM: f64 = 4.0;
/// Twice the usual round trip is let pass; four times while our own bulk fills the path, as in flight may be twice
/// what fits into the path and queues add to it.
const LEVEL_ALLOWED: f64 = std::f64::consts::LN_2;
const LEVEL_ALLOWED_LOADED: f64 = 2.0 * std::f64::consts::LN_2;
const LEVEL_MOST: f64 = 2.5;
const LOSS_ALARM: f64 = 9.0;
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
    bad: BadShare,
    level_sum: Cusum,
    loss_sum: Cusum,
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
    bad: bool,
    /// Least round trip.
    least: Option<Duration>,
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

    /// Is a byte that waited so long out of the ordinary?
    pub(crate) fn is_outlier(&self, now: Time, waited: Duration) -> bool {
        let factor = if self.is_loaded(now) { 4.0 } else { 1.5 };
        self.usual().is_some_and(|usual| waited > usual.mul_f64(factor) + NOISE)
    }

    /// An acknowledgement: the newest bytes took `rtt`, the oldest waited for `waited`.
    pub(crate) fn progress(&mut self, now: Time, rtt: Option<Duration>, waited: Duration) -> Option<Symptom> {
        self.last_progress = Some(now);
        self.probes_lost = 0;
        if let Some(rtt) = rtt {
            self.hint(rtt);
        }
        let bad = self.is_outlier(now, waited);
        self.evidence(now, bad, rtt)
    }

    /// Bytes wait for longer than they should, or the first leg lost packets.
    pub(crate) fn trouble(&mut self, now: Time) -> Option<Symptom> {
        self.evidence(now, true, None)
    }

    /// Bad slots that `count` lost packets within the last `span` would make, where the slots seen do not show them.
    pub(crate) fn lost_packets(&mut self, now: Time, count: u64, span: Duration) -> Option<Symptom> {
        let slots = (span.as_secs_f64() / self.slot_length().as_secs_f64()).ceil() as u64;
        let unseen =
            count.min(slots.max(1)).saturating_sub(u64::from(self.slot.is_some_and(|slot| slot.bad)));
        let mut symptom = if count > 0 { self.trouble(now) } else { None };
        for _ in 1..unseen {
            symptom = symptom.or_else(|| self.count(now, true));
        }
        symptom
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

    fn evidence(&mut self, now: Time, bad: bool, rtt: Option<Duration>) -> Option<Symptom> {
        self.touched = now;
        let mut symptom = None;
        if self.slot.is_some_and(|slot| now >= slot.end) {
            symptom = self.close_slot(now);
        }
        let length = self.slot_length();
        let slot = self.slot.get_or_insert(Slot { began: now, end: now + length, bad: false, least: None });
        if let Some(rtt) = rtt {
            slot.least = Some(slot.least.map_or(rtt, |least| least.min(rtt)));
        }
        let first_bad = bad && !slot.bad;
        slot.bad |= bad;
        if first_bad {
            symptom = symptom.or_else(|| self.count(now, true));
        }
        symptom
    }

    fn close_slot(&mut self, now: Time) -> Option<Symptom> {
        let slot = self.slot.take()?;
        let loss = if slot.bad { None } else { self.count(now, false) };
        let level = slot.least.and_then(|least| self.judge_level(slot.began, least));
        loss.or(level)
    }

    fn count(&mut self, now: Time, bad: bool) -> Option<Symptom> {
        let evidence = self.bad.evidence(bad);
        self.bad.learn(bad);
        if !self.loss_sum.add(evidence, LOSS_ALARM) {
            return None;
        }
        self.alarm(now, Symptom::Lossy)
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
        if !self.level_sum.add(evidence, LEVEL_ALARM) {
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
        self.level_sum.reset();
        self.loss_sum.reset();
        if now < self.quiet_until {
            return None;
        }
        self.quiet_until = now + QUIET;
        Some(symptom)
    }
}
