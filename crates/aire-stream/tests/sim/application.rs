use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aire_stream::{Association, Output, Read};
use aire_types::Time;
use aire_wire::{ResetCode, StreamId};
use bytes::Bytes;

use crate::plan::{Plan, fill};

/// How a stream went at one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Running,
    Ended,
    /// It, or the other end, reset the stream.
    Reset(ResetCode),
}

/// The application at one end of one stream.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) plan: Plan,
    end: usize,
    pub(crate) written: u64,
    finished: bool,
    next_write: Time,
    next_read: Time,
    unswallowed: usize,
    pub(crate) received: u64,
    pub(crate) end_seen: bool,
    pub(crate) fate: Fate,
    /// When bytes last arrived, and the longest time that none did.
    pub(crate) last_received: Option<Time>,
    pub(crate) longest_stall: Duration,
}

impl Application {
    fn new(plan: Plan, end: usize) -> Self {
        Application {
            plan,
            end,
            written: 0,
            finished: false,
            next_write: Time::ZERO,
            next_read: Time::ZERO,
            unswallowed: 0,
            received: 0,
            end_seen: false,
            fate: Fate::Running,
            last_received: None,
            longest_stall: Duration::ZERO,
        }
    }

    fn write(&mut self, now: Time, id: StreamId, association: &mut Association) {
        while self.written < self.plan.size[self.end] && self.next_write <= now {
            let room = association.writable(id) as u64;
            let left = self.plan.size[self.end] - self.written;
            let length = room.min(left).min(self.plan.chunk[self.end]);
            if length == 0 {
                return;
            }
            let mut bytes = vec![0; length as usize];
            fill(id.0, self.end, self.written, &mut bytes);
            association.write(now, id, Bytes::from(bytes)).unwrap();
            self.written += length;
            self.next_write = now + self.plan.think[self.end];
        }
        if self.written == self.plan.size[self.end] && !self.finished {
            self.finished = true;
            association.finish(now, id);
        }
    }

    fn read(&mut self, now: Time, id: StreamId, association: &mut Association) {
        while self.next_read <= now {
            if self.unswallowed > 0 {
                association.consumed(now, id, std::mem::take(&mut self.unswallowed));
            }
            match association.read(now, id, self.plan.read_max[self.end]) {
                Read::Data(bytes) => {
                    let mut expected = vec![0; bytes.len()];
                    fill(id.0, 1 - self.end, self.received, &mut expected);
                    assert!(bytes == expected, "{id}: other bytes at {}", self.received);
                    self.received += bytes.len() as u64;
                    self.unswallowed = bytes.len();
                    self.next_read = now + self.plan.swallow[self.end];
                    let since = self.last_received.replace(now).unwrap_or(now);
                    self.longest_stall = self.longest_stall.max(now.since(since));
                }
                Read::End => {
                    assert_eq!(self.received, self.plan.size[1 - self.end], "{id} ends early");
                    self.end_seen = true;
                    return;
                }
                Read::Pending => return,
                other => panic!("{id} read {other:?} while it runs"),
            }
        }
    }
}

/// All applications at one end.
pub(crate) struct Applications {
    pub(crate) end: usize,
    pub(crate) all: BTreeMap<StreamId, Application>,
    /// Plans by stream, for those that the destination will see.
    pub(crate) plans: BTreeMap<StreamId, Plan>,
    /// Those that were told that they can go on, and no others: a missing word shows as a standstill.
    awake: BTreeSet<StreamId>,
    timers: BTreeSet<(Time, StreamId)>,
}

impl Applications {
    pub(crate) fn new(end: usize) -> Self {
        Applications {
            end,
            all: BTreeMap::new(),
            plans: BTreeMap::new(),
            awake: BTreeSet::new(),
            timers: BTreeSet::new(),
        }
    }

    pub(crate) fn open(&mut self, now: Time, id: StreamId, plan: Plan) {
        let mut application = Application::new(plan, self.end);
        application.next_read = now + application.plan.read_from[self.end];
        self.all.insert(id, application);
        self.awake.insert(id);
    }

    pub(crate) fn handle(&mut self, now: Time, output: Output, association: &mut Association) {
        match output {
            Output::Incoming { stream, .. } => {
                let plan = self.plans[&stream].clone();
                assert!(!self.all.contains_key(&stream), "{stream} came twice");
                let refuse = plan.refuse;
                self.open(now, stream, plan);
                if refuse {
                    self.reset(now, stream, ResetCode::NotAllowed, association);
                } else {
                    association.accept(now, stream);
                }
            }
            Output::Reset { stream, code } => {
                let application = self.all.get_mut(&stream).expect("a reset of something known");
                assert_eq!(application.fate, Fate::Running, "{stream} was reset twice");
                application.fate = Fate::Reset(code);
            }
            Output::Ended { stream, reset, bytes_in, bytes_out, .. } => {
                let application = self.all.get_mut(&stream).expect("an end of something known");
                match (application.fate, reset) {
                    (Fate::Running, None) => {
                        assert!(application.end_seen);
                        assert_eq!((bytes_in, bytes_out), (application.received, application.written));
                        application.fate = Fate::Ended;
                    }
                    (Fate::Reset(_), Some(_)) => {}
                    other => panic!("{stream} ended as {other:?}"),
                }
            }
            Output::Readable(stream) | Output::Writable(stream) => {
                self.awake.insert(stream);
            }
            _ => {}
        }
    }

    pub(crate) fn reset(&mut self, now: Time, id: StreamId, code: ResetCode, association: &mut Association) {
        let Some(application) = self.all.get_mut(&id).filter(|one| one.fate == Fate::Running) else {
            return;
        };
        application.fate = Fate::Reset(code);
        association.reset(now, id, code);
    }

    /// Lets those go on that can; when the next has thought long enough.
    pub(crate) fn run(&mut self, now: Time, association: &mut Association) -> Time {
        while let Some((at, id)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, id));
            self.awake.insert(id);
        }
        for id in std::mem::take(&mut self.awake) {
            let Some(application) = self.all.get_mut(&id).filter(|one| one.fate == Fate::Running) else {
                continue;
            };
            application.write(now, id, association);
            if !application.end_seen {
                application.read(now, id, association);
            }
            for wish in [application.next_write, application.next_read] {
                if wish > now {
                    self.timers.insert((wish, id));
                }
            }
        }
        self.timers.first().map_or(Time::NEVER, |(at, _)| *at)
    }
}
