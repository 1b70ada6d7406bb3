use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use aire_types::{AppName, Class};
use aire_wire::{ResetCode, StreamId};
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::timeout;

use super::{Incoming, TARGET_DEADLINE};
use crate::agent::Agent;
use crate::carry::flow;
use crate::happening::{Happening, Kind};

/// Flows of datagrams that others opened with this agent.
impl Incoming {
    /// One flow: is it allowed, then datagrams.
    pub(super) async fn serve_flow(
        self: Arc<Self>,
        agent: Arc<Agent>,
        stream: StreamId,
        class: Class,
        app: AppName,
    ) {
        let socket = match self.open_flow(&agent, &app, class).await {
            Ok(socket) => socket,
            Err(code) => {
                self.association.reset(stream, code);
                return self.association.forget(stream);
            }
        };
        let mut application = flow::Application::Target(Arc::new(socket));
        if flow::run(&agent, &self.association, stream, &mut application).await == flow::End::Refused {
            let text = format!("{app} takes no datagrams: nobody listens at its udp_target");
            agent.tell(Happening::new(Kind::TargetFailed, text).app(&app));
        }
    }

    async fn open_flow(&self, agent: &Agent, app: &AppName, class: Class) -> Result<UdpSocket, ResetCode> {
        let served = self.allow(agent, app, class)?;
        let Some(target) = &served.udp_target else {
            return Err(agent.lacks(app, "udp_target", "datagrams"));
        };
        let failed = |why: String, code| {
            let text = format!("{app} at udp://{target} cannot be reached: {why}");
            agent.tell(Happening::new(Kind::TargetFailed, text).app(app));
            code
        };
        match timeout(TARGET_DEADLINE, connect(target)).await {
            Ok(opened) => opened.map_err(|error| failed(error.to_string(), ResetCode::TargetRefused)),
            Err(_) => Err(failed("its name was not found in time".to_owned(), ResetCode::TargetTimedOut)),
        }
    }
}

/// A socket that exchanges datagrams with `target` and nobody else.
async fn connect(target: &str) -> io::Result<UdpSocket> {
    let mut last = io::ErrorKind::NotFound.into();
    for address in lookup_host(target).await? {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        match socket.connect(address).await {
            Ok(()) => {
                // The runtime learns here that it takes datagrams; before, the first would be dropped.
                socket.writable().await?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
