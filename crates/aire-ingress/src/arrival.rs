use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use aire_types::{AppName, Class};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Refusal;
use crate::parse::{Protocol, socks};

/// How long a client may take to take its refusal.
const FAREWELL: Duration = Duration::from_secs(2);
/// How much of what a refused client still sends is read, so that the answer is not lost in a reset.
const FAREWELL_BYTES: usize = 64 * 1024;

/// A connection of an application that waits for an answer. Dropped without one, it is reset.
#[derive(Debug)]
pub struct Arrival {
    /// Where it wants to go.
    pub app: AppName,
    /// The class that the application asked for, where its protocol can.
    pub class: Option<Class>,
    /// The application's own address.
    pub client: SocketAddr,
    /// The listener that it came to.
    pub listener: SocketAddr,
    pub(crate) socket: TcpStream,
    pub(crate) early: Bytes,
    /// `None`: nothing was negotiated, so that nothing is answered.
    pub(crate) protocol: Option<Protocol>,
}

/// An accepted connection, from now on bytes both ways.
#[derive(Debug)]
pub struct Accepted {
    /// The socket. It lingers zero, so that it is reset when it is dropped; who carries it ends it properly with a
    /// shutdown and `SO_LINGER` off when both ends are acknowledged and written.
    pub socket: TcpStream,
    /// What the application sent before the answer; it comes before anything that is read from the socket.
    pub early: Bytes,
}

impl Arrival {
    /// What the application says before it has an answer, at most `most` bytes, once there is something. It is only looked
    /// at: it comes again from the socket, unless [`Arrival::forget_words`] takes it away. Never ends where the
    /// application waits for an answer first, or says nothing.
    pub async fn first_words(&self, most: usize) -> Bytes {
        let mut words = vec![0; most];
        if self.protocol.is_none()
            && let Ok(length @ 1..) = self.socket.peek(&mut words).await
        {
            words.truncate(length);
            return words.into();
        }
        std::future::pending().await
    }

    /// Takes away what was looked at and has gone its way already.
    ///
    /// # Errors
    /// The application has gone.
    pub async fn forget_words(&mut self, length: usize) -> io::Result<()> {
        let mut gone = vec![0; length];
        self.socket.read_exact(&mut gone).await.map(|_| ())
    }

    /// Tells the application that its connection stands. No byte may reach it before this, which is why the socket
    /// comes out of here.
    ///
    /// # Errors
    /// The application has gone.
    pub async fn accept(mut self) -> io::Result<Accepted> {
        match self.protocol {
            None => {}
            Some(Protocol::Socks5) => {
                self.socket.write_all(&socks::reply(socks::Code::Succeeded)).await?;
            }
            Some(Protocol::HttpConnect) => {
                self.socket.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
            }
        }
        Ok(Accepted { socket: self.socket, early: self.early })
    }

    /// Tells the application why not, and closes. Takes two seconds at most. Where no protocol was spoken the
    /// connection is reset.
    pub async fn refuse(mut self, refusal: Refusal) {
        match self.protocol {
            None => {}
            Some(Protocol::Socks5) => farewell(&mut self.socket, &socks::reply(refusal.socks())).await,
            Some(Protocol::HttpConnect) => {
                let (status, phrase) = refusal.http();
                farewell(&mut self.socket, &http_answer(status, phrase, "", &refusal.to_string())).await;
            }
        }
    }
}

/// An HTTP answer with one line of text. `fields` are further header lines, each with its line end.
pub(crate) fn http_answer(status: u16, phrase: &str, fields: &str, line: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n{fields}\r\n{line}\n",
        line.len() + 1
    )
    .into_bytes()
}

/// Sends the last words so that they arrive: a close with unread bytes in the socket would be a reset, which makes the
/// client's kernel throw away what it has not read yet. A client that has gone loses nothing by it.
pub(crate) async fn farewell(socket: &mut TcpStream, words: &[u8]) {
    let said = async {
        socket2::SockRef::from(&*socket).set_linger(None)?;
        socket.write_all(words).await?;
        socket.shutdown().await?;
        let mut rest = [0; 4096];
        let mut left = FAREWELL_BYTES;
        while left > 0 {
            match socket.read(&mut rest).await? {
                0 => break,
                n => left = left.saturating_sub(n),
            }
        }
        io::Result::Ok(())
    };
    match tokio::time::timeout(FAREWELL, said).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a refused application had gone"),
        Err(_) => tracing::debug!("a refused application did not close in time"),
    }
}
