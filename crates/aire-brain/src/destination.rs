//! State of one destination: its routes and, per class, the choice between them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aire_types::{Class, Decision, Ineligible, Path, Snapshot, Source, Time};

use crate::estimate::{Evidence, Measured, Sample, millis};
use crate::outcome::{Tally, Tracks, Watch};
use crate::topology::Refusal;

/// A measurement older than this is no longer one, but for the path in use.
const STALE: Duration = Duration::from_secs(300);
/// So many misses in a row, and a path that has answered before is silent.
const MISSES: u32 = 5;
/// The same for a path that has never answered.
const FIRST_MISSES: u32 = 3;
/// After a miss on a path that matters, so many probes follow soon: one loss says little, six say much.
const ALERT: u32 = 6;
/// Payload this young proves a path alive whatever probes say.
const ALIVE: Duration = Duration::from_secs(2);
/// What was measured and is no news is seen by a decision after this.
const CALM: Duration = Duration::from_secs(5);
/// Until a route that may be better has answered so often every answer is news.
const PROVEN: u32 = 16;
/// An average that is longer by this share may still be that of a better path.
const HOPE: f64 = 1.2;
/// An average that moved by this share and so many milliseconds is news.
const MOVED: f64 = 0.01;
const MOVED_LEAST_MS: f64 = 0.5;
/// So is a round trip that is so far from the average.
const FAR: f64 = 0.2;
const FAR_LEAST_MS: f64 = 5.0;
/// A link whose round trip fell to this share, and by so many milliseconds more, says that its path may be better.
const FELL: f64 = 0.9;
const FELL_LEAST_MS: f64 = 2.0;

/// What a route is to the last decisions; orders how often it is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Costs clearly more than the best.
    #[default]
    Far,
    /// Costs little more than the best.
    Close,
    /// Takes over when the best fails.
    Standby,
    /// Best.
    Used,
}

/// One path to one destination.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) evidence: Evidence,
    pub(crate) role: Role,
    /// Masked by override, ceiling or topology: not worth a probe.
    pub(crate) off: bool,
    pub(crate) leased_until: Time,
    /// Probes that are under way: name and departure.
    pub(crate) flights: Vec<(u64, Time)>,
    /// Probes sent since the route was new, left or silent.
    pub(crate) probed: u32,
    pub(crate) probed_at: Option<Time>,
    /// Probes that will follow soon because one was lost.
    pub(crate) alert: u32,
    /// No probe before.
    pub(crate) rest_until: Time,
    /// Round trip of the link to its first hop, as it was when that last led to a probe, milliseconds.
    link_ms: Option<f64>,
    pub(crate) silent: bool,
    /// What was measured since the watch of its destination began.
    pub(crate) tally: Tally,
    refused: Option<(Refusal, Time)>,
    refusals: u32,
    left_until: Time,
    /// It was left or silent before: its silence is no longer ignorance.
    fell: bool,
    /// The average that the last decision saw, milliseconds.
    seen_ms: f64,
}

impl Route {
    pub(crate) fn new() -> Self {
        Route {
            evidence: Evidence::new(),
            role: Role::Far,
            off: false,
            leased_until: Time::ZERO,
            flights: Vec::new(),
            probed: 0,
            probed_at: None,
            alert: 0,
            rest_until: Time::ZERO,
            link_ms: None,
            silent: false,
            tally: Tally::default(),
            refused: None,
            refusals: 0,
            left_until: Time::ZERO,
            fell: false,
            seen_ms: 0.0,
        }
    }

    /// Could `sample`, which was just taken in, change a decision? In a calm network most could not. `beats` says whether
    /// such an average may be better than what is in use.
    fn is_news(&self, now: Time, sample: Sample, beats: impl Fn(f64) -> bool) -> bool {
        let mean = self.evidence.mean_ms(now);
        let beyond = |value: f64, share: f64, least: f64| {
            (value - self.seen_ms).abs() > least.max(share * self.seen_ms)
        };
        let count = self.evidence.count();
        match sample {
            _ if count < PROVEN && (count == 1 || beats(mean)) => true,
            Sample::Rtt(rtt) => beyond(mean, MOVED, MOVED_LEAST_MS) || beyond(millis(rtt), FAR, FAR_LEAST_MS),
            Sample::Packets { lost, .. } => lost > 0,
            Sample::Lost | Sample::Waiting(_) | Sample::Transfer { .. } => true,
        }
    }

