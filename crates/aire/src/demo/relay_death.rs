//! The relay in use dies silently under running transfers, one in each direction.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use aire_admin::documents::StreamRow;
use aire_types::Path;

use super::live::{self, Receipt};
use super::narrator::wait_for;
use super::{Demo, MOMENT, cast};
use crate::failure::Failure;
use crate::figures;

/// How long a transfer may pause before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(10);
/// Records that both transfers have got through before the relay dies.
const UNDER_WAY: u64 = 50;

impl Demo {
    pub(super) fn kill_the_relay(&mut self) -> Result<(), Failure> {
        let door = self.actor(cast::CLIENT)?.door;
        let resets = self.status(cast::CLIENT)?.streams.reset;
        let records =
            u64::try_from(self.share(0.2, 5, 30).as_millis() / live::PACE.as_millis()).unwrap_or(250);
        let down = thread::spawn(move || download(door, records));
        let up = thread::spawn(move || upload(door, records));
        let path = wait_for(MOMENT, "two running transfers", || {
            let running = self.running()?;
            let enough =
                |row: &&StreamRow| row.bytes_in.max(row.bytes_out) >= UNDER_WAY * live::RECORD as u64;
            Ok(if running.iter().filter(enough).count() >= 2 {
                running.first().map(|row| row.path.clone())
            } else {
                None
            })
        })?;
        let relay = path.relays().first().cloned().ok_or_else(|| {
            Failure::Failed("the transfers go directly; there is no relay whose death would show".to_owned())
        })?;
        self.cast.network.isolate(relay.as_str(), true).map_err(Failure::because)?;
        self.narrator.tell(&format!("a transfer each way runs {path}; now {relay} falls silent"))?;
        self.summary.path_before = path;
        let moved = wait_for(MOMENT, "another path", || {
            let running = self.running()?;
            let clear = !running.is_empty() && running.iter().all(|row| !row.path.relays().contains(&relay));
            Ok(running.first().filter(|_| clear).map(|row| row.path.clone()))
        });
        self.summary.path_after = match moved {
            Ok(path) => {
                self.narrator.tell(&format!("both transfers go on {path}"))?;
                path
            }
            Err(failure) => {
                self.narrator.tell(&failure.to_string())?;
                Path::DIRECT
            }
        };
        let broke = |_| Failure::Failed("a transfer broke down".to_owned());
        let receipts = [down.join().map_err(broke)?, up.join().map_err(broke)?];
        let resets = self.status(cast::CLIENT)?.streams.reset - resets;
        self.take_receipts(receipts, resets)
    }

    fn running(&self) -> Result<Vec<StreamRow>, Failure> {
        let streams: Vec<StreamRow> = self.admin(cast::CLIENT)?.document("/api/v1/streams")?;
        let ours = |row: &StreamRow| row.app.as_str() == cast::APP && row.bytes_in.max(row.bytes_out) > 0;
        Ok(streams.into_iter().filter(ours).collect())
    }

    /// `resets` is how many the client's agent counted.
    fn take_receipts(&mut self, receipts: [Receipt; 2], resets: u64) -> Result<(), Failure> {
        self.summary.bytes_lost = receipts.iter().map(Receipt::bytes_lost).sum();
        let felt = receipts.iter().map(|receipt| u64::from(receipt.reset)).sum();
        self.summary.streams_reset = resets.max(felt);
        self.summary.failover_stall_ms = receipts.iter().map(|receipt| receipt.stall_ms).fold(0.0, f64::max);
        let [down, up] = receipts.map(|receipt| figures::ms(Some(receipt.stall_ms)));
        let (good, expected) =
            receipts.iter().fold((0, 0), |sum, one| (sum.0 + one.good, sum.1 + one.expected));
        self.narrator.tell(&format!(
            "{good} of {expected} records arrived in order; longest pause {down} towards the client, {up} from it; \
             {} resets",
            self.summary.streams_reset,
        ))
    }
}

fn download(door: SocketAddr, records: u64) -> Receipt {
    let nothing = |error: io::Error| broken(records, &error);
    let begin = || -> io::Result<BufReader<TcpStream>> {
        let mut stream = open(door)?;
        stream.write_all(format!("GET /live/{records} HTTP/1.1\r\nHost: web\r\n\r\n").as_bytes())?;
        let mut input = BufReader::new(stream);
        skip_head(&mut input)?;
        Ok(input)
    };
    begin().map_or_else(nothing, |mut input| live::receive(&mut input, records))
}

/// What the app says that it saw; nothing when the connection breaks before it says so.
fn upload(door: SocketAddr, records: u64) -> Receipt {
    let send = || -> io::Result<Receipt> {
        let mut stream = open(door)?;
        let length = records * live::RECORD as u64;
        let head = format!("POST /live/{records} HTTP/1.1\r\nHost: web\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        live::send(&mut stream, records)?;
        let mut input = BufReader::new(stream);
        let length = skip_head(&mut input)?;
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        Ok(serde_json::from_slice(&body)?)
    };
    send().unwrap_or_else(|error| broken(records, &error))
}

fn open(door: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(door)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Reads the head of an answer and returns the length of its body.
fn skip_head(input: &mut impl BufRead) -> io::Result<usize> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.trim().is_empty() {
            return Ok(length);
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
        }
    }
}

/// A transfer of which nothing is known to have arrived.
fn broken(records: u64, error: &io::Error) -> Receipt {
    let reset = matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe);
    Receipt { expected: records, reset, stall_ms: f64::INFINITY, ..Receipt::default() }
}

#[cfg(test)]
mod tests {
    use super::super::web;
    use super::*;

    #[test]
    fn both_directions_arrive_whole() {
        let at = web::start().unwrap();
        for receipt in [download(at, 5), upload(at, 5)] {
            assert_eq!((receipt.good, receipt.bytes_lost(), receipt.reset), (5, 0, false));
            assert!(receipt.stall_ms < 1000.0);
        }
    }

    #[test]
    fn an_early_end_is_loss() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = nobody.local_addr().unwrap();
        let hangs_up = thread::spawn(move || drop(nobody.accept()));
        let receipt = download(at, 5);
        assert_eq!(receipt.bytes_lost(), 5 * live::RECORD as u64);
        hangs_up.join().unwrap();
    }
}
