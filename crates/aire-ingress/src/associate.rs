//! SOCKS5 UDP ASSOCIATE (RFC 1928 sections 6 and 7).

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::flow::{Beginning, Flows, Replies, Room};
use crate::parse::Progress;
use crate::parse::socks::{self, Code, Host};
use crate::udp::BUFFER;
use crate::{Trouble, parse_destination};

/// One association: it lives as long as the connection that asked for it.
pub(crate) struct Associate {
    pub(crate) control: TcpStream,
    pub(crate) client: SocketAddr,
    pub(crate) listener: SocketAddr,
    /// The port that the client will send from; 0 where it does not know yet.
    pub(crate) port: u16,
}

impl Associate {
    /// Answers the client and carries its datagrams until its connection ends. What is wrong with them is told once.
    pub(crate) async fn serve(mut self, room: Room, tell: impl Fn(Trouble)) {
        let opened = match room.place() {
            Ok(place) => self.open().await.map(|socket| (socket, place)).map_err(Trouble::Receive),
            Err(full) => Err(full),
        };
        let (socket, _place) = match opened {
            Ok(opened) => opened,
            Err(trouble) => {
                tell(trouble);
                return crate::arrival::farewell(&mut self.control, &socks::reply(Code::GeneralFailure))
                    .await;
            }
        };
        let mut told = false;
        let mut flows = Flows::new(room.clone());
        let (mut buffer, mut word) = (vec![0; BUFFER], [0; 64]);
        loop {
            tokio::select! {
                () = room.closed() => return,
                // The client has nothing to say there; only its end counts.
                read = self.control.read(&mut word) => if matches!(read, Ok(0) | Err(_)) { return },
                received = socket.recv_from(&mut buffer) => {
                    let Ok((length, from)) = received else { continue };
                    if !self.is_client(from) {
                        continue;
                    }
                    let delivered = self.deliver(&mut flows, &socket, from, &buffer[..length]);
                    if let Err(trouble) = delivered && !std::mem::replace(&mut told, true) {
                        tell(trouble);
                    }
                }
            }
        }
    }

    async fn open(&mut self) -> Result<Arc<UdpSocket>, String> {
        let opened = async {
            let at = SocketAddr::new(self.control.local_addr()?.ip(), 0);
            let socket = UdpSocket::bind(at).await?;
            let reply = socks::reply_bound(Code::Succeeded, socket.local_addr()?);
            self.control.write_all(&reply).await?;
            std::io::Result::Ok(socket)
        };
        opened.await.map(Arc::new).map_err(|error| error.to_string())
    }

    /// Nobody else may use the association. A client that did not say from which port is known by its first datagram.
    fn is_client(&mut self, from: SocketAddr) -> bool {
        if from.ip().to_canonical() != self.client.ip().to_canonical() {
            return false;
        }
        if self.port == 0 {
            self.port = from.port();
        }
        self.port == from.port()
    }

    fn deliver(
        &self,
        flows: &mut Flows<Vec<u8>>,
        socket: &Arc<UdpSocket>,
        client: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Trouble> {
        let Progress::Done { value, consumed } = socks::parse_datagram(datagram)? else {
            return Err(Trouble::Unsupported("a SOCKS5 datagram without a whole head"));
        };
        if value.fragment != 0 {
            return Err(Trouble::Unsupported("fragments of SOCKS5 datagrams"));
        }
        let (head, payload) = datagram.split_at(consumed);
        let key = head.to_vec();
        let app = match value.host {
            Host::Name(name) => {
                parse_destination(&name).map_err(|foreign| Trouble::ForeignName(foreign.0))?
            }
            Host::Address(ip) => return Err(Trouble::RawAddress(ip.to_string())),
        };
        flows.deliver(&key, payload, || Beginning {
            app,
            listener: self.listener,
            // Answers come from where the client sent to.
            replies: Replies { socket: Arc::clone(socket), client, head: Some(head.into()) },
        })
    }
}
