use std::collections::BTreeMap;
use std::time::Duration;

use aire_stream::{Association, Budget, CarrierId, Config, Output, Side};
use aire_types::{AppName, Incarnation, Protocol, Time};
use aire_wire::{AssociationId, Frame, ResetCode};
use bytes::BytesMut;

use crate::application::{Applications, Fate};
use crate::leave::LeaveLoop;
use crate::pipe::Pipe;
use crate::plan::Plan;
use crate::random::Random;

/// What happens at some time.
enum Event {
    /// Bytes reach the end.
    Arrive {
        end: usize,
        carrier: CarrierId,
        bytes: Vec<u8>,
    },
    /// The end sees that the carrier is closed.
    Closed {
        end: usize,
        carrier: CarrierId,
    },
    /// The carrier can be written to again.
    Writable {
        end: usize,
        carrier: CarrierId,
    },
    /// The source has a new connection.
    Connected(CarrierId),
    /// The applications of the end have thought long enough.
    Applications,
    Timeout(usize),
    Open(Plan),
    Reset(usize, aire_wire::StreamId),
    Leave,
    /// Something goes wrong, or someone decides something.
    Fault,
}

/// A path that gets worse gets no worse than this.
const SLOWEST: Duration = Duration::from_millis(600);

/// One end of one carrier.
#[derive(Default)]
struct Socket {
    incoming: BytesMut,
    joined: bool,
    closed: bool,
    waits: bool,
}

pub(crate) struct End {
    pub(crate) association: Association,
    pub(crate) applications: Applications,
    pub(crate) leave: LeaveLoop,
    sockets: BTreeMap<CarrierId, Socket>,
    applications_at: Time,
    timeout_at: Time,
}

/// What a world is made of.
pub(crate) struct Settings {
    pub(crate) source: Config,
    pub(crate) destination: Config,
    pub(crate) budgets: [usize; 2],
    pub(crate) carriers: Vec<Pipe>,
    /// Until when things go wrong.
    pub(crate) faults_until: Time,
    /// Cuts, closes, spurious moves: on or off.
    pub(crate) faults: bool,
    /// Carriers that the source keeps open.
    pub(crate) keep: usize,
}

pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) ends: [End; 2],
    pub(crate) budgets: [Budget; 2],
    random: Random,
    settings: Settings,
    events: BTreeMap<(Time, u64), Event>,
    sequence: u64,
    pipes: BTreeMap<CarrierId, [Pipe; 2]>,
    next_carrier: u64,
    connecting: usize,
    plans_left: usize,
    pub(crate) streams_opened: usize,
    /// Too large for all invariants after every step.
    pub(crate) unchecked: bool,
    frames: Vec<Frame>,
}

impl World {
    pub(crate) fn new(seed: u64, settings: Settings, plans: Vec<Plan>) -> Self {
        let budgets = settings.budgets.map(Budget::new);
        let end = |index: usize, config: &Config| End {
            association: Association::new(config.clone(), budgets[index].clone()),
            applications: Applications::new(index),
            leave: LeaveLoop::default(),
            sockets: BTreeMap::new(),
            applications_at: Time::NEVER,
            timeout_at: Time::NEVER,
        };
        let ends = [end(0, &settings.source), end(1, &settings.destination)];
        assert_eq!(settings.source.side, Side::Source);
        let mut world = World {
            now: Time::from_millis(1),
            ends,
            budgets,
            random: Random::new(seed),
            events: BTreeMap::new(),
            sequence: 0,
            pipes: BTreeMap::new(),
            next_carrier: 0,
            connecting: 0,
            plans_left: plans.len(),
            streams_opened: 0,
            unchecked: false,
            frames: Vec::new(),
            settings,
        };
        for pipe in world.settings.carriers.clone() {
            world.connect(pipe);
        }
        for plan in plans {
            let at = world.now + plan.open_at;
            world.at(at, Event::Open(plan));
        }
        world.at(world.now, Event::Leave);
        if world.settings.faults {
            world.after(Duration::from_millis(30), Event::Fault);
        }
        world
    }

