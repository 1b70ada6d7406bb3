//! What happened to the agent: a bounded ring in which no flood of one kind pushes out the others.

mod limit;
mod ring;
mod time;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use aire_types::{AppName, NodeName};
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::documents::{Event, Severity};
use limit::{Limiter, Verdict};
use ring::Ring;

pub use time::rfc3339;

/// The longest `who` and `what` that are kept, characters: both may come from a stranger.
const MAX_SHORT: usize = 300;
/// The longest `detail` that is kept, characters.
const MAX_DETAIL: usize = 2000;

/// How much is remembered and how fast it may come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EventsLimits {
    /// How many events are remembered, at least 4. One kind gets a quarter of them at most.
    pub capacity: usize,
    /// How many of one kind from one `who` may come at once.
    pub burst: u32,
    /// How many of one kind from one `who` a second after that.
    pub per_second: f64,
    /// How many of one kind may come at once, whoever they are from.
    pub kind_burst: u32,
    /// How many of one kind a second after that.
    pub kind_per_second: f64,
}

impl Default for EventsLimits {
    fn default() -> Self {
        EventsLimits { capacity: 4096, burst: 20, per_second: 0.5, kind_burst: 200, kind_per_second: 10.0 }
    }
}

/// Something that just happened.
#[derive(Clone, Debug)]
pub struct News {
    kind: &'static str,
    severity: Severity,
    who: String,
    what: String,
    peer: Option<NodeName>,
    app: Option<AppName>,
    detail: Option<String>,
}

impl News {
    /// `kind` is for scripts, lower case with hyphens; `who` is who did it or is to blame; `what` is for people.
    pub fn new(
        kind: &'static str,
        severity: Severity,
        who: impl Into<String>,
        what: impl Into<String>,
    ) -> Self {
        News { kind, severity, who: who.into(), what: what.into(), peer: None, app: None, detail: None }
    }

    /// About this agent.
    #[must_use]
    pub fn peer(mut self, peer: NodeName) -> Self {
        self.peer = Some(peer);
        self
    }

    /// About this app.
    #[must_use]
    pub fn app(mut self, app: AppName) -> Self {
        self.app = Some(app);
        self
    }

    /// With more for people.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// Events after a cursor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notes {
    /// In order.
    pub events: Vec<Arc<Event>>,
    /// How many more there were that are no longer remembered.
    pub missed: u64,
}

/// How many events there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Recorded, by the order of [`Severity::ALL`].
    pub(crate) recorded: [u64; 3],
    /// Left out because they came too fast.
    pub(crate) suppressed: u64,
}

/// The ring. Shared by reference; every call is short and never waits for a subscriber.
#[derive(Debug)]
pub struct Events {
    inner: Mutex<Inner>,
    subscribers: broadcast::Sender<Arc<Event>>,
}

#[derive(Debug)]
struct Inner {
    ring: Ring,
    limiter: Limiter,
    counts: Counts,
}

impl Default for Events {
    fn default() -> Self {
        Events::new(EventsLimits::default())
    }
}

impl Events {
    /// An empty ring.
    pub fn new(limits: EventsLimits) -> Self {
        let inner = Inner {
            ring: Ring::new(limits.capacity),
            limiter: Limiter::new(&limits),
            counts: Counts::default(),
        };
        Events { inner: Mutex::new(inner), subscribers: broadcast::Sender::new(256) }
    }

    /// Remembers it and tells the subscribers, unless too much of its kind came before.
    pub fn record(&self, news: News) {
        self.record_at(news, SystemTime::now(), Instant::now());
    }

    fn record_at(&self, news: News, at: SystemTime, now: Instant) {
        let mut inner = self.inner.lock();
        let who = clean(&news.who, MAX_SHORT);
        let Verdict::Pass { suppressed } = inner.limiter.judge(news.kind, &who, now) else {
            inner.counts.suppressed += 1;
            return;
        };
        let what = clean(&news.what, MAX_SHORT);
        match news.severity {
            Severity::Info => tracing::info!(kind = news.kind, who, "{what}"),
            Severity::Warning => tracing::warn!(kind = news.kind, who, "{what}"),
            Severity::Error => tracing::error!(kind = news.kind, who, "{what}"),
        }
        inner.counts.recorded[news.severity as usize] += 1;
        let event = inner.ring.push(|cursor| Event {
            cursor,
            at: rfc3339(at),
            kind: news.kind.to_owned(),
            severity: news.severity,
            who,
            what,
            peer: news.peer,
            app: news.app,
            detail: news.detail.map(|detail| clean(&detail, MAX_DETAIL)),
            suppressed,
        });
        // Under the lock, so that subscribers get them in order. Nobody listening is fine.
        let _ = self.subscribers.send(event);
    }

