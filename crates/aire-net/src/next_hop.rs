//! How a connection to the next hop of a carrier comes about: it is dialled, or asked to dial back.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::dial_back::{LIFETIME, Ticket};
use crate::endpoint::Shared;
use crate::{NetError, options};

/// Who opened the TCP connection to a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// This side.
    Dialled,
    /// The next hop, asked over its link.
    DialledBack,
}

/// What to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Dial.
    Dial,
    /// Ask to be dialled.
    Back,
    /// Both; the first connection is taken and the other one dropped.
    Race {
        /// How long dialling is tried alone.
        head_start: Duration,
    },
}

/// The next hop as this agent is linked with it. Called from the endpoint's tasks: must not block.
pub trait Neighbour: Send + Sync {
    /// Sends the ticket to it.
    ///
    /// # Errors
    /// Why it cannot be asked.
    fn ask_back(&self, ticket: &Ticket) -> Result<(), String>;

    /// A connection came about like this, or none did.
    fn connected(&self, opening: Option<Opening>);
}

/// The next hop of a carrier.
pub struct NextHop {
    address: SocketAddr,
    plan: Plan,
    neighbour: Option<Arc<dyn Neighbour>>,
}

impl From<SocketAddr> for NextHop {
    /// Somebody who can only be dialled.
    fn from(address: SocketAddr) -> Self {
        NextHop { address, plan: Plan::Dial, neighbour: None }
    }
}

impl NextHop {
    /// A neighbour that listens at `address` if it can be dialled at all.
    pub fn new(address: SocketAddr, plan: Plan, neighbour: Arc<dyn Neighbour>) -> Self {
        NextHop { address, plan, neighbour: Some(neighbour) }
    }

    /// Where it listens, as far as is known.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn connect(self, shared: &Shared) -> Result<TcpStream, NetError> {
        let NextHop { address, plan, neighbour } = self;
        let Some(neighbour) = neighbour else { return shared.underlay.dial_tcp(address).await };
        let mut attempt = Attempt { neighbour, opening: None };
        let dial = shared.underlay.dial_tcp(address);
        let back = dialled_back(shared, address, &*attempt.neighbour);
        let (stream, opening) = match plan {
            Plan::Dial => (dial.await?, Opening::Dialled),
            Plan::Back => (back.await?, Opening::DialledBack),
            Plan::Race { head_start } => race(address, dial, back, head_start).await?,
        };
        attempt.opening = Some(opening);
        Ok(stream)
    }
}

/// Tells the neighbour how it went, also where nobody waited for the end.
struct Attempt {
    neighbour: Arc<dyn Neighbour>,
    opening: Option<Opening>,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.neighbour.connected(self.opening);
    }
}

async fn race(
    address: SocketAddr,
    dial: impl Future<Output = Result<TcpStream, NetError>>,
    back: impl Future<Output = Result<TcpStream, NetError>>,
    head_start: Duration,
) -> Result<(TcpStream, Opening), NetError> {
    let late = async {
        sleep(head_start).await;
        back.await
    };
    let (mut dial, mut back) = (pin!(dial), pin!(late));
    let neither =
        |dial, back| NetError::NeitherWay { addr: address, dial: Box::new(dial), back: Box::new(back) };
    tokio::select! {
        done = &mut dial => match done {
            Ok(stream) => Ok((stream, Opening::Dialled)),
            Err(dial) => back.await.map(|stream| (stream, Opening::DialledBack)).map_err(|back| neither(dial, back)),
        },
        done = &mut back => match done {
            Ok(stream) => Ok((stream, Opening::DialledBack)),
            Err(back) => dial.await.map(|stream| (stream, Opening::Dialled)).map_err(|dial| neither(dial, back)),
        },
    }
}

/// Asks the neighbour for a connection and waits for it.
async fn dialled_back(
    shared: &Shared,
    addr: SocketAddr,
    neighbour: &dyn Neighbour,
) -> Result<TcpStream, NetError> {
    let unasked = |why: String| NetError::Unasked { addr, why };
    let (ticket, arrival) =
        shared.tickets.issue().ok_or_else(|| unasked("too many connections are awaited".to_owned()))?;
    neighbour.ask_back(&ticket).map_err(unasked)?;
    let silent = || NetError::Timeout { addr, step: "dialling back", after: LIFETIME };
    let stream = timeout(LIFETIME, arrival).await.map_err(|_| silent())?.map_err(|_| silent())?;
    options::tune(&stream);
    Ok(stream)
}
