use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aire_circuit::TcpFacts;
use aire_net::{Carrier, CarrierError};
use aire_stream::{CarrierId, Violation};
use aire_types::Time;
use aire_wire::{CarrierClose, Frame, ResetCode};

use super::association::Association;

/// Frames are taken from the core in portions of so many bytes.
const PORTION: usize = 128 * 1024;
/// The kernel is asked about a carrier at most so often.
const TCP_INFO_INTERVAL: Duration = Duration::from_millis(100);

/// Why a carrier's task ended.
enum End {
    /// The peer closed it, with this code.
    Peer(CarrierClose, String),
    /// We closed it.
    Own(CarrierClose, String),
    /// It broke.
    Lost(String),
    /// The peer broke the protocol.
    Broken(String),
}

/// Carries frames between the core and one TLS session until either ends it. `first` frames go out before all others.
pub(crate) async fn run(
    association: Arc<Association>,
    id: CarrierId,
    mut carrier: Carrier,
    first: Vec<Frame>,
    arrived: Vec<(Frame, usize)>,
) {
    let mut task = Task {
        association: &association,
        id,
        arrived,
        outbox: first.into(),
        portion: Vec::new(),
        asked: Time::ZERO,
    };
    association.note_local(id, carrier.local_ip());
    let end = poll_fn(|cx| task.poll(cx, &mut carrier)).await;
    let (close, why) = match end {
        End::Peer(code, reason) => (Some(code), format!("the peer closed it: {code} {reason}")),
        End::Own(code, reason) => {
            say_goodbye(&mut carrier, code, &reason).await;
            (None, format!("closed: {code} {reason}"))
        }
        End::Lost(why) => (None, why),
        End::Broken(why) => {
            say_goodbye(&mut carrier, CarrierClose::Protocol, &why).await;
            (Some(CarrierClose::Protocol), why)
        }
    };
    carrier.close();
    association.carrier_down(id, close, why);
}

/// Writes a CLOSE, as far as the socket takes it within a moment.
pub(crate) async fn say_goodbye(carrier: &mut Carrier, code: CarrierClose, reason: &str) {
    let mut frame = Some(Frame::Close { code, reason: reason.to_owned() });
    let written = poll_fn(|cx| carrier.poll_write_frames(cx, || frame.take()));
    let _ = tokio::time::timeout(Duration::from_millis(500), written).await;
}

struct Task<'a> {
    association: &'a Association,
    id: CarrierId,
    arrived: Vec<(Frame, usize)>,
    outbox: VecDeque<Frame>,
    portion: Vec<Frame>,
    asked: Time,
}

impl Task<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, carrier: &mut Carrier) -> Poll<End> {
        loop {
            // A dead path takes no more bytes, so its end cannot wait for the socket.
            if let Some((code, reason)) = self.association.closing(self.id, cx.waker()) {
                return Poll::Ready(End::Own(code, reason));
            }
            if !self.arrived.is_empty()
                && let Err(end) = self.receive()
            {
                return Poll::Ready(end);
            }
            let waker = cx.waker().clone();
            let (association, id) = (self.association, self.id);
            let (outbox, portion) = (&mut self.outbox, &mut self.portion);
            let written = carrier.poll_write_frames(cx, || {
                if outbox.is_empty() {
                    association.refill(id, portion, &waker);
                    outbox.extend(portion.drain(..));
                }
                outbox.pop_front()
            });
            if let Poll::Ready(Err(error)) = written {
                return Poll::Ready(End::Lost(error.to_string()));
            }
            self.ask_kernel(carrier);
            match carrier.poll_read_frames(cx, &mut self.arrived) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(CarrierError::Frame(error))) => {
                    return Poll::Ready(End::Broken(error.to_string()));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(End::Lost(error.to_string())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn receive(&mut self) -> Result<(), End> {
        let close = self.arrived.iter().position(|(frame, _)| matches!(frame, Frame::Close { .. }));
        let closed = close.map(|at| self.arrived.split_off(at));
        self.association
            .receive(self.id, &mut self.arrived)
            .map_err(|violation| End::Broken(violation.to_string()))?;
        match closed.and_then(|frames| frames.into_iter().next()) {
            Some((Frame::Close { code, reason }, _)) => Err(End::Peer(code, reason)),
            _ => Ok(()),
        }
    }

    fn ask_kernel(&mut self, carrier: &Carrier) {
        let now = self.association.now();
        if now.since(self.asked) < TCP_INFO_INTERVAL {
            return;
        }
        self.asked = now;
        if let Ok(info) = carrier.tcp_info() {
            self.association.tcp_info(
                self.id,
                TcpFacts { sent: info.data_segments_out.into(), retransmitted: info.retransmits.into() },
            );
        }
    }
}

impl Association {
    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Hands frames that arrived to the core.
    fn receive(&self, id: CarrierId, frames: &mut Vec<(Frame, usize)>) -> Result<(), Violation> {
        self.with(|now, inner| {
            for (frame, length) in frames.drain(..) {
                if matches!(frame, Frame::Joined { .. }) {
                    inner.joined = true;
                    inner.datagrams.handle_joined(id);
                }
                if let Err(violation) = inner.core.handle_frame(now, id, frame, length) {
                    inner.core.abort(ResetCode::Protocol);
                    return Err(violation);
                }
            }
            Ok(())
        })
    }

    /// What the carrier should send next; where there is nothing, `waker` is called when there is.
    fn refill(&self, id: CarrierId, portion: &mut Vec<Frame>, waker: &Waker) {
        self.with(|now, inner| {
            inner.core.poll_transmit(now, id, PORTION, portion);
            if portion.is_empty()
                && let Some(slot) = inner.carriers.get_mut(&id)
            {
                slot.waker = Some(waker.clone());
            }
        });
    }

    /// Is the carrier to end? If not, `waker` is called when it is.
    fn closing(&self, id: CarrierId, waker: &Waker) -> Option<(CarrierClose, String)> {
        let mut inner = self.inner.lock();
        let slot = inner.carriers.get_mut(&id)?;
        let closing = slot.closing.take();
        if closing.is_none() && slot.closer.as_ref().is_none_or(|closer| !closer.will_wake(waker)) {
            slot.closer = Some(waker.clone());
        }
        closing
    }

    fn tcp_info(&self, id: CarrierId, facts: TcpFacts) {
        self.with(|now, inner| {
            if let Some(slot) = inner.carriers.get_mut(&id) {
                slot.counts.segments(facts, &mut slot.counted);
            }
            inner.keeper.tcp_info(now, id, facts);
        });
    }
}
