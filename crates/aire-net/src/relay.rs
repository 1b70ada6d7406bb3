//! Relaying a carrier: connect to the next hop, then move bytes both ways in the kernel until both directions have ended.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aire_wire::CircuitId;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::endpoint::Shared;
use crate::handler::RelayOrder;
use crate::pipe_pool::PipePool;
use crate::splice::forward;
use crate::{NetEvent, Pacer, options};

/// A direction lets others have their turn after so many bytes.
const TURN: usize = 1024 * 1024;

/// A carrier on which nothing passes for so long is taken for forgotten: its ends ping idle carriers far more often.
const IDLE: Duration = Duration::from_secs(600);

/// What has passed through a relayed carrier so far.
#[derive(Debug, Default)]
pub struct RelayCounters {
    /// Bytes from the source's side.
    pub forward: AtomicU64,
    /// Bytes back.
    pub backward: AtomicU64,
}

/// How a relayed carrier ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayEnd {
    /// Both directions ended in order.
    Finished,
    /// One side broke, and the other was reset.
    Reset,
    /// Nothing had passed for ten minutes, and both sides were reset.
    Idle,
    /// Policy, revocation, drain: both sides were reset.
    Killed,
}

pub(crate) async fn run(shared: &Shared, client: TcpStream, circuit: CircuitId, order: RelayOrder) {
    let RelayOrder { next, pacer, kill, counters, guard } = order;
    let address = next.address();
    let connected = tokio::select! {
        connected = next.connect(shared) => connected,
        () = kill.cancelled() => return options::reset_on_close(&client),
        () = shared.closing.cancelled() => return options::reset_on_close(&client),
    };
    let server = match connected {
        Ok(server) => server,
        Err(error) => {
            options::reset_on_close(&client);
            drop(client);
            drop(guard);
            let why = error.to_string();
            return shared.handler.event(NetEvent::NextHopUnreachable { circuit, next: address, why });
        }
    };
    let relay = Relay { client, server, pipes: shared.pipes.clone(), pacer, counters };
    let end = relay.run(&kill, &shared.closing).await;
    drop(guard);
    shared.handler.event(NetEvent::RelayEnded { circuit, end });
}

struct Relay {
    client: TcpStream,
    server: TcpStream,
    pipes: Arc<PipePool>,
    pacer: Option<Arc<Pacer>>,
    counters: Arc<RelayCounters>,
}

impl Relay {
    async fn run(self, kill: &CancellationToken, closing: &CancellationToken) -> RelayEnd {
        let end = tokio::select! {
            done = self.both() => if done.is_ok() { RelayEnd::Finished } else { RelayEnd::Reset },
            () = kill.cancelled() => RelayEnd::Killed,
            () = closing.cancelled() => RelayEnd::Killed,
            () = self.idle() => RelayEnd::Idle,
        };
        if end != RelayEnd::Finished {
            options::reset_on_close(&self.client);
            options::reset_on_close(&self.server);
        }
        end
    }

    /// Waits until nothing has passed for a while.
    async fn idle(&self) {
        let passed = || {
            let RelayCounters { forward, backward } = &*self.counters;
            forward.load(Ordering::Relaxed) + backward.load(Ordering::Relaxed)
        };
        let mut before = passed();
        loop {
            tokio::time::sleep(IDLE).await;
            let now = passed();
            if now == before {
                return;
            }
            before = now;
        }
    }

    /// Both directions. One that has ended is watched for a reset, which nobody would read otherwise.
    async fn both(&self) -> io::Result<()> {
        let (client, server) = (&self.client, &self.server);
        let mut forward = pin!(self.direction(client, server, &self.counters.forward));
        let mut backward = pin!(self.direction(server, client, &self.counters.backward));
        tokio::select! {
            done = &mut forward => {
                done?;
                tokio::select! {
                    done = &mut backward => done,
                    error = broken(client) => Err(error),
                }
            }
            done = &mut backward => {
                done?;
                tokio::select! {
                    done = &mut forward => done,
                    error = broken(server) => Err(error),
                }
            }
        }
    }

    /// Until the end of `from` is passed on.
    async fn direction(&self, from: &TcpStream, to: &TcpStream, counter: &AtomicU64) -> io::Result<()> {
        let mut turn = 0;
        loop {
            let moved = forward(from, to, &self.pipes).await?;
            if moved == 0 {
                return half_close(to);
            }
            counter.fetch_add(moved as u64, Ordering::Relaxed);
            if let Some(pacer) = &self.pacer {
                let wait = pacer.passed(moved);
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
            }
            turn += moved;
            if turn >= TURN {
                turn = 0;
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Waits for an error of a socket that is not read any more.
async fn broken(stream: &TcpStream) -> io::Error {
    loop {
        if let Err(error) = stream.ready(Interest::ERROR).await {
            return error;
        }
        let found = stream.try_io(Interest::ERROR, || match stream.take_error() {
            Ok(None) => Err(io::ErrorKind::WouldBlock.into()),
            Ok(Some(error)) | Err(error) => Ok(error),
        });
        if let Ok(error) = found {
            return error;
        }
    }
}

fn half_close(to: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(to).shutdown(std::net::Shutdown::Write)
}
