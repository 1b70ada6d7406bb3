//! A TLS session on a tokio socket: the handshake of everything over TCP, and the plain reading and writing of
//! links and enrolment. Carriers take the session over after the handshake.

use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use rustls::{ClientConnection, Connection, ServerConnection};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;

use crate::NetError;

const HEADER: usize = 5;
const READ_SIZE: usize = 18 * 1024;

pub(crate) struct TlsStream {
    pub(crate) tcp: Arc<TcpStream>,
    pub(crate) addr: SocketAddr,
    pub(crate) session: Connection,
    /// Ciphertext that arrived and was not given to the session yet.
    pub(crate) input: BytesMut,
    /// Bytes for the socket.
    output: Vec<u8>,
}

impl TlsStream {
    /// `prefix` goes out before the first handshake message, in the same segment.
    pub(crate) fn client(
        tcp: TcpStream,
        addr: SocketAddr,
        config: Arc<rustls::ClientConfig>,
        name: ServerName<'static>,
        prefix: Vec<u8>,
    ) -> Result<Self, NetError> {
        let session = ClientConnection::new(config, name).map_err(|source| NetError::Tls { addr, source })?;
        Ok(Self::new(tcp, addr, session.into(), prefix))
    }

    pub(crate) fn server(
        tcp: TcpStream,
        addr: SocketAddr,
        config: Arc<rustls::ServerConfig>,
    ) -> Result<Self, NetError> {
        let session = ServerConnection::new(config).map_err(|source| NetError::Tls { addr, source })?;
        Ok(Self::new(tcp, addr, session.into(), Vec::new()))
    }

    fn new(tcp: TcpStream, addr: SocketAddr, mut session: Connection, output: Vec<u8>) -> Self {
        session.set_buffer_limit(None);
        TlsStream { tcp: Arc::new(tcp), addr, session, input: BytesMut::new(), output }
    }

    /// Completes the handshake. The caller sets the deadline.
    pub(crate) async fn handshake(&mut self) -> Result<(), NetError> {
        loop {
            while self.session.is_handshaking() && self.feed_record()? {}
            self.encrypt()?;
            self.flush().await.map_err(|source| NetError::from_io(self.addr, source))?;
            if !self.session.is_handshaking() {
                return Ok(());
            }
            if !self.fill().await.map_err(|source| NetError::from_io(self.addr, source))? {
                let source = io::ErrorKind::UnexpectedEof.into();
                return Err(NetError::from_io(self.addr, source));
            }
        }
    }

    /// The certificates of the other end.
    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        self.session.peer_certificates().unwrap_or_default()
    }

    /// Fails where the peer did not agree to speak `protocol`.
    pub(crate) fn require_alpn(&self, protocol: &[u8]) -> Result<(), NetError> {
        if self.session.alpn_protocol() == Some(protocol) {
            return Ok(());
        }
        let why = format!("it does not speak {}", String::from_utf8_lossy(protocol));
        Err(NetError::Protocol { addr: self.addr, why })
    }

    /// Gives the session exactly one record, so that no ciphertext is left inside of it.
    fn feed_record(&mut self) -> Result<bool, NetError> {
        let Some(length) = record_length(&self.input) else { return Ok(false) };
        if self.input.len() < length {
            return Ok(false);
        }
        let mut record = self.input.split_to(length);
        while record.has_remaining() {
            let taken = self.session.read_tls(&mut &record[..]);
            let taken = taken.map_err(|source| NetError::from_io(self.addr, source))?;
            record.advance(taken);
            if let Err(source) = self.session.process_new_packets() {
                // the alert tells the peer why; it need not arrive
                let _ = self.encrypt();
                let _ = self.tcp.try_write(&self.output);
                return Err(NetError::Tls { addr: self.addr, source });
            }
        }
        Ok(true)
    }

    /// Decrypts what has arrived into `plaintext`. `false` after the peer's close_notify.
    pub(crate) fn decrypt(&mut self, plaintext: &mut BytesMut) -> Result<bool, NetError> {
        // The session refuses the next record while it holds more than one, so each is taken out at once.
        while self.feed_record()? {
            if !self.take_plaintext(plaintext)? {
                return Ok(false);
            }
        }
        self.take_plaintext(plaintext)
    }

    fn take_plaintext(&mut self, plaintext: &mut BytesMut) -> Result<bool, NetError> {
        let mut reader = self.session.reader();
        loop {
            match reader.fill_buf() {
                Ok([]) => return Ok(false),
                Ok(bytes) => {
                    plaintext.extend_from_slice(bytes);
                    let taken = bytes.len();
                    reader.consume(taken);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(source) => return Err(NetError::from_io(self.addr, source)),
            }
        }
    }

    /// Reads once; `false` at the end of the connection. May be dropped while it waits.
    pub(crate) async fn fill(&mut self) -> io::Result<bool> {
        loop {
            self.tcp.readable().await?;
            self.input.reserve(READ_SIZE);
            match self.tcp.try_read_buf(&mut self.input) {
                Ok(taken) => return Ok(taken > 0),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Encrypts `parts`, one behind the other, for [`Self::flush`].
    pub(crate) fn queue(&mut self, parts: &[&[u8]]) -> Result<(), NetError> {
        for part in parts {
            let written = self.session.writer().write_all(part);
            written.map_err(|source| NetError::from_io(self.addr, source))?;
        }
        self.encrypt()
    }

    /// Bytes that [`Self::flush`] has to write.
    pub(crate) fn queued(&self) -> usize {
        self.output.len()
    }

    fn encrypt(&mut self) -> Result<(), NetError> {
        while self.session.wants_write() {
            let written = self.session.write_tls(&mut self.output);
            written.map_err(|source| NetError::from_io(self.addr, source))?;
        }
        Ok(())
    }

    /// Writes everything queued. May be dropped while it waits; what was not written stays queued.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while self.flush_some()? {
            self.tcp.writable().await?;
        }
        Ok(())
    }

    /// Writes what the socket takes now; is there more?
    pub(crate) fn flush_some(&mut self) -> io::Result<bool> {
        while !self.output.is_empty() {
            match self.tcp.try_write(&self.output) {
                Ok(written) => drop(self.output.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Says close_notify; does not wait.
    pub(crate) fn close(&mut self) {
        self.session.send_close_notify();
        if self.encrypt().is_ok() {
            let _ = self.tcp.try_write(&self.output);
        }
    }
}

/// Length of the record at the front, header included; `None` while the header is not complete.
pub(crate) fn record_length(input: &[u8]) -> Option<usize> {
    let header = input.first_chunk::<HEADER>()?;
    Some(HEADER + usize::from(u16::from_be_bytes([header[3], header[4]])))
}
