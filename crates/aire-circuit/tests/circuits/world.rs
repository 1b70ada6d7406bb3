//! A world of paths that die, flap, degrade and refuse, for a pool.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aire_circuit::{CarrierId, Pool, PoolConfig, PoolEvent, PoolOutput, Wants};
use aire_types::{Class, Path, Time};
use aire_wire::{CircuitId, RefusalCode};

use crate::channel::{Channel, Weather};
use crate::fake::Random;

pub(crate) struct Place {
    pub(crate) weather: Weather,
    pub(crate) dead: bool,
    pub(crate) refuses: Option<RefusalCode>,
}

enum Later {
    Grant(Path, CircuitId),
    Refuse(Path, RefusalCode),
    Up(CarrierId),
    Fail(CarrierId),
}

pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) pool: Pool,
    pub(crate) places: BTreeMap<Path, Place>,
    /// Best first, before penalties.
    pub(crate) order: Vec<Path>,
    /// What the pool hears of as silent.
    pub(crate) silent: Vec<Path>,
    pub(crate) penalised: BTreeMap<Path, Time>,
    pub(crate) channels: BTreeMap<CarrierId, (Path, Channel)>,
    pub(crate) circuits: BTreeSet<CircuitId>,
    pub(crate) log: Vec<(Time, PoolOutput)>,
    later: BTreeMap<(Time, u64), Later>,
    next_message: Time,
    pub(crate) talking: bool,
    pub(crate) spacing: Duration,
    /// Until when carriers that open now live.
    pub(crate) expires: Box<dyn Fn(Time) -> Time>,
    count: u64,
    random: Random,
}

impl World {
    pub(crate) fn new(seed: u64, paths: &[(Path, u64)]) -> Self {
        let places = paths.iter().map(|(path, rtt)| {
            let weather = Weather { jitter: 0.03, ..Weather::calm(*rtt) };
            (path.clone(), Place { weather, dead: false, refuses: None })
        });
        World {
            now: Time::from_millis(1),
            pool: Pool::new(PoolConfig::new(Class::Interactive, seed)),
            places: places.collect(),
            order: paths.iter().map(|(path, _)| path.clone()).collect(),
            silent: Vec::new(),
            penalised: BTreeMap::new(),
            channels: BTreeMap::new(),
            circuits: BTreeSet::new(),
            log: Vec::new(),
            later: BTreeMap::new(),
            next_message: Time::ZERO,
            talking: true,
            spacing: Duration::from_millis(10),
            expires: Box::new(|_| Time::NEVER),
            count: 0,
            random: Random(seed),
        }
    }

    pub(crate) fn start(&mut self) {
        self.pool.handle_wants(self.now, Wants { streams: 3, busy: 0, warm: false });
        self.rank();
        self.follow();
    }

    pub(crate) fn rank(&mut self) {
        let now = self.now;
        self.penalised.retain(|_, until| *until > now);
        let (mut bad, mut ranking): (Vec<_>, Vec<_>) =
            self.order.iter().cloned().partition(|path| self.penalised.contains_key(path));
        ranking.append(&mut bad);
        self.pool.handle_ranking(now, ranking, self.silent.clone());
    }

    pub(crate) fn kill(&mut self, path: &Path) {
        self.places.get_mut(path).unwrap().dead = true;
        let now = self.now;
        self.channels.values_mut().filter(|(p, _)| p == path).for_each(|(_, channel)| channel.kill(now));
    }

    pub(crate) fn revive(&mut self, path: &Path) {
        self.places.get_mut(path).unwrap().dead = false;
        let now = self.now;
        self.channels.values_mut().filter(|(p, _)| p == path).for_each(|(_, channel)| channel.revive(now));
    }

