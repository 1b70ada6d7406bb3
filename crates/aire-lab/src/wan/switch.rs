//! One thread that moves packets between TUN devices when their time has come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::addresses::Addresses;
use super::packet;
use crate::Topology;
use crate::pacer::{Dropped, Pacer};

/// Packets that one device may send before the others have their turn.
const TURN: usize = 64;
/// More than the MTU.
const PACKET: usize = 2048;
const STOP: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// What one direction of a link did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Packets that arrived.
    pub packets: u64,
    /// Bytes that arrived, IP headers included.
    pub bytes: u64,
    /// Packets lost by chance.
    pub lost: u64,
    /// Packets that found the queue full.
    pub overflowed: u64,
    /// Packets that met a link that was down or a filter.
    pub closed: u64,
}

#[derive(Debug, Default)]
struct Counters {
    packets: AtomicU64,
    bytes: AtomicU64,
    lost: AtomicU64,
    overflowed: AtomicU64,
    closed: AtomicU64,
}

/// The switch's side of every host's device.
#[derive(Debug)]
pub(super) struct Ports {
    devices: Vec<File>,
    addresses: Addresses,
}

impl Ports {
    /// Ports whose addresses are found, and changed, in `addresses`.
    pub(super) fn new(addresses: Addresses) -> Self {
        Ports { devices: Vec::new(), addresses }
    }

    pub(super) fn add(&mut self, address: Ipv4Addr, device: File) {
        self.addresses.add(address, self.devices.len());
        self.devices.push(device);
    }
}

/// The running switch; dropping it stops it.
#[derive(Debug)]
pub(super) struct Switch {
    counters: Arc<Vec<Counters>>,
    size: usize,
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Switch {
    pub(super) fn start(ports: Ports, topology: Topology, seed: u64) -> io::Result<Self> {
        let size = ports.devices.len();
        let counters: Arc<Vec<Counters>> = Arc::new((0..size * size).map(|_| Counters::default()).collect());
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let readable = epoll::EventFlags::IN;
        for (i, device) in ports.devices.iter().enumerate() {
            epoll::add(&poll, device, epoll::EventData::new_u64(i as u64), readable)?;
        }
        epoll::add(&poll, &*stop, epoll::EventData::new_u64(STOP), readable)?;
        epoll::add(&poll, &timer, epoll::EventData::new_u64(TIMER), readable)?;
        let now = Instant::now();
        let pacer = |i: usize| Pacer::for_link(seed, i / size, i % size, now);
        let forwarding = Forwarding {
            pacers: (0..size * size).map(pacer).collect(),
            ports,
            topology,
            counters: counters.clone(),
            waiting: BinaryHeap::new(),
            buffers: Vec::new(),
            free: Vec::new(),
            sequence: 0,
            timer,
            armed: None,
        };
        let thread =
            std::thread::Builder::new().name("wan-switch".to_owned()).spawn(move || forwarding.run(&poll))?;
        Ok(Switch { counters, size, stop, thread: Some(thread) })
    }

    pub(super) fn counters(&self, from: usize, to: usize) -> LinkCounters {
        let counters = &self.counters[from * self.size + to];
        LinkCounters {
            packets: counters.packets.load(Ordering::Relaxed),
            bytes: counters.bytes.load(Ordering::Relaxed),
            lost: counters.lost.load(Ordering::Relaxed),
            overflowed: counters.overflowed.load(Ordering::Relaxed),
            closed: counters.closed.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A packet under way. Ordered by time, then by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    at: Instant,
    sequence: u64,
    from: u32,
    to: u32,
    slot: u32,
}

struct Forwarding {
    ports: Ports,
    topology: Topology,
    counters: Arc<Vec<Counters>>,
    pacers: Vec<Pacer>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// Bytes of packets under way, by slot; freed slots keep their allocation.
    buffers: Vec<Vec<u8>>,
    free: Vec<u32>,
    sequence: u64,
    timer: OwnedFd,
    armed: Option<Instant>,
}

impl Forwarding {
    fn run(mut self, poll: &OwnedFd) {
        let mut events = Vec::with_capacity(64);
        loop {
            events.clear();
            match epoll::wait(poll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
            for event in &events {
                match event.data.u64() {
                    STOP => return,
                    TIMER => {
                        let _ = rustix::io::read(&self.timer, &mut [0u8; 8]);
                        self.armed = None;
                    }
                    device => self.receive(device as usize),
                }
            }
            self.deliver();
            self.arm();
        }
    }

    /// Takes what a device has to send, a turn's worth.
    fn receive(&mut self, from: usize) {
        let now = Instant::now();
        for _ in 0..TURN {
            let slot = self.take_slot();
            let buffer = &mut self.buffers[slot as usize];
            buffer.resize(PACKET, 0);
            let Ok(length) = rustix::io::read(&self.ports.devices[from], &mut buffer[..]) else {
                self.free.push(slot);
                return;
            };
            buffer.truncate(length);
            if !self.enqueue(now, from, slot) {
                self.free.push(slot);
            }
        }
    }

    /// Puts a packet on its way; false when it vanishes.
    fn enqueue(&mut self, now: Instant, from: usize, slot: u32) -> bool {
        let packet = &self.buffers[slot as usize];
        let Some((destination, protocol)) = packet::parse(packet) else { return false };
        let Some(to) = self.ports.addresses.find(destination) else { return false };
        let link = from * self.ports.devices.len() + to;
        let shape = self.topology.shape(from, to);
        match self.pacers[link].admit(now, packet.len(), protocol, &shape) {
            Ok(at) => {
                self.sequence += 1;
                let (from, to) = (from as u32, to as u32);
                self.waiting.push(Reverse(Waiting { at, sequence: self.sequence, from, to, slot }));
                true
            }
            Err(dropped) => {
                let counters = &self.counters[link];
                let counter = match dropped {
                    Dropped::Closed => &counters.closed,
                    Dropped::Lost => &counters.lost,
                    Dropped::Overflow => &counters.overflowed,
                };
                counter.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }

    /// Hands over what is due.
    fn deliver(&mut self) {
        let now = Instant::now();
        while let Some(Reverse(packet)) = self.waiting.peek().copied().filter(|Reverse(p)| p.at <= now) {
            self.waiting.pop();
            let (from, to) = (packet.from as usize, packet.to as usize);
            let counters = &self.counters[from * self.ports.devices.len() + to];
            // A cut loses what is under way as well.
            if self.topology.shape(from, to).down {
                counters.closed.fetch_add(1, Ordering::Relaxed);
            } else {
                let bytes = &self.buffers[packet.slot as usize];
                // A host that takes no packet now loses it, as on any network.
                if rustix::io::write(&self.ports.devices[to], bytes).is_ok() {
                    counters.packets.fetch_add(1, Ordering::Relaxed);
                    counters.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                }
            }
            self.free.push(packet.slot);
        }
    }

    /// Sets the timer to the next packet.
    fn arm(&mut self) {
        let Some(Reverse(next)) = self.waiting.peek() else { return };
        if self.armed.is_some_and(|armed| armed <= next.at) {
            return;
        }
        self.armed = Some(next.at);
        // Zero would disarm it.
        let wait = next.at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let value = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once);
    }

    fn take_slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.buffers.push(Vec::with_capacity(PACKET));
            (self.buffers.len() - 1) as u32
        })
    }
}