    /// Takes a measurement in. True when a silent route answered.
    pub(crate) fn add(&mut self, now: Time, sample: Sample, source: Source) -> bool {
        let answered = matches!(sample, Sample::Rtt(_)) && source != Source::Claimed;
        let revived = answered && self.silent;
        if revived {
            self.silent = false;
            self.probed = 0;
            self.evidence.forgive();
        }
        if source != Source::Claimed {
            self.tally.add(self.evidence.mean_ms(now), sample);
        }
        let before = self.evidence.count();
        self.evidence.add(now, sample, source);
        if self.evidence.count() < before {
            // a new level: the path proves itself again
            self.probed = 0;
        }
        revived
    }

    /// What the link to the first hop measured, for nothing: where it fell, the route is looked at at once, as it may be
    /// better than it was. True then.
    pub(crate) fn hear_link(&mut self, link_ms: Option<f64>) -> bool {
        let Some(heard) = link_ms.filter(|ms| ms.is_finite()) else { return false };
        let before = *self.link_ms.get_or_insert(heard);
        let fell = heard < FELL * before - FELL_LEAST_MS;
        if fell || heard > before {
            self.link_ms = Some(heard);
        }
        if fell {
            self.probed_at = None;
        }
        fell
    }

    /// An answer is missing.
    pub(crate) fn miss(&mut self) {
        self.alert = ALERT;
        self.evidence.miss();
    }

    /// Does the row of misses show that the route is silent? True once, when it becomes so.
    pub(crate) fn falls_silent(&mut self, now: Time) -> bool {
        let limit = if self.evidence.count() == 0 { FIRST_MISSES } else { MISSES };
        let alive = self.evidence.payload_at().is_some_and(|at| now.since(at) <= ALIVE);
        let fell = !self.silent && !alive && self.evidence.misses() >= limit;
        if fell {
            self.fall();
            self.silent = true;
        }
        fell
    }

    fn fall(&mut self) {
        self.evidence.doubt();
        self.fell = true;
    }

    pub(crate) fn die(&mut self) {
        self.fall();
        self.silent = true;
    }

    /// The route was left: it may come back after `dwell`, with measurements made after the last second of it.
    pub(crate) fn leave(&mut self, now: Time, dwell: Duration) {
        self.fall();
        self.left_until = self.left_until.max(now + dwell);
        self.rest_until = self.rest_until.max(now + dwell.saturating_sub(Duration::from_secs(1)));
        self.probed = 0;
    }

    /// Links come up any moment, capacity returns soon, other reasons hold longer every time.
    pub(crate) fn refuse(&mut self, now: Time, why: Refusal) {
        let wait = match why {
            Refusal::Capacity => Duration::from_secs(10),
            Refusal::Unlinked(_) => Duration::from_secs(1 << self.refusals.min(5)),
            Refusal::Other(_) => Duration::from_secs(30 << self.refusals.min(4)),
        };
        self.refusals = self.refusals.saturating_add(1);
        self.refused = Some((why, now + wait));
        self.rest_until = self.rest_until.max(now + wait);
        self.leased_until = Time::ZERO;
        self.probed = 0;
    }

    pub(crate) fn lease(&mut self, until: Time) {
        self.refused = None;
        self.refusals = 0;
        self.rest_until = self.left_until;
        self.leased_until = until;
    }

    /// Why it cannot be used, as far as the route itself knows.
    pub(crate) fn mask(&self, now: Time, direct: bool, in_use: bool) -> Option<Ineligible> {
        if let Some((why, until)) = &self.refused
            && *until > now
        {
            return Some(match why {
                Refusal::Unlinked(why) => Ineligible::Refused(why.clone()),
                Refusal::Capacity => Ineligible::Full,
                Refusal::Other(reason) => Ineligible::Refused(reason.clone()),
            });
        }
        if self.silent {
            return Some(Ineligible::Dead);
        }
        if self.left_until > now {
            return Some(Ineligible::Dwelling);
        }
        let ignorant = self.evidence.count() == 0 && (!direct || self.fell);
        let stale = self.evidence.count() > 0 && !in_use && now.since(self.evidence.at()) > STALE;
        (ignorant || stale).then_some(Ineligible::Unmeasured)
    }

    /// Has it been looked at without any answer, or can it not be used?
    pub(crate) fn is_hopeless(&self, now: Time, direct: bool) -> bool {
        if self.evidence.misses() >= MISSES {
            return true;
        }
        match self.mask(now, direct, false) {
            Some(Ineligible::Unmeasured) => self.off || self.evidence.misses() >= FIRST_MISSES,
            Some(_) => true,
            None => self.off || (self.evidence.count() == 0 && self.evidence.misses() >= FIRST_MISSES),
        }
    }

