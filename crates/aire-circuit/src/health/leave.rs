use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use aire_types::{Path, Random, Time};

use super::CarrierId;
use super::carrier::{Progress, TcpFacts, Watched};
use super::path::PathHealth;
use super::rtt::Rtt;

/// How the leave loop is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaveConfig {
    /// How long the peer may hold an acknowledgement back.
    pub ack_delay: Duration,
    /// How often an idle carrier is pinged; `None`: the peer does that.
    pub ping_interval: Option<Duration>,
    /// Seed of the jitter.
    pub seed: u64,
}

impl LeaveConfig {
    /// For the side that opens carriers.
    pub const fn source(seed: u64) -> Self {
        let ping_interval = Some(Duration::from_secs(5));
        LeaveConfig { ack_delay: aire_wire::ACK_DELAY, ping_interval, seed }
    }

    /// For the side that accepts them.
    pub const fn destination(seed: u64) -> Self {
        LeaveConfig { ack_delay: aire_wire::ACK_DELAY, ping_interval: None, seed }
    }
}

/// What is wrong with a path that is not proved dead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Symptom {
    /// A carrier has no acknowledgements, and no other carrier proves that the network works.
    Silent,
    /// The round trip is this many times the usual one.
    Slow {
        /// Factor.
        times: f64,
    },
    /// Bytes wait out of the ordinary, or packets are lost, far more often than usual.
    Lossy,
    /// Probes get no answer and no carrier shows life.
    Unanswered,
}

/// What the leave loop found.
#[derive(Clone, Debug, PartialEq)]
pub enum LeaveOutput {
    /// The oldest byte is late: send all that is unacknowledged on another carrier as well. Repeated while it lasts.
    Hedge {
        /// The late carrier.
        carrier: CarrierId,
    },
    /// Acknowledgements come again on a carrier that was hedged.
    Recovered {
        /// The carrier.
        carrier: CarrierId,
    },
    /// No progress for three timeouts while another carrier progressed, or for seconds. It is not watched any more.
    Dead {
        /// The carrier.
        carrier: CarrierId,
        /// How long it was silent.
        silent: Duration,
    },
    /// A path is not what it used to be.
    Degraded {
        /// The path.
        path: Path,
        /// In what way.
        symptom: Symptom,
    },
    /// Ask for a sign of life in band.
    Ping {
        /// The carrier.
        carrier: CarrierId,
    },
}

/// Probe timeouts without progress that mean death; with several silent carriers of one path, fewer.
const DEAD_AFTER: u32 = 3;
const DEAD_TOGETHER: u32 = 2;
/// No carrier is declared dead faster: TCP itself may be silent for as long after a loss (its least retransmission
/// timeout is 200 ms), and the streams are hedged meanwhile.
const DEAD_LEAST: Duration = Duration::from_millis(250);
/// Without progress anywhere.
const GIVEN_UP: Duration = Duration::from_secs(5);
/// A timer that fires so late shows that this machine was busy: first look at what arrived meanwhile.
const STARVED: Duration = Duration::from_millis(30);
const STARVED_GRACE: Duration = Duration::from_millis(10);
/// Paths whose usual behaviour is remembered.
const MAX_PATHS: usize = 64;

/// Watches the carriers of one association (or of all to one instance).
///
/// *Leave* has no cost model. Life is proved by acknowledgements on the carrier itself; a path is compared with what is
/// usual for that path. An unanswered byte counts as a sample of at least its age.
#[derive(Clone, Debug)]
pub struct Leave {
    config: LeaveConfig,
    carriers: BTreeMap<CarrierId, Watched>,
    paths: BTreeMap<Path, PathHealth>,
    random: Random,
    grace_until: Time,
    graced: bool,
    outputs: VecDeque<LeaveOutput>,
}

impl Leave {
    /// Watches nothing yet.
    pub const fn new(config: LeaveConfig) -> Self {
        Leave {
            config,
            carriers: BTreeMap::new(),
            paths: BTreeMap::new(),
            random: Random::new(config.seed),
            grace_until: Time::ZERO,
            graced: false,
            outputs: VecDeque::new(),
        }
    }

    /// A carrier is open. `hint`: what its path's round trip is known to be, if it is.
    pub fn handle_up(&mut self, now: Time, carrier: CarrierId, path: Path, hint: Option<Duration>) {
        let health = self.path(now, &path);
        if let Some(hint) = hint {
            health.hint(hint);
        }
        let hint = health.usual();
        let next_ping = self.next_ping(now);
        self.carriers.insert(
            carrier,
            Watched {
                path,
                rtt: Rtt::new(hint),
                outstanding_since: None,
                last_progress: None,
                hedged: None,
                told_silent: false,
                recovered: None,
                pinged: None,
                next_ping,
                tcp: None,
            },
        );
    }

    /// A carrier is closed, whoever closed it.
    pub fn handle_down(&mut self, carrier: CarrierId) {
        self.carriers.remove(&carrier);
    }

