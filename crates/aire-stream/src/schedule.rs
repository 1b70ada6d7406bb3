use std::collections::VecDeque;

use aire_wire::StreamId;

/// What a stream that was quiet may send before it queues with the busy ones.
pub(crate) const QUIET_TURN: usize = 16 * 1024;
/// What a busy stream sends in its turn.
pub(crate) const BUSY_TURN: usize = 128 * 1024;
/// The quiet may send so much before a busy stream gets its turn.
const QUIET_RUN: usize = 256 * 1024;

/// From here on, lists that a peer can make grow are watched.
const CROWD: usize = 4096;

/// A STREAM_ACK for a stream that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    pub(crate) stream: StreamId,
    pub(crate) offset: u64,
    pub(crate) fin: bool,
    pub(crate) reset: bool,
}

/// Which queue a stream stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Quiet,
    Busy,
}

/// Whose turn it is on a carrier. Entries may be stale: a stream knows itself where it stands, and one that has
/// moved on is skipped when its turn comes.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    /// Streams with OPEN, OPENED, CREDIT, FIN, RESET or a repeated STREAM_ACK to send.
    pub(crate) control: VecDeque<StreamId>,
    /// Streams with a STREAM_ACK that goes with the next CARRIER_ACK.
    pub(crate) acks: Vec<StreamId>,
    /// Last words about streams that have ended.
    pub(crate) replies: Vec<Reply>,
    /// SWITCH for all streams, with its epoch.
    pub(crate) switch_all: Option<u64>,
    /// SWITCH for single streams, with their epochs.
    pub(crate) switches: Vec<(u64, StreamId)>,
    pub(crate) ping: bool,
    quiet: VecDeque<StreamId>,
    busy: VecDeque<StreamId>,
    quiet_run: usize,
}

impl Schedule {
    pub(crate) fn push(&mut self, stream: StreamId, turn: Turn) {
        match turn {
            Turn::Quiet => self.quiet.push_back(stream),
            Turn::Busy => self.busy.push_back(stream),
        }
    }

    /// The stream's STREAM_ACK goes with the next CARRIER_ACK.
    pub(crate) fn push_ack(&mut self, stream: StreamId) {
        self.acks.push(stream);
        if self.acks.len() >= CROWD && self.acks.len().is_power_of_two() {
            self.acks.sort_unstable();
            self.acks.dedup();
        }
    }

    /// A last word about a stream that has ended. Beyond what a working carrier ever lets wait they are
    /// dropped: the peer asks again when it moves the stream.
    pub(crate) fn push_reply(&mut self, reply: Reply) {
        if let Some(last) = self.replies.last_mut().filter(|last| last.stream == reply.stream) {
            last.offset = last.offset.max(reply.offset);
            last.fin |= reply.fin;
            last.reset |= reply.reset;
        } else if self.replies.len() < 4 * CROWD {
            self.replies.push(reply);
        }
    }

    /// The next stream and what it may send.
    pub(crate) fn pop(&mut self) -> Option<(StreamId, usize)> {
        let quiet_first = self.quiet_run < QUIET_RUN || self.busy.is_empty();
        if quiet_first && let Some(stream) = self.quiet.pop_front() {
            return Some((stream, QUIET_TURN));
        }
        self.quiet_run = 0;
        self.busy.pop_front().map(|stream| (stream, BUSY_TURN))
    }

    /// A quiet stream sent `bytes`.
    pub(crate) fn on_quiet_sent(&mut self, bytes: usize) {
        self.quiet_run = self.quiet_run.saturating_add(bytes);
    }

    pub(crate) fn has_data(&self) -> bool {
        !self.quiet.is_empty() || !self.busy.is_empty()
    }

    /// Something waits that neither the window nor an acknowledgement timer holds back.
    pub(crate) fn has_control(&self) -> bool {
        !self.control.is_empty() || self.switch_all.is_some() || !self.switches.is_empty() || self.ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quiet_come_first_but_not_for_ever() {
        let mut schedule = Schedule::default();
        schedule.push(StreamId(1), Turn::Busy);
        let mut quiet_turns = 0;
        loop {
            schedule.push(StreamId(2), Turn::Quiet);
            match schedule.pop() {
                Some((StreamId(1), turn)) => break assert_eq!(turn, BUSY_TURN),
                Some((_, turn)) => schedule.on_quiet_sent(turn),
                None => unreachable!(),
            }
            quiet_turns += 1;
        }
        assert_eq!(quiet_turns, QUIET_RUN / QUIET_TURN);
    }
}
