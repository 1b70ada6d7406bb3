use std::io;

use aire_types::{AppName, Class};
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::arrival::{farewell, http_answer};
use crate::parse::connect::{Head, parse_head};
use crate::parse::socks::{self, Code, Command, Host};
use crate::parse::{Malformed, Progress, Protocol, parse_protocol};
use crate::{Refusal, Trouble, parse_destination};

/// The longest that one message of a handshake may be, bytes.
pub(crate) const LONGEST: usize = 8 * 1024;

/// What a client said it wants.
#[derive(Debug)]
pub(crate) enum Wish {
    /// A connection.
    Connect { app: AppName, class: Option<Class>, protocol: Protocol },
    /// SOCKS5 datagrams, sent from this port; 0 where the client does not know it yet.
    Associate { port: u16 },
}

/// How a handshake ends when it does not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The client has gone, which is nobody's business.
    Gone(io::Error),
    /// Close without an answer, as no protocol was agreed on.
    Close(Trouble),
    /// Send these last words, then close.
    Answer(Vec<u8>, Trouble),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Gone(error)
    }
}

/// A socket and what was read from it but not yet understood.
#[derive(Debug)]
pub(crate) struct Handshake {
    socket: TcpStream,
    buffer: BytesMut,
}

impl Handshake {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Handshake { socket, buffer: BytesMut::new() }
    }

    /// The socket, and the bytes that came after the handshake.
    pub(crate) fn into_parts(self) -> (TcpStream, Bytes) {
        (self.socket, self.buffer.freeze())
    }

    /// Says why not, where the client can understand it.
    pub(crate) async fn answer(&mut self, words: &[u8]) {
        farewell(&mut self.socket, words).await;
    }

    /// Finds out what the client wants. On success everything up to its data was read, and no answer was given yet.
    pub(crate) async fn wish(&mut self) -> Result<Wish, Failure> {
        let protocol = self.read(parse_protocol).await?.map_err(|why| Failure::Close(why.into()))?;
        match protocol {
            Protocol::Socks5 => self.socks().await,
            Protocol::HttpConnect => self.connect().await,
        }
    }

    async fn socks(&mut self) -> Result<Wish, Failure> {
        let greeting = self.read(socks::parse_greeting).await?.map_err(|why| Failure::Close(why.into()))?;
        if !greeting.no_authentication {
            let words = vec![socks::VERSION, socks::NO_METHOD];
            return Err(Failure::Answer(words, Trouble::Unsupported("SOCKS5 authentication")));
        }
        self.socket.write_all(&[socks::VERSION, socks::NO_AUTHENTICATION]).await?;
        let refuse = |code, trouble| Failure::Answer(socks::reply(code).to_vec(), trouble);
        let request = self.read(socks::parse_request).await?.map_err(|why| {
            let code = match why {
                Malformed::AddressType(_) => Code::AddressTypeNotSupported,
                _ => Code::GeneralFailure,
            };
            refuse(code, why.into())
        })?;
        let unsupported = |what| Err(refuse(Code::CommandNotSupported, Trouble::Unsupported(what)));
        match request.command {
            Command::Connect => {}
            Command::Bind => return unsupported("SOCKS5 BIND"),
            Command::UdpAssociate => return Ok(Wish::Associate { port: request.port }),
            Command::Other(_) => return unsupported("a SOCKS5 command that does not exist"),
        }
        let name = match request.host {
            Host::Name(name) => name,
            Host::Address(ip) => return Err(refuse(Code::NotAllowed, Trouble::RawAddress(ip.to_string()))),
        };
        let app = parse_destination(&name)
            .map_err(|foreign| refuse(Code::HostUnreachable, Trouble::ForeignName(foreign.0)))?;
        Ok(Wish::Connect { app, class: None, protocol: Protocol::Socks5 })
    }

    async fn connect(&mut self) -> Result<Wish, Failure> {
        let head = self.read(parse_head).await?.map_err(|why| {
            let words = match why {
                Malformed::TooLong(_) => {
                    http_answer(431, "Request Header Fields Too Large", "", &why.to_string())
                }
                _ => http_answer(400, "Bad Request", "", &why.to_string()),
            };
            Failure::Answer(words, why.into())
        })?;
        let Head::Connect { host, class, .. } = head else {
            let line =
                "only CONNECT is offered here: have the client tunnel (curl --proxytunnel), or use SOCKS5";
            let words = http_answer(405, "Method Not Allowed", "Allow: CONNECT\r\n", line);
            return Err(Failure::Answer(words, Trouble::Unsupported("an HTTP method other than CONNECT")));
        };
        let app = parse_destination(&host).map_err(|foreign| {
            let raw = host.parse::<std::net::IpAddr>().is_ok();
            let (status, phrase) = if raw { Refusal::NotAllowed } else { Refusal::NoSuchApp }.http();
            let words = http_answer(status, phrase, "", "only names of the mesh (APP.mesh) are reached here");
            let trouble = if raw { Trouble::RawAddress(host) } else { Trouble::ForeignName(foreign.0) };
            Failure::Answer(words, trouble)
        })?;
        Ok(Wish::Connect { app, class, protocol: Protocol::HttpConnect })
    }

    /// Reads until `parse` has a whole message, and leaves what follows it in the buffer.
    async fn read<T>(
        &mut self,
        parse: fn(&[u8]) -> Result<Progress<T>, Malformed>,
    ) -> io::Result<Result<T, Malformed>> {
        loop {
            match parse(&self.buffer) {
                Err(why) => return Ok(Err(why)),
                Ok(Progress::Done { consumed, .. }) if consumed > LONGEST => {
                    return Ok(Err(Malformed::TooLong(LONGEST)));
                }
                Ok(Progress::Done { value, consumed }) => {
                    self.buffer.advance(consumed);
                    return Ok(Ok(value));
                }
                Ok(Progress::Incomplete) if self.buffer.len() >= LONGEST => {
                    return Ok(Err(Malformed::TooLong(LONGEST)));
                }
                Ok(Progress::Incomplete) => {}
            }
            self.buffer.reserve(1024);
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
