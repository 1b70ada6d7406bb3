//! Links over TLS over TCP, where UDP does not pass.

use std::net::SocketAddr;
use std::sync::Arc;

use aire_wire::MAX_MESSAGE;
use bytes::{Buf, BytesMut};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    ClosedBy, Closing, EVENTS, IDLE, Inner, KEEP_ALIVE, Link, LinkEvent, LinkEvents, Outgoing, QUEUE, Wire,
};
use crate::PeerInfo;
use crate::tls::TlsStream;

const MESSAGE: u8 = 1;
const DATAGRAM: u8 = 2;
const HEADER: usize = 5;
/// No more is encrypted while this much waits for the socket.
const HIGH_WATER: usize = 256 * 1024;

/// Runs a link over an authentic session.
pub(crate) fn start(stream: TlsStream, peer: PeerInfo, token: CancellationToken) -> (Link, LinkEvents) {
    let (queue, outgoing) = mpsc::channel(QUEUE);
    let (sender, events) = mpsc::channel(EVENTS);
    let closing = Closing::new(token);
    let remote: SocketAddr = stream.addr;
    let wire = Wire::Tcp(stream.tcp.clone());
    let task = Task {
        stream,
        plaintext: BytesMut::new(),
        events: sender,
        heard: Instant::now(),
        said: Instant::now(),
    };
    tokio::spawn(task.run(outgoing, closing.clone()));
    let inner = Inner { peer, remote, wire, queue, refused: 0.into(), crowded: false.into(), closing };
    (Link(Arc::new(inner)), events)
}

struct Task {
    stream: TlsStream,
    plaintext: BytesMut,
    events: mpsc::Sender<LinkEvent>,
    /// When anything last arrived.
    heard: Instant,
    /// When anything was last sent.
    said: Instant,
}

impl Task {
    async fn run(mut self, mut outgoing: mpsc::Receiver<Outgoing>, closing: Closing) {
        let (by, reason) = self.serve(&mut outgoing, &closing).await;
        self.stream.close();
        let _ = self.events.send(LinkEvent::Closed { by, reason }).await;
    }

    async fn serve(
        &mut self,
        outgoing: &mut mpsc::Receiver<Outgoing>,
        closing: &Closing,
    ) -> (ClosedBy, String) {
        let lost = |why: String| (ClosedBy::Loss, why);
        let tcp = self.stream.tcp.clone();
        loop {
            let queued = self.stream.queued();
            tokio::select! {
                filled = self.stream.fill() => match filled {
                    Ok(true) => {
                        if let Err(ended) = self.receive().await {
                            return ended;
                        }
                    }
                    Ok(false) => return lost("the connection ended without goodbye".into()),
                    Err(error) => return lost(error.to_string()),
                },
                () = sleep_until(self.heard + IDLE) => return lost("the peer fell silent".into()),
                () = sleep_until(self.said + KEEP_ALIVE), if queued == 0 => {
                    if let Err(why) = self.encode(DATAGRAM, &[]) {
                        return lost(why);
                    }
                }
                _ = tcp.writable(), if queued > 0 => {}
                () = closing.token.cancelled() => {
                    let reason = closing.why.get().map(|(_, reason)| reason.clone()).unwrap_or_default();
                    return (ClosedBy::Us, reason);
                }
                () = self.events.closed() => return (ClosedBy::Us, String::new()),
                next = outgoing.recv(), if queued < HIGH_WATER => {
                    let encoded = match next {
                        Some(Outgoing::Message(message)) => self.encode(MESSAGE, &message),
                        Some(Outgoing::Datagram(bytes)) => self.encode(DATAGRAM, &bytes),
                        None => return (ClosedBy::Us, String::new()),
                    };
                    if let Err(why) = encoded {
                        return lost(why);
                    }
                }
            }
            if let Err(error) = self.stream.flush_some() {
                return lost(error.to_string());
            }
        }
    }

    fn encode(&mut self, kind: u8, body: &[u8]) -> Result<(), String> {
        let mut header = [kind, 0, 0, 0, 0];
        header[1..].copy_from_slice(&(body.len() as u32).to_be_bytes());
        self.said = Instant::now();
        self.stream.queue(&[&header, body]).map_err(|error| error.to_string())
    }

    /// Takes what has arrived; the error is the end of the link.
    async fn receive(&mut self) -> Result<(), (ClosedBy, String)> {
        self.heard = Instant::now();
        let decrypted = self.stream.decrypt(&mut self.plaintext);
        let open = decrypted.map_err(|error| (ClosedBy::Loss, error.to_string()))?;
        while let Some((kind, body)) = take(&mut self.plaintext).map_err(|why| (ClosedBy::Breach, why))? {
            match kind {
                MESSAGE => {
                    let _ = self.events.send(LinkEvent::Message(body.to_vec())).await;
                }
                // a sign of life
                _ if body.is_empty() => {}
                _ => drop(self.events.try_send(LinkEvent::Datagram(body.freeze()))),
            }
        }
        if open { Ok(()) } else { Err((ClosedBy::Peer(0), "closed by the peer".to_owned())) }
    }
}

/// Takes the next frame, its kind and body, off the front of `buffer`.
pub(crate) fn take(buffer: &mut BytesMut) -> Result<Option<(u8, BytesMut)>, String> {
    let Some(&[kind, a, b, c, d]) = buffer.first_chunk::<HEADER>() else { return Ok(None) };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > MAX_MESSAGE || !(MESSAGE..=DATAGRAM).contains(&kind) {
        return Err(format!("the peer sent a frame of kind {kind} and length {length}"));
    }
    if buffer.len() < HEADER + length {
        return Ok(None);
    }
    buffer.advance(HEADER);
    Ok(Some((kind, buffer.split_to(length))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_whole_and_bounded() {
        let mut buffer = BytesMut::from(&[1, 0, 0, 0, 2, 7][..]);
        assert_eq!(take(&mut buffer).unwrap(), None);
        buffer.extend_from_slice(&[8, 2, 0, 0, 0, 0]);
        assert_eq!(take(&mut buffer).unwrap(), Some((1, BytesMut::from(&[7, 8][..]))));
        assert_eq!(take(&mut buffer).unwrap(), Some((2, BytesMut::new())));
        for bad in [[3, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 0, 1, 0, 1]] {
            assert!(take(&mut BytesMut::from(&bad[..])).is_err());
        }
    }
}
