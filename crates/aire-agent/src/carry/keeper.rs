//! Who decides about the carriers of an association: at the source the pool, at the destination the leave loop alone.

use aire_circuit::{CarrierId as KeptId, Leave, LeaveOutput, Pool, PoolOutput, Progress, TcpFacts, Wants};
use aire_stream::CarrierId;
use aire_types::{Path, Time};

use super::association::Report;
use super::inner::Inner;

/// The source's pool, or the destination's leave loop.
pub(crate) enum Keeper {
    Source(Box<Pool>),
    Destination(Box<Leave>),
}

impl Keeper {
    /// Is this new carrier still wanted? A destination takes all.
    pub(super) fn awaits(&self, carrier: CarrierId) -> bool {
        match self {
            Keeper::Source(pool) => pool.path_of(kept(carrier)).is_some(),
            Keeper::Destination(_) => true,
        }
    }

    pub(super) fn up(&mut self, now: Time, carrier: CarrierId, path: &Path, expires: Time) {
        match self {
            Keeper::Source(pool) => {
                pool.handle_up(now, kept(carrier), None);
                pool.handle_lifetime(now, kept(carrier), expires);
            }
            Keeper::Destination(leave) => leave.handle_up(now, kept(carrier), path.clone(), None),
        }
    }

    pub(super) fn down(&mut self, now: Time, carrier: CarrierId) {
        match self {
            Keeper::Source(pool) => pool.handle_down(now, kept(carrier)),
            Keeper::Destination(leave) => leave.handle_down(kept(carrier)),
        }
    }

    pub(super) fn outstanding(&mut self, now: Time, carrier: CarrierId, since: Time) {
        match self {
            Keeper::Source(pool) => pool.handle_outstanding(now, kept(carrier), since),
            Keeper::Destination(leave) => leave.handle_outstanding(kept(carrier), since),
        }
    }

    pub(super) fn progress(&mut self, now: Time, carrier: CarrierId, progress: Progress) {
        match self {
            Keeper::Source(pool) => pool.handle_progress(now, kept(carrier), progress),
            Keeper::Destination(leave) => leave.handle_progress(now, kept(carrier), progress),
        }
    }

    pub(super) fn tcp_info(&mut self, now: Time, carrier: CarrierId, facts: TcpFacts) {
        match self {
            Keeper::Source(pool) => pool.handle_tcp_info(now, kept(carrier), facts),
            Keeper::Destination(leave) => leave.handle_tcp_info(now, kept(carrier), facts),
        }
    }

    pub(super) fn wants(&mut self, now: Time, wants: Wants) {
        if let Keeper::Source(pool) = self {
            pool.handle_wants(now, wants);
        }
    }

    pub(super) fn timeout(&mut self, now: Time) {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return;
        }
        match self {
            Keeper::Source(pool) => pool.handle_timeout(now),
            Keeper::Destination(leave) => leave.handle_timeout(now),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        match self {
            Keeper::Source(pool) => pool.poll_timeout(),
            Keeper::Destination(leave) => leave.poll_timeout(),
        }
    }

    /// The pool of a source.
    pub(super) fn pool(&mut self) -> Option<&mut Pool> {
        match self {
            Keeper::Source(pool) => Some(pool),
            Keeper::Destination(_) => None,
        }
    }
}

impl Inner {
    /// Carries out what the keeper decided; false when there was nothing.
    pub(super) fn follow_keeper(&mut self, now: Time) -> bool {
        match &mut self.keeper {
            Keeper::Source(pool) => {
                let Some(output) = pool.poll_output() else { return false };
                self.follow_pool(now, output);
            }
            Keeper::Destination(leave) => {
                let Some(output) = leave.poll_output() else { return false };
                self.follow_leave(now, &output);
            }
        }
        true
    }

    fn follow_pool(&mut self, now: Time, output: PoolOutput) {
        match output {
            PoolOutput::Prefer { carrier } => self.core.prefer_for_new(carried(carrier)),
            PoolOutput::Hedge { from, onto } => self.core.hedge(now, carried(from), carried(onto)),
            PoolOutput::Ping { carrier } => self.core.ping(now, carried(carrier)),
            PoolOutput::MoveAll { from, to } => {
                let (from, to) = (carried(from), carried(to));
                // What is under way on a bad path is sent again on the good one.
                self.core.hedge(now, from, to);
                if self.core.preferred() == Some(from) {
                    self.core.prefer(now, to);
                }
                self.move_streams(now, from, to, 1.0);
            }
            PoolOutput::MoveShare { from, to, share } => {
                self.move_streams(now, carried(from), carried(to), share);
            }
            PoolOutput::Close { carrier, dead } => {
                if dead {
                    self.core.abandon(now, carried(carrier));
                }
                self.close(carried(carrier), dead);
                self.report(Report::Abandoned { carrier: carried(carrier) });
            }
            PoolOutput::Negotiate { path } => self.report(Report::Negotiate { path }),
            PoolOutput::Release { circuit } => self.report(Report::Release { circuit }),
            PoolOutput::Dial { carrier, circuit, path, class } => {
                self.report(Report::Dial { carrier: carried(carrier), circuit, path, class });
            }
            PoolOutput::Rerank { path, because } => self.report(Report::Rerank { path, because }),
            PoolOutput::NoPath { since } => self.report(Report::NoPath { since }),
            PoolOutput::Event(event) => self.report(Report::Path(event)),
        }
    }

    /// The destination only helps itself: it may send on any open carrier, and the source names the preferred one.
    fn follow_leave(&mut self, now: Time, output: &LeaveOutput) {
        match *output {
            LeaveOutput::Ping { carrier } => self.core.ping(now, carried(carrier)),
            LeaveOutput::Hedge { carrier } => {
                if let Some(onto) = self.another(carried(carrier)) {
                    self.core.hedge(now, carried(carrier), onto);
                }
            }
            LeaveOutput::Dead { carrier, .. } => self.core.abandon(now, carried(carrier)),
            LeaveOutput::Recovered { .. } | LeaveOutput::Degraded { .. } => {}
        }
    }

    /// The open carrier, other than this one, that showed life last; one on another path where there is one.
    fn another(&self, late: CarrierId) -> Option<CarrierId> {
        let path = self.carriers.get(&late).map(|slot| &slot.path);
        self.carriers
            .iter()
            .filter(|(id, _)| **id != late)
            .max_by_key(|(id, slot)| {
                let progress = self.core.carrier(**id).and_then(|state| state.last_arrival);
                (Some(&slot.path) != path, progress)
            })
            .map(|(id, _)| *id)
    }

    fn move_streams(&mut self, now: Time, from: CarrierId, to: CarrierId, share: f64) {
        let on = self.core.streams().filter(|state| state.carrier == Some(from));
        let streams: Vec<_> = on.map(|state| state.stream).collect();
        let count = (streams.len() as f64 * share).ceil() as usize;
        for stream in streams.into_iter().take(count) {
            self.core.move_stream(now, stream, to);
        }
    }
}

/// The cores do not know each other; a carrier has one number in both.
pub(super) const fn kept(carrier: CarrierId) -> KeptId {
    KeptId(carrier.0)
}

const fn carried(carrier: KeptId) -> CarrierId {
    CarrierId(carrier.0)
}
