//! One carrier over TCP as its ends see it: delay, jitter with a heavy tail, losses that block what is behind them.

use std::collections::VecDeque;
use std::time::Duration;

use aire_circuit::Progress;
use aire_types::Time;

use crate::fake::Random;

/// What the network does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// Round trip without jitter, microseconds.
    pub(crate) rtt_us: u64,
    /// Spread of the jitter, share of the round trip.
    pub(crate) jitter: f64,
    /// How many packets are hit by a Pareto spike.
    pub(crate) spikes: f64,
    /// Its exponent: the lower the heavier.
    pub(crate) tail: f64,
    /// Packets lost, each way.
    pub(crate) loss: f64,
}

impl Weather {
    pub(crate) fn calm(rtt_ms: u64) -> Self {
        Weather { rtt_us: rtt_ms * 1000, jitter: 0.01, spikes: 0.0, tail: 2.0, loss: 0.0 }
    }
}

#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) weather: Weather,
    pub(crate) dead: bool,
    /// Packets sent again on the way out.
    pub(crate) retransmitted: u64,
    /// All packets on the way out.
    pub(crate) transmitted: u64,
    random: Random,
    sent: VecDeque<u64>,
    acked: u64,
    received: u64,
    /// When each of the messages on the way arrives, in order.
    arrivals: VecDeque<u64>,
    last_arrival: u64,
    flush: Option<u64>,
    newest_at: u64,
    /// On the way back: arrival, messages covered, delay.
    acks: VecDeque<(u64, u64, u64)>,
    last_ack: u64,
}

impl Channel {
    pub(crate) fn new(weather: Weather, seed: u64) -> Self {
        Channel {
            weather,
            dead: false,
            retransmitted: 0,
            transmitted: 0,
            random: Random(seed),
            sent: VecDeque::new(),
            acked: 0,
            received: 0,
            arrivals: VecDeque::new(),
            last_arrival: 0,
            flush: None,
            newest_at: 0,
            acks: VecDeque::new(),
            last_ack: 0,
        }
    }

    fn one_way(&mut self, out: bool) -> u64 {
        let weather = self.weather;
        let half = weather.rtt_us as f64 / 2.0;
        let mut delay = half * (1.0 + (weather.jitter * self.random.gauss()).abs());
        if self.random.chance(weather.spikes) {
            let pareto = (1.0 - self.random.unit()).powf(-1.0 / weather.tail) - 1.0;
            delay += half * 0.2 * pareto.min(20.0);
        }
        self.transmitted += u64::from(out);
        // Found out by the acknowledgement of a later packet (RACK); if it is lost again, by a timeout.
        let mut recovery = 1.25 * weather.rtt_us as f64 + 10_000.0;
        while self.random.chance(weather.loss) {
            self.retransmitted += u64::from(out);
            self.transmitted += u64::from(out);
            delay += recovery;
            recovery = if recovery < 200_000.0 { 200_000.0 + weather.rtt_us as f64 } else { recovery * 2.0 };
        }
        delay as u64
    }

    /// Sends a message; true when nothing was outstanding before.
    pub(crate) fn send(&mut self, now: Time) -> bool {
        let first = self.sent.is_empty();
        self.sent.push_back(now.as_micros());
        let at = if self.dead { u64::MAX } else { now.as_micros() + self.one_way(true) };
        self.last_arrival = self.last_arrival.max(at);
        self.arrivals.push_back(self.last_arrival);
        first
    }

    pub(crate) fn outstanding_since(&self) -> Option<Time> {
        self.sent.front().map(|at| Time::from_micros(*at))
    }

    /// Packets vanish from now on.
    pub(crate) fn kill(&mut self, now: Time) {
        self.dead = true;
        self.arrivals.iter_mut().filter(|at| **at > now.as_micros()).for_each(|at| *at = u64::MAX);
        self.acks.retain(|(at, ..)| *at <= now.as_micros());
        self.last_arrival = self.arrivals.back().copied().unwrap_or(0);
    }

    /// TCP sends everything again.
    pub(crate) fn revive(&mut self, now: Time) {
        self.dead = false;
        let at = now.as_micros() + 300_000 + self.weather.rtt_us / 2;
        self.arrivals.iter_mut().filter(|arrival| **arrival == u64::MAX).for_each(|arrival| *arrival = at);
        self.last_arrival = self.arrivals.back().copied().unwrap_or(0);
        if self.received > self.acked {
            self.flush = Some(at);
        }
    }

    pub(crate) fn next_event(&self) -> Option<Time> {
        let times = [self.arrivals.front().copied(), self.flush, self.acks.front().map(|ack| ack.0)];
        times.into_iter().flatten().filter(|at| *at != u64::MAX).min().map(Time::from_micros)
    }

    /// All acknowledgements up to now.
    pub(crate) fn advance(&mut self, now: Time) -> Vec<Progress> {
        let mut progress = Vec::new();
        while let Some(at) = self.next_event().filter(|at| *at <= now).map(Time::as_micros) {
            if self.arrivals.front().is_some_and(|arrival| *arrival <= at) {
                self.arrivals.pop_front();
                self.received += 1;
                self.newest_at = at;
                self.flush.get_or_insert(at + 5000);
            } else if self.flush.is_some_and(|flush| flush <= at) {
                self.flush = None;
                if !self.dead {
                    let delay = self.one_way(false);
                    self.last_ack = self.last_ack.max(at + delay);
                    self.acks.push_back((self.last_ack, self.received, at - self.newest_at.min(at)));
                }
            } else if let Some((_, covered, held)) = self.acks.pop_front() {
                let mut newest = None;
                while self.acked < covered {
                    newest = self.sent.pop_front();
                    self.acked += 1;
                }
                if let Some(newest) = newest {
                    let rtt = Duration::from_micros((at - newest).saturating_sub(held));
                    let outstanding_since = self.outstanding_since();
                    progress.push(Progress { rtt: Some(rtt), outstanding_since, loaded: false });
                }
            }
        }
        progress
    }
}