    pub(crate) fn change(&mut self, path: &Path, change: impl Fn(&mut Weather)) {
        change(&mut self.places.get_mut(path).unwrap().weather);
        let on = self.channels.values_mut().filter(|(p, _)| p == path);
        on.for_each(|(_, channel)| change(&mut channel.weather));
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let channels = self.channels.values().filter_map(|(_, channel)| channel.next_event()).min();
            let later = self.later.keys().next().map(|(at, _)| *at);
            let message = self.talking.then_some(self.next_message);
            let events = [channels, later, message, self.pool.poll_timeout()];
            let Some(at) = events.into_iter().flatten().min().filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            self.step();
        }
        self.now = end;
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            let later = entry.remove();
            self.happen(later);
            self.follow();
        }
        if now >= self.next_message {
            self.next_message = now + self.spacing;
            if let Some(carrier) = self.pool.preferred().filter(|_| self.talking) {
                self.send(carrier);
            }
        }
        for id in self.channels.keys().copied().collect::<Vec<_>>() {
            let Some((_, channel)) = self.channels.get_mut(&id) else { continue };
            for progress in channel.advance(now) {
                self.pool.handle_progress(now, id, progress);
            }
        }
        self.pool.handle_timeout(now);
        self.follow();
        assert!(self.log.len() < 200_000, "the pool never comes to rest");
    }

    fn send(&mut self, carrier: CarrierId) {
        let now = self.now;
        if let Some((_, channel)) = self.channels.get_mut(&carrier)
            && channel.send(now)
        {
            self.pool.handle_outstanding(now, carrier, now);
        }
    }

    fn happen(&mut self, later: Later) {
        let now = self.now;
        match later {
            Later::Grant(path, circuit) => {
                self.circuits.insert(circuit);
                self.pool.handle_granted(now, &path, circuit);
            }
            Later::Refuse(path, code) => self.pool.handle_refused(now, &path, code),
            Later::Up(carrier) => {
                self.pool.handle_up(now, carrier, None);
                self.pool.handle_lifetime(now, carrier, (self.expires)(now));
            }
            Later::Fail(carrier) => {
                self.channels.remove(&carrier);
                self.pool.handle_failed(now, carrier);
            }
        }
    }

    fn after(&mut self, span: Duration, later: Later) {
        self.count += 1;
        self.later.insert((self.now + span, self.count), later);
    }

    fn follow(&mut self) {
        while let Some(output) = self.pool.poll_output() {
            self.log.push((self.now, output.clone()));
            match output {
                PoolOutput::Negotiate { path } => self.negotiate(path),
                PoolOutput::Dial { carrier, circuit, path, .. } => {
                    assert!(self.circuits.contains(&circuit), "a dial along a circuit that is not held");
                    let place = &self.places[&path];
                    let (dead, rtt) = (place.dead, Duration::from_micros(place.weather.rtt_us));
                    self.count += 1;
                    let channel = Channel::new(place.weather, self.random.next());
                    self.channels.insert(carrier, (path, channel));
                    if !dead {
                        self.after(2 * rtt, Later::Up(carrier));
                    } else if self.random.chance(0.5) {
                        self.after(Duration::from_secs(3), Later::Fail(carrier));
                    }
                }
                PoolOutput::Close { carrier, .. } => {
                    assert!(self.channels.remove(&carrier).is_some(), "{carrier} is closed twice");
                }
                PoolOutput::Release { circuit } => {
                    assert!(self.circuits.remove(&circuit), "a circuit is released twice");
                }
                PoolOutput::Ping { carrier } => self.send(carrier),
                PoolOutput::Hedge { from, onto } => {
                    assert_ne!(from, onto);
                    self.send(onto);
                }
                PoolOutput::Rerank { path, .. } => {
                    self.penalised.insert(path, self.now + Duration::from_secs(5));
                    self.rank();
                }
                PoolOutput::MoveAll { from, to } | PoolOutput::MoveShare { from, to, .. } => {
                    assert_ne!(from, to);
                    assert!(self.channels.contains_key(&to), "streams move to a closed carrier");
                }
                PoolOutput::Prefer { .. } | PoolOutput::NoPath { .. } | PoolOutput::Event(_) => {}
            }
        }
        self.pool.check_invariants();
        let left = self.circuits.iter().find(|circuit| !self.pool.uses(**circuit));
        assert!(left.is_none(), "{left:?} is kept, and nothing needs it");
    }

    fn negotiate(&mut self, path: Path) {
        let place = &self.places[&path];
        let (dead, refuses) = (place.dead, place.refuses);
        let rtt = Duration::from_micros(place.weather.rtt_us);
        self.count += 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.count.to_be_bytes());
        match (dead, refuses) {
            (true, _) => self.after(Duration::from_secs(3), Later::Refuse(path, RefusalCode::NoRoute)),
            (_, Some(code)) => self.after(rtt, Later::Refuse(path, code)),
            _ => self.after(rtt, Later::Grant(path, CircuitId(id))),
        }
    }

    pub(crate) fn moves(&self) -> Vec<(Time, &PoolEvent)> {
        let events = self.log.iter().filter_map(|(at, output)| match output {
            PoolOutput::Event(event) => Some((*at, event)),
            _ => None,
        });
        events.collect()
    }

    pub(crate) fn count(&self, wanted: impl Fn(&PoolOutput) -> bool) -> usize {
        self.log.iter().filter(|(_, output)| wanted(output)).count()
    }
}
