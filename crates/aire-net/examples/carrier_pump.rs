//! How fast one carrier is, next to plain TCP on the same machine in the same run.
//!
//! `cargo run --release -p aire-net --example carrier_pump -- [SECONDS] [FRAME BYTES]`
#![allow(clippy::unwrap_used)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::future::poll_fn;
use std::time::{Duration, Instant};

use aire_wire::{Frame, StreamId};
use bytes::Bytes;
use common::{Agent, Mesh, preamble};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ROUNDS: usize = 3;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>().unwrap());
    let seconds = Duration::from_secs(arguments.next().unwrap_or(3) as u64);
    let frame = arguments.next().unwrap_or(aire_wire::MAX_DATA).min(aire_wire::MAX_DATA);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (mut plains, mut carriers, mut relayed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plains.push(runtime.block_on(plain(seconds)));
        carriers.push(runtime.block_on(carrier(seconds, frame, false)));
        relayed.push(runtime.block_on(carrier(seconds, frame, true)));
    }
    let plain = median(plains);
    for (name, pumped) in
        [("plain", plain), ("carrier", median(carriers)), ("carrier through a relay", median(relayed))]
    {
        println!(
            "{name}: {:.2} Gbit/s ({:.2} of plain), {:.3} CPU s per GB ({:.2} of plain)",
            pumped.gigabits,
            pumped.gigabits / plain.gigabits,
            pumped.cpu,
            pumped.cpu / plain.cpu
        );
    }
}

#[derive(Clone, Copy)]
struct Pumped {
    gigabits: f64,
    /// Seconds of all threads per gigabyte.
    cpu: f64,
}

fn median(values: Vec<Pumped>) -> Pumped {
    let middle = |value: fn(&Pumped) -> f64| {
        let mut values: Vec<f64> = values.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Pumped { gigabits: middle(|pumped| pumped.gigabits), cpu: middle(|pumped| pumped.cpu) }
}

/// When something began, by the wall and by what this process used.
#[derive(Clone, Copy)]
struct Begin(Instant, f64);

impl Begin {
    fn now() -> Self {
        Begin(Instant::now(), cpu())
    }

    fn pumped(self, bytes: u64) -> Pumped {
        let gigabits = bytes as f64 * 8.0 / self.0.elapsed().as_secs_f64() / 1e9;
        Pumped { gigabits, cpu: (cpu() - self.1) / (bytes as f64 / 1e9) }
    }
}

/// Seconds of all threads so far.
fn cpu() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

async fn plain(duration: Duration) -> Pumped {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut sink = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut source, _) = listener.accept().await.unwrap();
    let begin = Begin::now();
    let sender = tokio::spawn(async move {
        let block = vec![7; 128 * 1024];
        while begin.0.elapsed() < duration {
            source.write_all(&block).await.unwrap();
        }
    });
    let receiver = tokio::spawn(async move {
        let (mut buffer, mut bytes) = (vec![0; 256 * 1024], 0);
        loop {
            match sink.read(&mut buffer).await.unwrap() {
                0 => return bytes,
                taken => bytes += taken as u64,
            }
        }
    });
    sender.await.unwrap();
    begin.pumped(receiver.await.unwrap())
}

async fn carrier(duration: Duration, size: usize, through_relay: bool) -> Pumped {
    let mesh = Mesh::new();
    let source = Agent::start(mesh.member("a"), None);
    let mut destination = Agent::start(mesh.member("b"), None);
    let relay = Agent::start(mesh.member("r"), Some(destination.addr()));
    let (first, preambles) = if through_relay {
        (relay.addr(), [preamble(1), preamble(1)].concat())
    } else {
        (destination.addr(), preamble(1))
    };
    let dial = source.endpoint.dial_carrier(first, preambles, |_| Ok(()));
    let (dialled, mut sink) = tokio::join!(dial, destination.carrier());
    let mut dialled = dialled.unwrap();
    let begin = Begin::now();
    let sender = tokio::spawn(async move {
        let bytes = Bytes::from(vec![7; size]);
        let mut offset = 0;
        let next = || {
            offset += size as u64;
            let frame = Frame::Data { stream: StreamId(1), offset, bytes: bytes.clone() };
            (begin.0.elapsed() < duration).then_some(frame)
        };
        let mut next = next;
        poll_fn(|cx| dialled.poll_write_frames(cx, &mut next)).await.unwrap();
        dialled.close();
    });
    let receiver = tokio::spawn(async move {
        let (mut frames, mut bytes) = (Vec::new(), 0);
        while poll_fn(|cx| sink.poll_read_frames(cx, &mut frames)).await.is_ok() {
            for (frame, _) in frames.drain(..) {
                if let Frame::Data { bytes: payload, .. } = frame {
                    bytes += payload.len() as u64;
                }
            }
        }
        bytes
    });
    sender.await.unwrap();
    begin.pumped(receiver.await.unwrap())
}