    /// The carrier's oldest unacknowledged byte was sent at `since`; nothing was outstanding before.
    pub fn handle_outstanding(&mut self, carrier: CarrierId, since: Time) {
        if let Some(watched) = self.carriers.get_mut(&carrier) {
            watched.outstanding_since.get_or_insert(since);
        }
    }

    /// More of the carrier was acknowledged.
    pub fn handle_progress(&mut self, now: Time, carrier: CarrierId, progress: Progress) {
        let next_ping = self.next_ping(now);
        let Some(watched) = self.carriers.get_mut(&carrier) else { return };
        let since = watched.outstanding_since;
        watched.outstanding_since = progress.outstanding_since;
        watched.last_progress = Some(now);
        watched.next_ping = next_ping;
        watched.told_silent = false;
        if let Some(rtt) = progress.rtt {
            watched.rtt.sample(rtt);
        }
        let path = watched.path.clone();
        if watched.hedged.take().is_some() {
            watched.recovered = Some(now);
            self.outputs.push_back(LeaveOutput::Recovered { carrier });
        }
        let health = self.path(now, &path);
        if progress.loaded {
            health.loaded(now);
        }
        if let Some(symptom) = health.progress(now, progress.rtt, since) {
            self.outputs.push_back(LeaveOutput::Degraded { path, symptom });
        }
        // It may be the proof that another is dead.
        self.judge_all(now);
    }

    /// The kernel's view of the carrier's first leg; at most every 100 ms or so.
    pub fn handle_tcp_info(&mut self, now: Time, carrier: CarrierId, facts: TcpFacts) {
        let Some(watched) = self.carriers.get_mut(&carrier) else { return };
        let before = watched.tcp.replace((now, facts));
        let path = watched.path.clone();
        let Some((then, before)) = before else { return };
        let lost = facts.retransmitted.saturating_sub(before.retransmitted);
        let sent = facts.sent.saturating_sub(before.sent);
        if let Some(symptom) = self.path(now, &path).retransmitted(now, (sent, lost), now.since(then)) {
            self.outputs.push_back(LeaveOutput::Degraded { path, symptom });
        }
    }

    /// A probe of the path's circuit was answered, or lost (`None`).
    pub fn handle_probe(&mut self, now: Time, path: &Path, rtt: Option<Duration>) {
        if let Some(symptom) = self.path(now, path).probe(now, rtt) {
            self.outputs.push_back(LeaveOutput::Degraded { path: path.clone(), symptom });
        }
    }

    /// The next finding.
    pub fn poll_output(&mut self) -> Option<LeaveOutput> {
        self.outputs.pop_front()
    }