    fn at(&mut self, at: Time, event: Event) {
        self.sequence += 1;
        self.events.insert((at, self.sequence), event);
    }

    fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    /// The source dials. The connection is there after three round trips or so.
    pub(crate) fn connect(&mut self, pipe: Pipe) -> CarrierId {
        self.next_carrier += 1;
        let id = CarrierId(self.next_carrier);
        self.connecting += 1;
        let delay = if self.now > Time::from_millis(1) { pipe.latency * 6 } else { Duration::ZERO };
        self.pipes.insert(id, [pipe.clone(), pipe]);
        self.after(delay, Event::Connected(id));
        id
    }

    pub(crate) fn pipe(&mut self, id: CarrierId) -> &mut [Pipe; 2] {
        self.pipes.get_mut(&id).expect("a carrier that was connected")
    }

    /// Runs until `done`, or panics when that takes longer than `limit` of virtual time.
    pub(crate) fn run(&mut self, limit: Duration, mut done: impl FnMut(&World) -> bool) {
        let limit = self.now + limit;
        while !done(self) {
            let ((at, _), event) = self.events.pop_first().expect("the leave loop never ends");
            assert!(at <= limit, "not done after {limit}: {}", self.describe());
            self.now = at;
            self.step(event);
        }
    }

    pub(crate) fn all_over(&self) -> bool {
        let over = |end: &End| {
            end.association.stream_count() == 0
                && end.applications.all.values().all(|application| application.fate != Fate::Running)
        };
        self.plans_left == 0 && self.ends.iter().all(over)
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Arrive { end, carrier, bytes } => self.arrive(end, carrier, &bytes),
            Event::Closed { end, carrier } => self.close(end, carrier, false),
            Event::Writable { end, carrier } => {
                if let Some(socket) = self.ends[end].sockets.get_mut(&carrier) {
                    socket.waits = false;
                    self.transmit(end, carrier);
                }
            }
            Event::Connected(carrier) => self.connected(carrier),
            Event::Applications => {}
            Event::Timeout(end) => self.ends[end].association.handle_timeout(self.now),
            Event::Open(plan) => self.open(plan),
            Event::Reset(end, stream) => {
                let end = &mut self.ends[end];
                let code = ResetCode::Application;
                end.applications.reset(self.now, stream, code, &mut end.association);
            }
            Event::Leave => self.leave(),
            Event::Fault => self.fault(),
        }
        self.settle(0);
        self.settle(1);
        for end in (0..2).filter(|_| !self.unchecked) {
            self.ends[end].association.check_invariants();
            assert!(self.budgets[end].used() <= self.budgets[end].limit());
        }
    }

    fn open(&mut self, plan: Plan) {
        self.plans_left -= 1;
        let app = AppName::new("app").unwrap();
        let source = &mut self.ends[0];
        let Ok(id) = source.association.open(self.now, plan.class, Protocol::Tcp, app) else {
            return;
        };
        self.streams_opened += 1;
        source.applications.open(self.now, id, plan.clone());
        if let Some((end, delay)) = plan.reset {
            self.after(delay, Event::Reset(end, id));
        }
        self.ends[1].applications.plans.insert(id, plan);
    }

    /// Obeys an end until it wants nothing more, and arms its timers.
    pub(crate) fn settle(&mut self, index: usize) {
        loop {
            while let Some(output) = self.ends[index].association.poll_output() {
                self.obey(index, output);
            }
            let end = &mut self.ends[index];
            let next = end.applications.run(self.now, &mut end.association);
            if next < end.applications_at || end.applications_at <= self.now {
                end.applications_at = next;
                if next < Time::NEVER {
                    self.at(next, Event::Applications);
                }
            }
            if !self.ends[index].association.has_output() {
                break;
            }
        }
        let end = &mut self.ends[index];
        let timeout = end.association.poll_timeout().unwrap_or(Time::NEVER).max(self.now);
        if timeout < Time::NEVER && (timeout < end.timeout_at || end.timeout_at <= self.now) {
            end.timeout_at = timeout;
            self.at(timeout, Event::Timeout(index));
        }
    }

    fn obey(&mut self, index: usize, output: Output) {
        match output {
            Output::Ready(carrier) => self.transmit(index, carrier),
            Output::WantCarrier { stream } => {
                assert_eq!(index, 0);
                let to: Vec<_> = self.ends[0].association.carriers().collect();
                let to = self.random.pick(&to);
                self.ends[0].association.move_stream(self.now, stream, to);
            }
            other => {
                let end = &mut self.ends[index];
                end.applications.handle(self.now, other, &mut end.association);
            }
        }
    }

    /// Writes to the carrier until it is full or nothing is left.
    fn transmit(&mut self, index: usize, carrier: CarrierId) {
        loop {
            let end = &mut self.ends[index];
            let Some(socket) = end.sockets.get_mut(&carrier).filter(|socket| !socket.closed) else {
                return;
            };
            let pipe = &mut self.pipes.get_mut(&carrier).expect("a pipe for each carrier")[index];
            match pipe.writable_at(self.now) {
                Some(at) if at > self.now => {
                    if !std::mem::replace(&mut socket.waits, true) {
                        self.at(at, Event::Writable { end: index, carrier });
                    }
                    return;
                }
                None => return,
                Some(_) => {}
            }
            let budget = self.random.pick(&[1000, 16_000, 64_000, 256_000]);
            let mut frames = std::mem::take(&mut self.frames);
            let length = end.association.poll_transmit(self.now, carrier, budget, &mut frames);
            let mut bytes = Vec::with_capacity(length);
            frames.drain(..).for_each(|frame| encode(&frame, &mut bytes));
            self.frames = frames;
            assert_eq!(bytes.len(), length);
            if length == 0 {
                return;
            }
            self.put(index, carrier, bytes);
        }
    }

    fn put(&mut self, from: usize, carrier: CarrierId, bytes: Vec<u8>) {
        let pipe = &mut self.pipes.get_mut(&carrier).expect("a pipe for each carrier")[from];
        if let Some(at) = pipe.send(self.now, bytes.len()) {
            self.at(at, Event::Arrive { end: 1 - from, carrier, bytes });
        }
    }

    fn connected(&mut self, carrier: CarrierId) {
        self.connecting -= 1;
        let join = Frame::Join {
            association: AssociationId([1; 16]),
            source: Incarnation(1),
            destination: Incarnation(2),
            new: carrier.0 == 1,
            proof: [0; 32],
        };
        let mut bytes = Vec::new();
        encode(&join, &mut bytes);
        self.ends[0].sockets.insert(carrier, Socket { joined: true, ..Socket::default() });
        self.ends[0].association.handle_carrier_up(self.now, carrier, bytes.len(), 0);
        self.put(0, carrier, bytes);
    }

    fn arrive(&mut self, index: usize, carrier: CarrierId, bytes: &[u8]) {
        let socket = self.ends[index].sockets.entry(carrier).or_default();
        if socket.closed {
            return;
        }
        socket.incoming.extend_from_slice(bytes);
        loop {
            let end = &mut self.ends[index];
            let Some(socket) = end.sockets.get_mut(&carrier) else {
                return;
            };
            let Some((frame, length)) = Frame::take(&mut socket.incoming).unwrap() else {
                return;
            };
            if socket.joined {
                end.association.handle_frame(self.now, carrier, frame, length).unwrap();
                continue;
            }
            assert!(matches!(frame, Frame::Join { .. }));
            socket.joined = true;
            let mut joined = Vec::new();
            encode(&Frame::Joined { destination: Incarnation(2) }, &mut joined);
            end.association.handle_carrier_up(self.now, carrier, joined.len(), length);
            // A join that comes twice changes nothing.
            end.association.handle_carrier_up(self.now, carrier, joined.len(), length);
            self.put(index, carrier, joined);
        }
    }

    /// An end closes a carrier. The other learns it behind all bytes under way, or, if `tell`, before them; and never if
    /// the carrier is cut.
    pub(crate) fn close(&mut self, index: usize, carrier: CarrierId, tell: bool) {
        let socket = self.ends[index].sockets.entry(carrier).or_default();
        if std::mem::replace(&mut socket.closed, true) {
            return;
        }
        self.ends[index].association.handle_carrier_down(self.now, carrier);
        self.ends[index].leave.forget(carrier);
        let pipe = &mut self.pipes.get_mut(&carrier).expect("a pipe for each carrier")[index];
        if !pipe.is_cut() {
            let latency = pipe.latency;
            let at = if tell { self.now + latency } else { pipe.send(self.now, 0).unwrap_or(self.now) };
            self.at(at, Event::Closed { end: 1 - index, carrier });
        }
    }

    fn leave(&mut self) {
        for index in 0..2 {
            let end = &mut self.ends[index];
            for carrier in end.leave.run(self.now, &mut end.association) {
                self.close(index, carrier, false);
            }
        }
        let usable = |id: &CarrierId| {
            self.ends[0]
                .association
                .carrier(*id)
                .is_some_and(|carrier| !carrier.abandoned && !carrier.doubted)
        };
        let usable = self.ends[0].association.carriers().filter(usable).count();
        if usable + self.connecting < self.settings.keep {
            let pipe = self.random_pipe();
            self.connect(pipe);
        }
        self.after(Duration::from_millis(5), Event::Leave);
    }

    pub(crate) fn random_pipe(&mut self) -> Pipe {
        let rate = self.random.pick(&[300_000, 2_000_000, 20_000_000, 200_000_000]);
        let latency = self.random.pick(&[1, 10, 60]);
        Pipe::new(rate, self.random.millis(latency / 2..latency * 2))
    }

    /// One thing that goes wrong, or that someone decides for no good reason.
    fn fault(&mut self) {
        if self.now >= self.settings.faults_until {
            return;
        }
        let index = self.random.range(0..2) as usize;
        let carriers: Vec<_> = self.ends[index].association.carriers().collect();
        if !carriers.is_empty() {
            let one = self.random.pick(&carriers);
            let other = self.random.pick(&carriers);
            let association = &mut self.ends[index].association;
            match self.random.range(0..14) {
                0..2 => self.pipe(one).iter_mut().for_each(Pipe::cut),
                2 => self.pipe(one)[index].cut(),
                3 => self.close(index, one, true),
                4 => self.close(index, one, false),
                5 => association.abandon(self.now, one),
                6 | 7 => association.hedge(self.now, one, other),
                8 | 9 => association.prefer(self.now, one),
                10 => association.prefer_for_new(one),
                11 => association.ping(self.now, one),
                12 => {
                    let slower = self.random.pick(&[2, 10]);
                    for pipe in self.pipe(one) {
                        pipe.latency = (pipe.latency * slower).min(SLOWEST);
                    }
                }
                _ => {
                    let streams: Vec<_> = association.streams().map(|stream| stream.stream).collect();
                    if !streams.is_empty() {
                        association.move_stream(self.now, self.random.pick(&streams), one);
                    }
                }
            }
        }
        let pause = self.random.millis(5..300);
        self.after(pause, Event::Fault);
    }

    fn describe(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        for (index, end) in self.ends.iter().enumerate() {
            let _ = writeln!(text, "end {index} at {}:", self.now);
            for id in end.association.carriers() {
                let cut = self.pipes[&id].each_ref().map(Pipe::is_cut);
                let _ = writeln!(text, "  {id:?} cut {cut:?} {:?}", end.association.carrier(id));
            }
            for stream in end.association.streams() {
                let _ = writeln!(text, "  {stream:?}");
            }
            for (id, one) in end.applications.all.iter().filter(|(_, one)| one.fate == Fate::Running) {
                let _ = writeln!(text, "  {id} {one:?}");
            }
        }
        text
    }
}

pub(crate) fn encode(frame: &Frame, out: &mut Vec<u8>) {
    frame.encode_head(out);
    if let Frame::Data { bytes, .. } = frame {
        out.extend_from_slice(bytes);
    }
}
