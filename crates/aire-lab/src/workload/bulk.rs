//! Many bytes one way, as fast as they go, with a hash that both ends compute.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::checksum::Checksum;
use super::connect;
use super::hello::Kind;

const BLOCK: usize = 128 * 1024;
/// Compute and compare the hash.
const VERIFY: u8 = 1;

/// The client of this workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Bulk {
    /// Where the server, or a way to it, listens.
    pub to: SocketAddr,
    /// How many bytes.
    pub bytes: u64,
    /// Hash them. Off, only their number is compared, which costs nothing.
    pub verify: bool,
    /// How long to wait for the connection.
    pub patience: Duration,
}

/// What the client saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BulkReport {
    /// Bytes sent.
    pub bytes: u64,
    /// From the first byte written until the server had the last.
    pub seconds: f64,
    /// Megabits a second over that time.
    pub mbps: f64,
    /// The server got what was sent: the number, and the hash when verified.
    pub intact: bool,
}

impl Bulk {
    /// This many verified bytes.
    pub fn new(to: SocketAddr, bytes: u64) -> Self {
        Bulk { to, bytes, verify: true, patience: Duration::from_secs(10) }
    }

    /// Sends everything and waits for the server's sum.
    ///
    /// # Errors
    /// No connection, or it broke.
    pub fn run(&self) -> io::Result<BulkReport> {
        let mut stream = connect(self.to, Kind::Bulk, if self.verify { VERIFY } else { 0 }, self.patience)?;
        stream.write_all(&self.bytes.to_le_bytes())?;
        let mut block: Vec<u8> =
            (0..BLOCK).map(|i| (i as u32).wrapping_mul(0x9e37_79b1).to_le_bytes()[3]).collect();
        let mut sum = Checksum::new();
        let start = Instant::now();
        let mut sent = 0;
        while sent < self.bytes {
            // Each block says where it stands, so that no two are alike.
            block[..8].copy_from_slice(&sent.to_le_bytes());
            let length = (self.bytes - sent).min(BLOCK as u64) as usize;
            if self.verify {
                sum.add(&block[..length]);
            }
            stream.write_all(&block[..length])?;
            sent += length as u64;
        }
        let mut answer = [0u8; 16];
        stream.read_exact(&mut answer)?;
        let seconds = start.elapsed().as_secs_f64();
        let expected = if self.verify { sum.finish() } else { 0 };
        let intact = answer[..8] == sent.to_le_bytes() && answer[8..] == expected.to_le_bytes();
        Ok(BulkReport { bytes: sent, seconds, mbps: sent as f64 * 8.0 / seconds / 1e6, intact })
    }
}

/// The server's side: counts, hashes if asked to, answers with both.
pub(super) fn receive(mut stream: TcpStream, flags: u8) -> io::Result<()> {
    let mut announced = [0u8; 8];
    stream.read_exact(&mut announced)?;
    let announced = u64::from_le_bytes(announced);
    let mut block = vec![0u8; BLOCK];
    let mut sum = Checksum::new();
    let mut got = 0;
    while got < announced {
        let length = (announced - got).min(BLOCK as u64) as usize;
        if flags & VERIFY != 0 {
            stream.read_exact(&mut block[..length])?;
            sum.add(&block[..length]);
            got += length as u64;
        } else {
            match stream.read(&mut block[..length])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                bytes => got += bytes as u64,
            }
        }
    }
    let hash = if flags & VERIFY != 0 { sum.finish() } else { 0 };
    let mut answer = [0u8; 16];
    answer[..8].copy_from_slice(&got.to_le_bytes());
    answer[8..].copy_from_slice(&hash.to_le_bytes());
    stream.write_all(&answer)
}