    /// All remembered events with a higher cursor; 0 for all.
    pub fn since(&self, cursor: u64) -> Notes {
        self.inner.lock().ring.since(cursor)
    }

    /// The cursor of the newest event; 0 before the first.
    pub fn latest(&self) -> u64 {
        self.inner.lock().ring.latest()
    }

    /// All events from now on. A subscriber that is too slow is told how many it missed.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.subscribers.subscribe()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.inner.lock().counts
    }
}

/// Bounded, and without control characters that could play tricks on a terminal.
fn clean(text: &str, longest: usize) -> String {
    let mut clean: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(longest + 1).collect();
    if let Some((cut, _)) = clean.char_indices().nth(longest) {
        clean.truncate(cut);
        clean.push('…');
    }
    clean
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn news(kind: &'static str, who: &str) -> News {
        News::new(kind, Severity::Warning, who, "it happened")
    }

    fn kinds(events: &Events, kind: &str) -> usize {
        events.since(0).events.iter().filter(|event| event.kind == kind).count()
    }

    #[test]
    fn cursors_rise_and_since_goes_on_after_them() {
        let events = Events::default();
        assert_eq!((events.latest(), events.since(0)), (0, Notes::default()));
        for _ in 0..3 {
            events.record(news("a", "x"));
        }
        let notes = events.since(1);
        assert_eq!(notes.events.iter().map(|e| e.cursor).collect::<Vec<_>>(), [2, 3]);
        assert_eq!((notes.missed, events.latest()), (0, 3));
        assert_eq!(events.since(99), Notes::default());
    }

    #[test]
    fn a_flood_from_one_is_limited_and_said_to_be() {
        let events = Events::default();
        let (at, now) = (SystemTime::now(), Instant::now());
        for _ in 0..1000 {
            events.record_at(news("denied", "x"), at, now);
        }
        events.record_at(news("denied", "y"), at, now);
        assert_eq!(kinds(&events, "denied"), 21);
        events.record_at(news("denied", "x"), at, now + Duration::from_secs(2));
        let last = events.since(0).events.last().cloned().unwrap();
        assert_eq!((last.who.as_str(), last.suppressed), ("x", 980));
        assert_eq!(events.counts().suppressed, 980);
    }

    #[test]
    fn a_flood_from_many_is_limited_too() {
        let events = Events::default();
        let (at, now) = (SystemTime::now(), Instant::now());
        for who in 0..100_000 {
            events.record_at(news("stranger", &who.to_string()), at, now);
        }
        assert_eq!(kinds(&events, "stranger"), 200);
        events.record_at(news("other", "x"), at, now);
        assert_eq!(kinds(&events, "other"), 1);
    }

    #[test]
    fn a_long_flood_pushes_out_no_other_kind() {
        let limits = EventsLimits { capacity: 40, ..EventsLimits::default() };
        let events = Events::new(limits);
        let (at, now) = (SystemTime::now(), Instant::now());
        events.record_at(news("rare", "x"), at, now);
        for second in 0..1000 {
            events.record_at(news("flood", "x"), at, now + Duration::from_secs(2 * second));
        }
        assert_eq!((kinds(&events, "rare"), kinds(&events, "flood")), (1, 10));
        let notes = events.since(0);
        assert_eq!(notes.missed, 990);
        assert!(notes.events.is_sorted_by_key(|event| event.cursor));
    }

    #[test]
    fn text_from_strangers_is_bounded_and_harmless() {
        let events = Events::default();
        let bad = format!("\x1b[2J{}", "é".repeat(1000));
        events.record(News::new("a", Severity::Info, bad.clone(), bad.clone()).detail(bad));
        let event = &events.since(0).events[0];
        assert_eq!(event.what.chars().count(), MAX_SHORT + 1);
        assert!(!event.who.contains('\x1b') && event.what.ends_with('…'));
    }

    #[tokio::test]
    async fn subscribers_get_what_comes_and_learn_what_they_missed() {
        let limits = EventsLimits { burst: 1000, kind_burst: 1000, ..EventsLimits::default() };
        let events = Events::new(limits);
        let mut subscriber = events.subscribe();
        events.record(news("a", "x"));
        assert_eq!(subscriber.recv().await.unwrap().cursor, 1);
        for _ in 0..300 {
            events.record(news("a", "x"));
        }
        assert!(matches!(subscriber.recv().await, Err(broadcast::error::RecvError::Lagged(_))));
    }
}
