//! Numbered, checksummed messages at a steady pace over one connection: does anything get lost, and how long does it stall?

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::flow::Live;
use super::hello::Kind;
use super::{LatencySummary, checksum, connect};

/// Bytes of one message: number, moment of sending (microseconds since the start), filler, checksum.
pub(super) const MESSAGE: usize = 128;

/// The client of this workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Messages {
    /// Where the server, or a way to it, listens.
    pub to: SocketAddr,
    /// How long to wait between two messages.
    pub interval: Duration,
    /// How long to send.
    pub duration: Duration,
    /// How long to wait for the connection, and for echoes after the last message.
    pub patience: Duration,
}

/// One message that came back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Echo {
    /// Its number, from 0.
    pub number: u64,
    /// When it was sent, seconds since the start.
    pub sent_s: f64,
    /// When it came back, seconds since the start.
    pub back_s: f64,
}

/// What the client saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MessagesReport {
    /// Messages written.
    pub sent: u64,
    /// Messages that came back, repeated ones not counted.
    pub received: u64,
    /// Messages that never came back.
    pub lost: u64,
    /// Messages that came back again.
    pub repeated: u64,
    /// Messages that came back after a later one.
    pub reordered: u64,
    /// Messages whose checksum was wrong.
    pub corrupt: u64,
    /// Connections that were reset.
    pub resets: u64,
    /// Connections that ended before the client ended them, without a reset.
    pub early_ends: u64,
    /// Round trips, milliseconds.
    pub latency_ms: LatencySummary,
    /// The longest time without an echo beyond the sending interval, milliseconds.
    pub longest_stall_ms: f64,
    /// When that stall began, seconds since the start.
    pub longest_stall_at_s: f64,
    /// What happened to the connection, when it did not end well.
    pub error: Option<String>,
    /// Every echo, in the order of arrival.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub echoes: Vec<Echo>,
}

impl Messages {
    /// Fifty messages a second for this long.
    pub fn new(to: SocketAddr, duration: Duration) -> Self {
        Messages { to, interval: Duration::from_millis(20), duration, patience: Duration::from_secs(10) }
    }

    /// Runs to the end. A connection that breaks is part of the report.
    ///
    /// # Errors
    /// No connection within the patience.
    pub fn run(&self) -> io::Result<MessagesReport> {
        self.run_live(&Arc::default())
    }

    /// The same, told of each echo in `live`, which may also stop it.
    pub(super) fn run_live(&self, live: &Arc<Live>) -> io::Result<MessagesReport> {
        let stream = connect(self.to, Kind::Messages, 0, self.patience)?;
        let start = Instant::now();
        let sent = Arc::new(AtomicU64::new(0));
        let finished = Arc::new(AtomicBool::new(false));
        let sender = {
            let (stream, sent, finished) = (stream.try_clone()?, sent.clone(), finished.clone());
            let (interval, duration, live) = (self.interval, self.duration, Arc::clone(live));
            thread::Builder::new().name("messages-send".to_owned()).spawn(move || {
                let result = send(stream, start, interval, duration, &sent, &live);
                finished.store(true, Ordering::Release);
                result
            })?
        };
        let mut receiver = Receiver::new(start, self.interval, Arc::clone(live));
        let ended = receiver.run(&stream, &sent, &finished, self.patience);
        // Wakes a sender that is stuck in a full buffer.
        let _ = stream.shutdown(Shutdown::Both);
        let written = sender.join().unwrap_or_else(|_| Err(io::Error::other("the sender panicked")));
        let mut report = receiver.report(sent.load(Ordering::Acquire));
        if let Some(error) = ended.err().or(written.err()) {
            report.error = Some(error.to_string());
            match error.kind() {
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
                    report.resets = 1;
                }
                ErrorKind::UnexpectedEof => report.early_ends = 1,
                _ => {}
            }
        }
        Ok(report)
    }
}

fn send(
    mut stream: TcpStream,
    start: Instant,
    interval: Duration,
    duration: Duration,
    sent: &AtomicU64,
    live: &Live,
) -> io::Result<()> {
    let mut next = start;
    while next < start + duration && !live.is_stopped() {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let number = sent.load(Ordering::Relaxed);
        stream.write_all(&encode(number, start.elapsed()))?;
        sent.store(number + 1, Ordering::Release);
        next += interval;
    }
    Ok(())
}

pub(super) fn encode(number: u64, at: Duration) -> [u8; MESSAGE] {
    let mut message = [0u8; MESSAGE];
    for (i, byte) in message.iter_mut().enumerate() {
        *byte = (number as u8).wrapping_mul(31).wrapping_add(i as u8);
    }
    message[..8].copy_from_slice(&number.to_le_bytes());
    message[8..16].copy_from_slice(&(at.as_micros() as u64).to_le_bytes());
    let sum = checksum::of(&message[..MESSAGE - 8]);
    message[MESSAGE - 8..].copy_from_slice(&sum.to_le_bytes());
    message
}

