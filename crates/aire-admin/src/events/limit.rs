use std::collections::BTreeMap;
use std::time::Instant;

use super::EventsLimits;

/// The most pairs of kind and `who` that are told apart; of more, the longest silent is forgotten.
const MAX_KEYS: usize = 1024;

/// What becomes of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is recorded; so many of its kind and `who` before it were not.
    Pass {
        /// How many.
        suppressed: u64,
    },
    /// It comes too fast.
    Suppress,
}

/// Token buckets per kind, and per kind and `who`.
#[derive(Debug)]
pub(super) struct Limiter {
    kind_rate: Rate,
    rate: Rate,
    /// Kinds are words of the program, so there are few.
    kinds: BTreeMap<&'static str, Bucket>,
    keys: BTreeMap<(&'static str, String), Key>,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: f64,
    per_second: f64,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

#[derive(Debug)]
struct Key {
    bucket: Bucket,
    suppressed: u64,
}

impl Bucket {
    fn new(rate: Rate, now: Instant) -> Self {
        Bucket { tokens: rate.burst, at: now }
    }

    /// How many tokens there are now.
    fn refill(&mut self, rate: Rate, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed * rate.per_second).min(rate.burst);
        self.tokens
    }

    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let enough = self.refill(rate, now) >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

impl Limiter {
    pub(super) fn new(limits: &EventsLimits) -> Self {
        Limiter {
            kind_rate: Rate { burst: limits.kind_burst.into(), per_second: limits.kind_per_second },
            rate: Rate { burst: limits.burst.into(), per_second: limits.per_second },
            kinds: BTreeMap::new(),
            keys: BTreeMap::new(),
        }
    }

    /// The narrow bucket is asked first, so that one loud `who` does not spend what the others of its kind need.
    pub(super) fn judge(&mut self, kind: &'static str, who: &str, now: Instant) -> Verdict {
        let (rate, kind_rate) = (self.rate, self.kind_rate);
        let id = (kind, who.to_owned());
        let room = self.keys.len() < MAX_KEYS || self.keys.contains_key(&id);
        let all = self.kinds.entry(kind).or_insert_with(|| Bucket::new(kind_rate, now));
        if !room {
            // Ever new names must not cost more than a look at the kind.
            if all.refill(kind_rate, now) < 1.0 {
                return Verdict::Suppress;
            }
            self.forget_one();
        }
        let key =
            self.keys.entry(id).or_insert_with(|| Key { bucket: Bucket::new(rate, now), suppressed: 0 });
        let all = self.kinds.entry(kind).or_insert_with(|| Bucket::new(kind_rate, now));
        if key.bucket.take(rate, now) && all.take(kind_rate, now) {
            Verdict::Pass { suppressed: std::mem::take(&mut key.suppressed) }
        } else {
            key.suppressed += 1;
            Verdict::Suppress
        }
    }

    fn forget_one(&mut self) {
        let oldest = self.keys.iter().min_by_key(|(_, key)| key.bucket.at).map(|(id, _)| id.clone());
        if let Some(id) = oldest {
            self.keys.remove(&id);
        }
    }
}
