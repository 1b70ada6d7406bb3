//! How fast the core alone moves bytes from one application to the other, without sockets and encryption.
//!
//! `cargo run --release -p aire-stream --example pump [-- STREAMS]`

use std::time::{Duration, Instant};

use aire_stream::{Association, Budget, CarrierId, Config, Output, Read, Side};
use aire_types::{AppName, Class, Protocol, Time};
use aire_wire::{Frame, StreamId};
use bytes::Bytes;

const CARRIER: CarrierId = CarrierId(1);

struct Pump {
    start: Instant,
    source: Association,
    destination: Association,
    frames: Vec<Frame>,
    heads: Vec<u8>,
    frames_moved: u64,
}

impl Pump {
    fn new() -> Self {
        let budget = Budget::new(1 << 30);
        let mut source = Association::new(Config::new(Side::Source), budget.clone());
        let mut destination = Association::new(Config::new(Side::Destination), budget);
        source.handle_carrier_up(Time::from_micros(1), CARRIER, 66, 9);
        destination.handle_carrier_up(Time::from_micros(1), CARRIER, 9, 66);
        Pump {
            start: Instant::now(),
            source,
            destination,
            frames: Vec::new(),
            heads: Vec::new(),
            frames_moved: 0,
        }
    }

    fn now(&self) -> Time {
        Time::from_micros(1 + u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Delivers what both have to send; heads are encoded as a driver would.
    fn exchange(&mut self) {
        let now = self.now();
        for towards_destination in [true, false] {
            let (one, other) = (&mut self.source, &mut self.destination);
            let (from, to) = if towards_destination { (one, other) } else { (other, one) };
            if from.poll_timeout().is_some_and(|at| at <= now) {
                from.handle_timeout(now);
            }
            while from.poll_transmit(now, CARRIER, 256 * 1024, &mut self.frames) > 0 {
                for frame in self.frames.drain(..) {
                    self.heads.clear();
                    frame.encode_head(&mut self.heads);
                    let length = frame.encoded_len();
                    self.frames_moved += 1;
                    to.handle_frame(now, CARRIER, frame, length).expect("an honest peer");
                }
            }
        }
    }

    fn bulk(&mut self, streams: &[StreamId], chunk: usize, bytes: u64) -> f64 {
        let payload = Bytes::from(vec![7; chunk]);
        let (mut moved, begun) = (0, Instant::now());
        while moved < bytes {
            let now = self.now();
            for id in streams {
                while self.source.writable(*id) >= payload.len() {
                    self.source.write(now, *id, payload.clone()).expect("there is room");
                }
            }
            self.exchange();
            for id in streams {
                while let Read::Data(bytes) = self.destination.read(now, *id, usize::MAX) {
                    moved += bytes.len() as u64;
                    self.destination.consumed(now, *id, bytes.len());
                }
            }
            while let Some(output) = self.source.poll_output() {
                drop(output);
            }
            while let Some(output) = self.destination.poll_output() {
                drop(output);
            }
        }
        moved as f64 / begun.elapsed().as_secs_f64()
    }

    fn open(&mut self, count: usize) -> Vec<StreamId> {
        let app = AppName::new("sink").expect("a name");
        let now = self.now();
        let open = |_| {
            self.source.open(now, Class::Interactive, Protocol::Tcp, app.clone()).expect("room for a stream")
        };
        let streams: Vec<_> = (0..count).map(open).collect();
        self.exchange();
        while let Some(output) = self.destination.poll_output() {
            if let Output::Incoming { stream, .. } = output {
                self.destination.accept(now, stream);
            }
        }
        streams
    }

    /// Requests of 64 bytes and their responses, one at a time; how long one takes.
    fn ping_pong(&mut self, id: StreamId, rounds: u32) -> Duration {
        let payload = Bytes::from_static(&[1; 64]);
        let begun = Instant::now();
        for _ in 0..rounds {
            let now = self.now();
            self.source.write(now, id, payload.clone()).expect("there is room");
            self.exchange();
            for _ in 0..2 {
                while let Read::Data(bytes) = self.destination.read(now, id, usize::MAX) {
                    self.destination.consumed(now, id, bytes.len());
                    self.destination.write(now, id, bytes).expect("there is room");
                }
            }
            self.exchange();
            while let Read::Data(bytes) = self.source.read(now, id, usize::MAX) {
                self.source.consumed(now, id, bytes.len());
            }
            while self.source.poll_output().is_some() || self.destination.poll_output().is_some() {}
        }
        begun.elapsed() / rounds
    }
}

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(10_000);
    for chunk in [16 * 1024, 64 * 1024] {
        let mut pump = Pump::new();
        let streams = pump.open(1);
        let rate = pump.bulk(&streams, chunk, 40 << 30);
        println!("one stream, chunks of {chunk}: {:.1} GB/s", rate / 1e9);
    }
    let mut pump = Pump::new();
    let streams = pump.open(count);
    println!(
        "64-byte request and response among {count} streams: {:?}",
        pump.ping_pong(streams[count / 2], 200_000)
    );
    let rate = pump.bulk(&streams[..count.min(1000)], 16 * 1024, 10 << 30);
    println!("{} streams at once: {:.1} GB/s", count.min(1000), rate / 1e9);
    println!("frames moved: {}", pump.frames_moved);
}
