//! Flows: the datagrams between one address of an application and one app.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aire_admin::Sent;
use aire_ingress::Replies;
use aire_net::{Link, SendError};
use aire_stream::Read;
use aire_stream::datagram::RecordReader;
use aire_types::{NodeName, Time};
use aire_wire::{MAX_PAYLOAD, ResetCode, StreamId};
use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::Notify;

use super::association::Association;
use super::datagrams::Departure;
use crate::agent::Agent;

/// Flows of a draining agent end after so long without a datagram.
const DRAINING_IDLE: Duration = Duration::from_secs(1);
/// How often a quiet flow looks whether it is over.
const LOOK: Duration = Duration::from_secs(2);
/// How long the peer may take to end a flow that ended here.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Datagrams in a row, before what arrived is looked at.
const ROW: usize = 64;
/// Bytes taken out of the stream at a time.
const TAKE: usize = 256 * 1024;

/// The application's end of a flow.
pub(crate) enum Application {
    /// Of the destination: a socket connected to the app's target.
    Target(Arc<UdpSocket>),
    /// Of the source.
    Client(aire_ingress::Flow),
}

enum Receiver {
    Target(Arc<UdpSocket>),
    Client(Replies),
}

/// Where the datagrams of a flow are delivered, and what has passed. Shared by whoever reads the links and the flow's task.
pub(crate) struct Delivery {
    to: Receiver,
    /// When a datagram last passed, in either direction; microseconds.
    touched: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    /// The target's machine said that nobody listens there.
    refused: Notify,
}

impl Delivery {
    fn new(application: &Application, now: Time) -> Arc<Self> {
        let to = match application {
            Application::Target(socket) => Receiver::Target(Arc::clone(socket)),
            Application::Client(flow) => Receiver::Client(flow.replies()),
        };
        let (bytes_in, bytes_out) = (AtomicU64::new(0), AtomicU64::new(0));
        let touched = AtomicU64::new(now.as_micros());
        Arc::new(Delivery { to, touched, bytes_in, bytes_out, refused: Notify::new() })
    }

    fn touch(&self, now: Time) {
        self.touched.fetch_max(now.as_micros(), Ordering::Relaxed);
    }

    /// Hands a datagram to the kernel, which may drop it, as may everybody.
    pub(super) fn deliver(&self, now: Time, payload: &[u8]) {
        self.touch(now);
        let sent = match &self.to {
            Receiver::Target(socket) => socket.try_send(payload).map(|_| ()),
            Receiver::Client(replies) => replies.send(payload),
        };
        if sent.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            self.refused.notify_one();
        }
    }

    pub(super) fn count_in(&self, length: usize) {
        self.bytes_in.fetch_add(length as u64, Ordering::Relaxed);
    }

    /// In and out, over links.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.bytes_in.load(Ordering::Relaxed), self.bytes_out.load(Ordering::Relaxed))
    }
}

/// How a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// In order.
    Clean,
    /// It was reset.
    Reset(ResetCode),
    /// Nobody listens at the target.
    Refused,
}

/// Carries datagrams between an application and the stream of its flow until either ends it. A destination takes the
/// stream with this.
pub(crate) async fn run(
    agent: &Arc<Agent>,
    association: &Arc<Association>,
    stream: StreamId,
    application: &mut Application,
) -> End {
    let delivery = Delivery::new(application, agent.clock.now());
    association.attach(stream, &delivery);
    if let Application::Target(_) = application {
        association.accept(stream);
    }
    let records = RecordReader::default();
    let (link, finished) = (None, None);
    let mut task =
        Task { agent, association, stream, delivery: Arc::clone(&delivery), records, link, finished };
    let end = loop {
        tokio::select! {
            biased;
            end = poll_fn(|cx| task.poll_stream(cx)) => break end,
            () = delivery.refused.notified() => break End::Refused,
            taken = application.recv(), if task.finished.is_none() => match taken {
                Ok(payload) => task.send_row(payload, application),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => break End::Refused,
                Err(_) => task.finish(),
            },
            () = tokio::time::sleep(LOOK) => if let Some(end) = task.look() { break end },
        }
    };
    if end == End::Refused {
        association.reset(stream, ResetCode::TargetRefused);
    }
    association.forget(stream);
    end
}

struct Task<'a> {
    agent: &'a Arc<Agent>,
    association: &'a Association,
    stream: StreamId,
    delivery: Arc<Delivery>,
    records: RecordReader,
    /// The link that the last datagram took, by its other end; `None` within: there is none.
    link: Option<(NodeName, Option<Link>)>,
    /// Since when nothing more is sent.
    finished: Option<Time>,
}

/// What the core says in one exchange.
struct Answer {
    pieces: Vec<Bytes>,
    /// The peer sends no more.
    over: bool,
    end: Option<End>,
}

