use std::collections::BTreeMap;
use std::time::Duration;

use aire_brain::Sample;
use aire_trace::{Choice, Delays, Observation, Origin, Packets, Record, Transfer};
use aire_types::{NodeName, Path, Time};

/// More paths than this are not recorded in one span.
const PATHS: usize = 2048;
/// More choices than this are not recorded in one span.
const CHOICES: usize = 512;
/// So many round trips of a path are kept for its quantiles.
const KEPT: usize = 64;

/// What was measured and decided since the last record.
#[derive(Debug)]
pub(crate) struct Window {
    since: Time,
    paths: BTreeMap<(NodeName, Path, Origin), Gathered>,
    choices: Vec<Choice>,
}

/// Measurements of one path.
#[derive(Clone, Debug)]
struct Gathered {
    count: u32,
    sum_us: u64,
    least_us: u32,
    most_us: u32,
    /// Every `stride`-th round trip.
    kept: Vec<u32>,
    stride: u32,
    missed: u32,
    missed_us: u32,
    packets: Packets,
    transfer: Transfer,
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

impl Window {
    pub(crate) fn new(now: Time) -> Self {
        Window { since: now, paths: BTreeMap::new(), choices: Vec::new() }
    }

    /// Something was measured on the path to `node`.
    pub(crate) fn measured(&mut self, node: &NodeName, path: &Path, origin: Origin, sample: Sample) {
        let key = (node.clone(), path.clone(), origin);
        if self.paths.len() >= PATHS && !self.paths.contains_key(&key) {
            return;
        }
        self.paths.entry(key).or_insert_with(Gathered::new).add(sample);
    }

    /// An answer that was waited for so long did not come.
    pub(crate) fn missed(&mut self, node: &NodeName, path: &Path, origin: Origin, after: Duration) {
        self.measured(node, path, origin, Sample::Waiting(after));
        self.measured(node, path, origin, Sample::Lost);
    }

    pub(crate) fn chosen(&mut self, choice: Choice) {
        if self.choices.len() < CHOICES {
            self.choices.push(choice);
        }
    }

    /// All that was gathered, as records of `from`; the next span begins.
    pub(crate) fn take(
        &mut self,
        now: Time,
        now_ms: u64,
        from: &NodeName,
        load: impl Fn(&NodeName, &Path) -> Option<f64>,
    ) -> Vec<Record> {
        let span_ms = u32::try_from(now.since(self.since).as_millis()).unwrap_or(u32::MAX);
        let window = std::mem::replace(self, Window::new(now));
        let observed = window.paths.into_iter().map(|((to, path, origin), gathered)| {
            let load = load(&to, &path).map(|load| load as f32);
            let (from, delays) = (from.clone(), gathered.delays());
            let Gathered { missed, missed_us, packets, transfer, .. } = gathered;
            let at_ms = now_ms;
            Record::Observation(Observation {
                at_ms,
                span_ms,
                from,
                to,
                path,
                origin,
                delays,
                missed,
                missed_us,
                packets,
                transfer,
                load,
            })
        });
        observed.chain(window.choices.into_iter().map(Record::Choice)).collect()
    }
}

impl Gathered {
    fn new() -> Self {
        Gathered {
            count: 0,
            sum_us: 0,
            least_us: u32::MAX,
            most_us: 0,
            kept: Vec::new(),
            stride: 1,
            missed: 0,
            missed_us: 0,
            packets: Packets::default(),
            transfer: Transfer::default(),
        }
    }

    fn add(&mut self, sample: Sample) {
        match sample {
            Sample::Rtt(rtt) => self.add_rtt(micros(rtt)),
            Sample::Lost => self.missed = self.missed.saturating_add(1),
            Sample::Waiting(age) => self.missed_us = self.missed_us.max(micros(age)),
            Sample::Packets { sent, lost } => {
                self.packets.sent += u64::from(sent);
                self.packets.lost += u64::from(lost);
            }
            Sample::Transfer { bytes, elapsed } => {
                self.transfer.bytes = self.transfer.bytes.saturating_add(bytes);
                self.transfer.elapsed_us += u64::from(micros(elapsed));
            }
        }
    }

    fn add_rtt(&mut self, us: u32) {
        if self.count.is_multiple_of(self.stride) {
            if self.kept.len() == KEPT {
                let mut at = 0;
                self.kept.retain(|_| {
                    at += 1;
                    at % 2 == 1
                });
                self.stride = self.stride.saturating_mul(2);
            }
            self.kept.push(us);
        }
        self.count = self.count.saturating_add(1);
        self.sum_us += u64::from(us);
        self.least_us = self.least_us.min(us);
        self.most_us = self.most_us.max(us);
    }

    fn delays(&self) -> Option<Delays> {
        let mut sorted = self.kept.clone();
        sorted.sort_unstable();
        let at = |share: usize| sorted.get((sorted.len().max(1) - 1) * share / 100).copied();
        Some(Delays {
            count: self.count,
            mean_us: u32::try_from(self.sum_us / u64::from(self.count.max(1))).unwrap_or(u32::MAX),
            min_us: self.least_us,
            median_us: at(50)?,
            p90_us: at(90)?,
            max_us: self.most_us,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeName {
        NodeName::new(name).unwrap()
    }

    fn take(window: &mut Window) -> Vec<Observation> {
        let records = window.take(Time::from_millis(30_000), 7, &node("a"), |_, _| Some(0.5));
        let only = |record| match record {
            Record::Observation(observation) => observation,
            Record::Choice(choice) => panic!("{choice:?}"),
        };
        records.into_iter().map(only).collect()
    }

    #[test]
    fn a_span_is_one_record_a_path_and_origin() {
        let mut window = Window::new(Time::ZERO);
        for ms in 1..=100 {
            let rtt = Sample::Rtt(Duration::from_millis(ms));
            window.measured(&node("b"), &Path::DIRECT, Origin::Payload, rtt);
        }
        window.missed(&node("b"), &Path::via(node("r")), Origin::Probe, Duration::from_secs(3));
        let records = take(&mut window);
        assert_eq!(records.len(), 2);
        let delays = records[0].delays.unwrap();
        assert_eq!(
            (delays.count, delays.mean_us, delays.min_us, delays.max_us),
            (100, 50_500, 1000, 100_000)
        );
        assert!(delays.median_us.abs_diff(50_000) < 3000 && delays.p90_us.abs_diff(90_000) < 4000);
        assert_eq!((records[1].missed, records[1].missed_us, records[1].delays), (1, 3_000_000, None));
        assert_eq!((records[0].span_ms, records[0].at_ms, records[0].load), (30_000, 7, Some(0.5)));
        assert!(take(&mut window).is_empty());
    }

    #[test]
    fn what_peers_can_make_grow_is_bounded() {
        let mut window = Window::new(Time::ZERO);
        for at in 0..PATHS + 10 {
            let rtt = Sample::Rtt(Duration::from_millis(1));
            window.measured(&node(&format!("n{at}")), &Path::DIRECT, Origin::Link, rtt);
        }
        for _ in 0..100_000 {
            window.measured(&node("n1"), &Path::DIRECT, Origin::Link, Sample::Rtt(Duration::from_secs(1)));
        }
        assert!(window.paths.values().all(|gathered| gathered.kept.len() <= KEPT));
        assert_eq!(take(&mut window).len(), PATHS);
    }
}