    /// When [`Leave::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        let at = self.carriers.values().map(|watched| self.due(watched)).min()?;
        (at != Time::NEVER).then(|| at.max(self.grace_until))
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        let Some(due) = self.poll_timeout().filter(|due| *due <= now) else { return };
        if now.since(due) > STARVED && !self.graced {
            self.graced = true;
            self.grace_until = now + STARVED_GRACE;
            return;
        }
        self.graced = false;
        self.judge_all(now);
        self.ping_idle(now);
    }

    /// The smoothed round trip of a carrier.
    pub fn smoothed(&self, carrier: CarrierId) -> Option<Duration> {
        self.carriers.get(&carrier)?.rtt.smoothed()
    }

    /// The usual round trip of a path.
    pub fn usual(&self, path: &Path) -> Option<Duration> {
        self.paths.get(path)?.usual()
    }

    /// Is the carrier's oldest byte late?
    pub fn is_late(&self, carrier: CarrierId) -> bool {
        self.carriers.get(&carrier).is_some_and(|watched| watched.hedged.is_some())
    }

    /// Panics where the state contradicts itself. For tests.
    ///
    /// # Panics
    /// A bug here.
    pub fn check_invariants(&self) {
        assert!(self.paths.len() <= MAX_PATHS.max(self.carriers.len()), "too many paths remembered");
        for watched in self.carriers.values() {
            assert!(watched.hedged.is_none() || watched.outstanding_since.is_some(), "late without cause");
        }
    }

    fn path(&mut self, now: Time, path: &Path) -> &mut PathHealth {
        if !self.paths.contains_key(path) && self.paths.len() >= MAX_PATHS {
            let used = |path: &Path| self.carriers.values().any(|watched| watched.path == *path);
            let oldest =
                self.paths.iter().filter(|(path, _)| !used(path)).min_by_key(|(_, health)| health.touched);
            if let Some(oldest) = oldest.map(|(path, _)| path.clone()) {
                self.paths.remove(&oldest);
            }
        }
        let health = self.paths.entry(path.clone()).or_default();
        health.touched = health.touched.max(now);
        health
    }

    fn next_ping(&mut self, now: Time) -> Time {
        self.config.ping_interval.map_or(Time::NEVER, |interval| now + self.random.scale(interval, 0.8, 1.2))
    }

    fn timeout(&self, watched: &Watched) -> Duration {
        watched.rtt.probe_timeout(self.config.ack_delay)
    }

    /// When to look at a carrier next.
    fn due(&self, watched: &Watched) -> Time {
        let timeout = self.timeout(watched);
        match (watched.late_at(timeout), watched.hedged) {
            (Some(late), None) => late,
            (Some(_), Some(hedged)) => {
                let again = hedged + timeout / 2;
                let since = watched.quiet_since().filter(|_| !watched.told_silent);
                let over = since.map(|since| since + (timeout * DEAD_AFTER).max(DEAD_LEAST));
                over.map_or(again, |over| over.min(again))
            }
            (None, _) => watched.next_ping,
        }
    }

    fn judge_all(&mut self, now: Time) {
        if now < self.grace_until {
            return;
        }
        let due: Vec<CarrierId> = self
            .carriers
            .iter()
            .filter(|(_, watched)| {
                watched.hedged.is_some() || watched.late_at(self.timeout(watched)).is_some_and(|at| at <= now)
            })
            .map(|(id, _)| *id)
            .collect();
        for carrier in due {
            self.judge(now, carrier);
        }
    }

    fn judge(&mut self, now: Time, carrier: CarrierId) {
        let Some(watched) = self.carriers.get(&carrier) else { return };
        let Some(quiet_since) = watched.quiet_since() else { return };
        let (timeout, silent) = (self.timeout(watched), now.since(quiet_since));
        let limit = self.dead_after(now, watched);
        let over = now >= quiet_since + limit;
        if (over && self.others_live(now, carrier, quiet_since, limit)) || silent >= GIVEN_UP {
            self.carriers.remove(&carrier);
            self.outputs.push_back(LeaveOutput::Dead { carrier, silent });
            return;
        }
        let since = watched.outstanding_since;
        let (path, hedged, told) = (watched.path.clone(), watched.hedged, watched.told_silent);
        // Moments are compared, not durations: those are finer than the clock.
        if hedged.is_none_or(|at| now >= at + timeout / 2) {
            self.hedge(now, carrier, timeout);
        }
        // An unanswered byte counts before its answer comes.
        if let Some(symptom) = since.and_then(|since| self.path(now, &path).waited(now, since, true)) {
            self.outputs.push_back(LeaveOutput::Degraded { path: path.clone(), symptom });
        }
        if over && !told {
            if let Some(watched) = self.carriers.get_mut(&carrier) {
                watched.told_silent = true;
            }
            self.outputs.push_back(LeaveOutput::Degraded { path, symptom: Symptom::Silent });
        }
    }

    fn hedge(&mut self, now: Time, carrier: CarrierId, timeout: Duration) {
        if let Some(watched) = self.carriers.get_mut(&carrier) {
            watched.hedged = Some(now);
        }
        self.outputs.push_back(LeaveOutput::Hedge { carrier });
        // Whoever could help shows first whether it lives.
        for (other, watched) in self.carriers.iter_mut().filter(|(other, _)| **other != carrier) {
            let idle = watched.outstanding_since.is_none();
            if idle && watched.pinged.is_none_or(|at| now.since(at) >= timeout) {
                watched.pinged = Some(now);
                self.outputs.push_back(LeaveOutput::Ping { carrier: *other });
            }
        }
    }

    fn dead_after(&self, now: Time, watched: &Watched) -> Duration {
        let together = self
            .carriers
            .values()
            .filter(|other| other.path == watched.path)
            .filter_map(|other| Some((other.late_at(self.timeout(other))?, other)))
            .collect::<Vec<_>>();
        let all_late = together.len() >= 2 && together.iter().all(|(late, _)| *late <= now);
        let timeouts = if all_late { DEAD_TOGETHER } else { DEAD_AFTER };
        (self.timeout(watched) * timeouts).max(DEAD_LEAST)
    }

    /// Did another carrier progress during the silence? One that was silent itself proves nothing until it has been
    /// well for as long: the network may have come back a moment ago.
    fn others_live(&self, now: Time, carrier: CarrierId, quiet_since: Time, limit: Duration) -> bool {
        let progressed = |other: &Watched| other.last_progress.is_some_and(|at| at > quiet_since + limit / 3);
        let well = |other: &Watched| other.recovered.is_none_or(|at| now >= at + limit);
        self.carriers.iter().any(|(id, other)| *id != carrier && progressed(other) && well(other))
    }

    fn ping_idle(&mut self, now: Time) {
        let Some(interval) = self.config.ping_interval else { return };
        for (carrier, watched) in &mut self.carriers {
            if watched.outstanding_since.is_none() && watched.next_ping <= now {
                watched.next_ping = now + self.random.scale(interval, 0.8, 1.2);
                self.outputs.push_back(LeaveOutput::Ping { carrier: *carrier });
            }
        }
    }
}