impl Task<'_> {
    fn now(&self) -> Time {
        self.agent.clock.now()
    }

    /// Delivers the datagrams that came through the stream.
    fn poll_stream(&mut self, cx: &Context<'_>) -> Poll<End> {
        loop {
            let Answer { pieces, over, end } = self.exchange(cx.waker());
            let more = !pieces.is_empty();
            for piece in pieces {
                self.records.push(&piece);
                loop {
                    match self.records.next_datagram() {
                        Ok(Some(payload)) => self.delivery.deliver(self.now(), &payload),
                        Ok(None) => break,
                        Err(error) => {
                            tracing::debug!(%error, "a flow is reset");
                            self.association.reset(self.stream, ResetCode::Protocol);
                            return Poll::Ready(End::Reset(ResetCode::Protocol));
                        }
                    }
                }
            }
            if let Some(end) = end {
                return Poll::Ready(end);
            }
            if over {
                self.finish();
            }
            if !more {
                return Poll::Pending;
            }
        }
    }

    fn exchange(&self, waker: &Waker) -> Answer {
        self.association.with(|now, inner| {
            let (mut pieces, mut taken, mut over, mut end) = (Vec::new(), 0, false, None);
            while taken < TAKE {
                match inner.core.read(now, self.stream, TAKE) {
                    Read::Data(bytes) => {
                        taken += bytes.len();
                        pieces.push(bytes);
                    }
                    Read::Reset(code) => {
                        end = Some(End::Reset(code));
                        break;
                    }
                    Read::End => {
                        over = true;
                        break;
                    }
                    Read::Pending | Read::Unknown => break,
                }
            }
            // A datagram that the kernel does not take is dropped, so nothing waits for the application.
            if taken > 0 {
                inner.core.consumed(now, self.stream, taken);
            }
            match inner.streams.get_mut(&self.stream) {
                None => end = end.or(Some(End::Clean)),
                Some(slot) => {
                    slot.waker = Some(waker.clone());
                    end = end.or(slot.reset.map(End::Reset)).or(slot.ended.then_some(End::Clean));
                }
            }
            Answer { pieces, over, end }
        })
    }

    /// Nothing more is sent; the flow ends when the peer says so, too.
    fn finish(&mut self) {
        if self.finished.is_none() {
            self.finished = Some(self.now());
            self.association.with(|now, inner| inner.core.finish(now, self.stream));
        }
    }

    /// Is the flow over for want of datagrams?
    fn look(&mut self) -> Option<End> {
        let now = self.now();
        if let Some(finished) = self.finished {
            let late = now.since(finished) > LAST_WORDS;
            return late.then(|| {
                self.association.reset(self.stream, ResetCode::Application);
                End::Reset(ResetCode::Application)
            });
        }
        let idle = self.agent.config.flow_idle;
        let idle = if self.agent.is_draining() { idle.min(DRAINING_IDLE) } else { idle };
        if now.since(Time::from_micros(self.delivery.touched.load(Ordering::Relaxed))) >= idle {
            self.finish();
        }
        None
    }

    fn send_row(&mut self, first: Bytes, application: &mut Application) {
        self.send(&first);
        for _ in 1..ROW {
            let Some(payload) = application.try_recv() else { return };
            self.send(&payload);
        }
    }

    /// Sends one datagram on the way that the stream takes now.
    fn send(&mut self, payload: &[u8]) {
        self.delivery.touch(self.now());
        let sent = self.try_send(payload);
        self.agent.metrics.datagram(sent);
    }

    fn try_send(&mut self, payload: &[u8]) -> Sent {
        for _ in 0..2 {
            let limit = |link: &Option<Link>| link.as_ref().map_or(0, Link::max_datagram);
            let known = self.link.as_ref().map(|(node, link)| (node, limit(link)));
            match self.association.depart(self.stream, payload, known) {
                Departure::Needs(node) => {
                    let link = self.agent.link_to(&node);
                    self.link = Some((node, link));
                }
                Departure::Link(datagram) => return self.send_on_link(datagram, payload.len()),
                Departure::Record => {
                    let taken = self.association.send_record(self.stream, payload);
                    // Where there was no link there may be one for the next datagram.
                    self.link.take_if(|(_, link)| link.is_none());
                    return if taken { Sent::Stream } else { Sent::Dropped };
                }
                Departure::Nowhere => break,
            }
        }
        Sent::Dropped
    }

    fn send_on_link(&mut self, datagram: Vec<u8>, length: usize) -> Sent {
        let Some((_, Some(link))) = &self.link else { return Sent::Dropped };
        match link.carry(datagram.into()) {
            Ok(()) => {
                self.delivery.bytes_out.fetch_add(length as u64, Ordering::Relaxed);
                return Sent::Link;
            }
            // It may have been replaced.
            Err(SendError::Closed) => self.link = None,
            Err(SendError::Full | SendError::TooLong) => {}
        }
        Sent::Dropped
    }
}

thread_local! {
    /// Flows are many, and a datagram is read in one call.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; MAX_PAYLOAD + 1].into());
}

impl Application {
    /// The next datagram.
    ///
    /// # Errors
    /// There is none to come, or nobody listens at the target.
    async fn recv(&mut self) -> io::Result<Bytes> {
        match self {
            Application::Target(socket) => loop {
                socket.readable().await?;
                match take(socket) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    taken => return taken,
                }
            },
            Application::Client(flow) => flow.recv().await.ok_or(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// The next datagram that is here already.
    fn try_recv(&mut self) -> Option<Bytes> {
        match self {
            Application::Target(socket) => take(socket).ok(),
            Application::Client(flow) => flow.try_recv(),
        }
    }
}

fn take(socket: &UdpSocket) -> io::Result<Bytes> {
    BUFFER.with_borrow_mut(|buffer| {
        let length = socket.try_recv(buffer)?;
        Ok(Bytes::copy_from_slice(&buffer[..length]))
    })
}