    /// What is known of it, for a decision.
    pub(crate) fn measured(&mut self, now: Time) -> Measured {
        self.seen_ms = self.evidence.mean_ms(now);
        let patience = self.evidence.patience(now);
        let ages = self.flights.iter().map(|(_, at)| now.since(*at));
        let overdue = ages.clone().filter(|age| *age > patience);
        let count = overdue.clone().count() as u32;
        let mut measured = self.evidence.measured(now, count, overdue.max());
        if measured.rtt.count == 0 {
            let waited = ages.max().map_or(0.0, |age| age.as_secs_f64() * 1000.0);
            measured.rtt.value = waited;
            measured.rtt.censored = true;
            measured.tail_ms = waited;
        }
        measured
    }
}

/// What was decided for one class, and what is in use.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) current: Option<(Path, Time)>,
    pub(crate) hold_until: Time,
    pub(crate) standby: Option<Path>,
    pub(crate) decision: Arc<Decision>,
    pub(crate) snapshot: Arc<Snapshot>,
    /// Something happened that the decision does not know.
    pub(crate) stale: bool,
    /// Where rule and model would be by themselves.
    pub(crate) tracks: Tracks,
}

/// One instance that somebody here wants to reach.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) routes: BTreeMap<Path, Route>,
    pub(crate) choices: BTreeMap<Class, Choice>,
    pub(crate) since: Time,
    pub(crate) rotate_at: Time,
    /// There is news that no decision has seen.
    pub(crate) dirty: bool,
    /// There are measurements that no decision has seen.
    unseen: bool,
    reviewed_at: Time,
    /// The decision whose outcome is being measured.
    pub(crate) watch: Option<Watch>,
    /// The class of the last watch.
    pub(crate) watched: Option<Class>,
}

impl Destination {
    pub(crate) fn new(now: Time) -> Self {
        let routes = BTreeMap::from([(Path::DIRECT, Route::new())]);
        Destination {
            routes,
            choices: BTreeMap::new(),
            since: now,
            rotate_at: now,
            dirty: true,
            unseen: false,
            reviewed_at: now,
            watch: None,
            watched: None,
        }
    }

    pub(crate) fn disturb(&mut self) {
        self.dirty = true;
        self.choices.values_mut().for_each(|choice| choice.stale = true);
    }

    /// `sample` of the route over `path` was taken in.
    pub(crate) fn hear(&mut self, now: Time, path: &Path, sample: Sample, source: Source) {
        let used = || self.routes.values().filter(|route| route.role == Role::Used);
        let beats = |ms: f64| used().all(|route| ms < HOPE * route.evidence.mean_ms(now));
        let news = self.routes.get(path).is_none_or(|route| route.is_news(now, sample, beats));
        self.unseen = true;
        self.dirty |= news || source == Source::Claimed;
    }

    /// Must its decisions be made again? True once for what happened so far.
    pub(crate) fn take_review(&mut self, now: Time) -> bool {
        // what chance or a hold put off is not settled by silence
        let open = |choice: &Choice| choice.decision.propensity < 1.0 || choice.hold_until > now;
        let ripe = |watch: &Watch| watch.is_ripe(now);
        let later = || {
            let calm = now.since(self.reviewed_at) >= CALM;
            calm || self.watch.as_ref().is_some_and(ripe) || self.choices.values().any(open)
        };
        let due = self.dirty || (self.unseen && later());
        if due {
            (self.dirty, self.unseen, self.reviewed_at) = (false, false, now);
        }
        due
    }

    /// The path in use missed an answer: look at the standby before it is needed, and to tell a fault near us.
    pub(crate) fn doubt_standby(&mut self, missed: &Path) {
        if self.routes.get(missed).is_none_or(|route| route.role != Role::Used) {
            return;
        }
        for route in self.routes.values_mut().filter(|route| route.role == Role::Standby) {
            route.alert = route.alert.max(2);
        }
    }

    pub(crate) fn is_in_use(&self, path: &Path) -> bool {
        self.choices.values().any(|choice| {
            choice.standby.as_ref() == Some(path)
                || choice.tracks.follows(path)
                || choice.current.as_ref().is_some_and(|(used, _)| used == path)
        })
    }
}