/// The number and the moment of sending; `None` when the checksum is wrong.
pub(super) fn decode(message: &[u8; MESSAGE]) -> Option<(u64, Duration)> {
    let word = |at: usize| message[at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    if word(MESSAGE - 8)? != checksum::of(&message[..MESSAGE - 8]) {
        return None;
    }
    Some((word(0)?, Duration::from_micros(word(8)?)))
}

/// Counts what comes back.
pub(super) struct Receiver {
    start: Instant,
    interval: Duration,
    live: Arc<Live>,
    seen: BTreeSet<u64>,
    highest: Option<u64>,
    last: Duration,
    stall: (Duration, Duration),
    report: MessagesReport,
}

impl Receiver {
    pub(super) fn new(start: Instant, interval: Duration, live: Arc<Live>) -> Self {
        let stall = (Duration::ZERO, Duration::ZERO);
        let (seen, report) = (BTreeSet::new(), MessagesReport::default());
        Receiver { start, interval, live, seen, highest: None, last: Duration::ZERO, stall, report }
    }

    /// Reads until everything sent came back, or for as long as patience lasts after the last message.
    fn run(
        &mut self,
        mut stream: &TcpStream,
        sent: &AtomicU64,
        finished: &AtomicBool,
        patience: Duration,
    ) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_millis(20)))?;
        let mut buffer = [0u8; MESSAGE];
        let mut filled = 0;
        let mut finished_at = None;
        loop {
            match stream.read(&mut buffer[filled..]) {
                Ok(0) => {
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, "the peer ended the connection"));
                }
                Ok(bytes) => filled += bytes,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if filled == MESSAGE {
                filled = 0;
                self.take(&buffer);
            }
            if finished.load(Ordering::Acquire) {
                let since = finished_at.get_or_insert_with(Instant::now).elapsed();
                if self.report.received >= sent.load(Ordering::Acquire) {
                    return Ok(());
                }
                if since > patience {
                    // What never came back stalls to the end.
                    self.note_gap();
                    return Err(io::Error::new(ErrorKind::TimedOut, "echoes are missing"));
                }
            }
        }
    }

    pub(super) fn take(&mut self, message: &[u8; MESSAGE]) {
        let Some((number, sent)) = decode(message) else {
            self.report.corrupt += 1;
            return;
        };
        self.note_gap();
        self.live.arrived();
        if !self.seen.insert(number) {
            self.report.repeated += 1;
            return;
        }
        if self.highest.is_some_and(|highest| number < highest) {
            self.report.reordered += 1;
        }
        self.highest = self.highest.max(Some(number));
        self.report.received += 1;
        let (sent_s, back_s) = (sent.as_secs_f64(), self.last.as_secs_f64());
        self.report.echoes.push(Echo { number, sent_s, back_s });
    }

    /// Notes the time since the last echo as a stall, if it is one.
    fn note_gap(&mut self) {
        let now = self.start.elapsed();
        let gap = (now - self.last).saturating_sub(self.interval);
        // Before the first echo there is a round trip, not a stall.
        if gap > self.stall.0 && self.highest.is_some() {
            self.stall = (gap, self.last);
        }
        self.last = now;
    }

    pub(super) fn report(self, sent: u64) -> MessagesReport {
        let echoes = &self.report.echoes;
        let trip = |echo: &Echo| Duration::try_from_secs_f64(echo.back_s - echo.sent_s).unwrap_or_default();
        MessagesReport {
            sent,
            lost: sent.saturating_sub(self.report.received),
            latency_ms: LatencySummary::of(echoes.iter().map(trip).collect()),
            longest_stall_ms: self.stall.0.as_secs_f64() * 1000.0,
            longest_stall_at_s: self.stall.1.as_secs_f64(),
            ..self.report
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_its_encoding_and_a_changed_one_does_not() {
        let mut message = encode(7, Duration::from_millis(3));
        assert_eq!(decode(&message), Some((7, Duration::from_millis(3))));
        message[40] ^= 4;
        assert_eq!(decode(&message), None);
    }

    #[test]
    fn the_receiver_counts_what_went_wrong() {
        let mut receiver = Receiver::new(Instant::now(), Duration::ZERO, Arc::default());
        for number in [0, 1, 3, 2, 2, 5] {
            receiver.take(&encode(number, Duration::ZERO));
        }
        receiver.take(&[0u8; MESSAGE]);
        let report = receiver.report(7);
        assert_eq!((report.received, report.lost), (5, 2));
        assert_eq!((report.repeated, report.reordered, report.corrupt), (1, 1, 1));
    }
}
