use std::time::Duration;

use aire_types::{Estimate, Source, Time};

use super::{Bandwidth, Loss, Rtt, Sample, millis};

/// Evidence older than this gives way to newer evidence of another source.
const FRESH: Duration = Duration::from_secs(30);
/// So many packets of payload outweigh what probes say of loss.
const PLENTY: f64 = 20.0;

/// What one source says of a path.
#[derive(Clone, Debug)]
struct Witness {
    rtt: Rtt,
    loss: Loss,
    bandwidth: Bandwidth,
    waiting: Option<(Time, Duration)>,
}

/// Who has said nothing.
static SILENT: Witness = Witness::new();

impl Witness {
    const fn new() -> Self {
        Witness { rtt: Rtt::new(), loss: Loss::new(), bandwidth: Bandwidth::new(), waiting: None }
    }

    fn add(&mut self, now: Time, sample: Sample) {
        match sample {
            Sample::Rtt(rtt) => {
                self.rtt.add(now, rtt);
                self.waiting = None;
            }
            Sample::Lost => {}
            Sample::Waiting(age) => self.waiting = Some((now, age)),
            Sample::Packets { sent, lost } => self.loss.add(now, sent, lost),
            Sample::Transfer { bytes, elapsed } => self.bandwidth.add(now, bytes, elapsed),
        }
    }

    fn is_fresh(&self, now: Time) -> bool {
        self.rtt.count() > 0 && now.since(self.rtt.at()) <= FRESH
    }
}

/// All that was measured of one path, by payload and by probes, and what others claim.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Of most paths there is none.
    payload: Option<Box<Witness>>,
    probe: Witness,
    claimed: Option<Box<Witness>>,
    /// Answers missing in a row.
    misses: u32,
}

/// The sum of the evidence at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Round trip, milliseconds.
    pub rtt: Estimate,
    /// Mean of the worst tenth of recent round trips, milliseconds.
    pub tail_ms: f64,
    /// Lowest of recent round trips, milliseconds.
    pub base_ms: f64,
    /// Share of packets that vanish.
    pub loss: Estimate,
    /// What one connection gets, megabits a second.
    pub bandwidth: Estimate,
}

impl Default for Evidence {
    fn default() -> Self {
        Self::new()
    }
}

impl Evidence {
    /// Nothing was measured yet.
    pub fn new() -> Self {
        Evidence { payload: None, probe: Witness::new(), claimed: None, misses: 0 }
    }

    fn payload(&self) -> &Witness {
        self.payload.as_deref().unwrap_or(&SILENT)
    }

    fn claimed(&self) -> &Witness {
        self.claimed.as_deref().unwrap_or(&SILENT)
    }

    /// One more measurement.
    pub fn add(&mut self, now: Time, sample: Sample, source: Source) {
        let own = source != Source::Claimed;
        let witness = match source {
            Source::Payload => self.payload.get_or_insert_with(|| Box::new(Witness::new())),
            Source::Probe => &mut self.probe,
            Source::Claimed => self.claimed.get_or_insert_with(|| Box::new(Witness::new())),
        };
        witness.add(now, sample);
        match sample {
            // acknowledged payload is reported in packets, a probe is a packet of its own
            Sample::Rtt(_) if source == Source::Probe => self.probe.loss.add(now, 1, 0),
            Sample::Lost => witness.loss.add(now, 1, 1),
            _ => {}
        }
        if own && matches!(sample, Sample::Rtt(_)) {
            self.misses = 0;
        }
    }

    /// An answer is missing; whose fault that is ([`Sample::Lost`]) may be seen later.
    pub fn miss(&mut self) {
        self.misses = self.misses.saturating_add(1);
    }

    /// Forgets round trips: after an outage a path proves itself anew. Loss is remembered, it fades by itself.
    pub(crate) fn doubt(&mut self) {
        let others = [&mut self.payload, &mut self.claimed].into_iter().filter_map(|who| who.as_deref_mut());
        for witness in others.chain([&mut self.probe]) {
            witness.rtt = Rtt::new();
            witness.waiting = None;
        }
    }

    /// Forgets loss: what an outage swallowed says nothing of the time after it.
    pub(crate) fn forgive(&mut self) {
        if let Some(payload) = &mut self.payload {
            payload.loss = Loss::default();
        }
        self.probe.loss = Loss::default();
    }

    pub(crate) fn misses(&self) -> u32 {
        self.misses
    }

    /// Round trips measured by payload or probes.
    pub fn count(&self) -> u32 {
        self.payload().rtt.count().saturating_add(self.probe.rtt.count())
    }

    /// Average round trip of the source that counts, milliseconds.
    pub fn mean_ms(&self, now: Time) -> f64 {
        self.main(now).0.rtt.mean()
    }

    /// When payload or probes last gave a round trip.
    pub(crate) fn at(&self) -> Time {
        self.payload().rtt.at().max(self.probe.rtt.at())
    }

    /// Do the last probes look as if the path had become better?
    pub(crate) fn may_be_better(&self) -> bool {
        self.probe.rtt.may_be_better()
    }

    pub(crate) fn payload_at(&self) -> Option<Time> {
        let payload = self.payload.as_ref()?;
        (payload.rtt.count() > 0).then(|| payload.rtt.at())
    }

    /// After how long an answer is overdue.
    pub(crate) fn patience(&self, now: Time) -> Duration {
        self.main(now).0.rtt.patience()
    }

    /// The source that counts: payload while it is fresh, unless fresh probes look worse.
    fn main(&self, now: Time) -> (&Witness, Source) {
        let Some(witness) = self.payload.as_deref() else { return (&self.probe, Source::Probe) };
        let (payload, probe) = (&witness.rtt, &self.probe.rtt);
        let use_payload = match (witness.is_fresh(now), self.probe.is_fresh(now)) {
            (true, true) => payload.mean() >= probe.mean(),
            (true, false) => true,
            (false, true) => false,
            (false, false) => probe.count() == 0 || payload.at() > probe.at(),
        };
        if use_payload && payload.count() > 0 {
            (witness, Source::Payload)
        } else {
            (&self.probe, Source::Probe)
        }
    }

    /// Sums up. `overdue` are the ages of probes whose answers should have come: each counts as lost until it does,
    /// and the oldest as a round trip of at least its age.
    pub fn measured(&self, now: Time, overdue: u32, oldest: Option<Duration>) -> Measured {
        let (witness, source) = self.main(now);
        let mut rtt = witness.rtt.estimate(source);
        // the two sources share one count: what either has seen makes the path less unknown
        rtt.count = self.count();
        let mut measured = Measured {
            rtt,
            tail_ms: witness.rtt.tail(),
            base_ms: witness.rtt.lowest(),
            loss: self.loss(now, overdue),
            bandwidth: self.bandwidth(),
        };
        let waiting = [self.payload().waiting, self.probe.waiting]
            .into_iter()
            .flatten()
            .map(|(at, age)| age.saturating_add(now.since(at)))
            .filter(|age| *age > witness.rtt.patience())
            .chain(oldest)
            .max();
        if let Some(age) = waiting {
            censor(&mut measured, millis(age));
        }
        self.worsen(now, &mut measured);
        measured.rtt.censored |= self.misses > 0;
        measured
    }

    fn loss(&self, now: Time, overdue: u32) -> Estimate {
        let pooled = self.payload().loss.pooled(&self.probe.loss, now).estimate(now, overdue, Source::Probe);
        if self.payload().loss.count() < PLENTY {
            let probe = self.probe.loss.estimate(now, overdue, Source::Probe);
            return if probe.value > pooled.value { probe } else { pooled };
        }
        let payload = self.payload().loss.estimate(now, 0, Source::Payload);
        if payload.value > pooled.value { payload } else { pooled }
    }

    fn bandwidth(&self) -> Estimate {
        let payload = self.payload().bandwidth.estimate(Source::Payload);
        let probe = self.probe.bandwidth.estimate(Source::Probe);
        if payload.count > 0 && (probe.count == 0 || payload.at + FRESH >= probe.at) {
            payload
        } else {
            probe
        }
    }

    /// What others say may only make a measured path look worse.
    fn worsen(&self, now: Time, measured: &mut Measured) {
        let rtt = self.claimed().rtt.estimate(Source::Claimed);
        if self.claimed().is_fresh(now) && rtt.value > measured.rtt.value && measured.rtt.count > 0 {
            measured.tail_ms += rtt.value - measured.rtt.value;
            measured.rtt = Estimate { count: measured.rtt.count, ..rtt };
        }
        let loss = self.claimed().loss.estimate(now, 0, Source::Claimed);
        // claims of nobody, or of no loss, amount to the prior, which many clean packets are better than
        let lossy = loss.count > 0 && self.claimed().loss.any_lost();
        if lossy && loss.value > measured.loss.value {
            measured.loss = Estimate { count: measured.loss.count, ..loss };
        }
        let bandwidth = self.claimed().bandwidth.estimate(Source::Claimed);
        let slower = bandwidth.value < measured.bandwidth.value && now.since(bandwidth.at) <= FRESH;
        if bandwidth.count > 0 && measured.bandwidth.count > 0 && slower {
            measured.bandwidth = bandwidth;
        }
    }
}

/// A missing answer counts as one more sample of at least its age.
fn censor(measured: &mut Measured, age_ms: f64) {
    if age_ms <= measured.rtt.value {
        return;
    }
    let weight = (1.0 / f64::from(measured.rtt.count.saturating_add(1))).max(0.1);
    measured.rtt.value += weight * (age_ms - measured.rtt.value);
    measured.rtt.censored = true;
    measured.tail_ms = measured.tail_ms.max(age_ms);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rtt(ms: u64) -> Sample {
        Sample::Rtt(Duration::from_millis(ms))
    }

    fn fed(source: Source, ms: u64, until: u64) -> Evidence {
        let mut evidence = Evidence::new();
        for i in 0..until {
            evidence.add(Time::from_millis(i * 100), rtt(ms), source);
        }
        evidence
    }

    #[test]
    fn the_worse_of_payload_and_probe_counts_while_both_are_fresh() {
        let mut evidence = fed(Source::Probe, 30, 10);
        for i in 0..10 {
            evidence.add(Time::from_millis(1000 + i * 100), rtt(90), Source::Payload);
        }
        let measured = evidence.measured(Time::from_millis(2000), 0, None);
        assert!((measured.rtt.value - 90.0).abs() < 1.0 && measured.rtt.source == Source::Payload);
        evidence.add(Time::from_millis(60_000), rtt(30), Source::Probe);
        let later = evidence.measured(Time::from_millis(60_000), 0, None);
        assert!(later.rtt.value < 35.0 && later.rtt.source == Source::Probe);
    }

    #[test]
    fn a_claim_makes_a_path_worse_and_never_better_or_known() {
        let mut evidence = fed(Source::Claimed, 200, 5);
        assert_eq!(evidence.measured(Time::from_millis(500), 0, None).rtt.count, 0);
        for i in 0..5 {
            evidence.add(Time::from_millis(500 + i * 100), rtt(50), Source::Probe);
        }
        assert!(evidence.measured(Time::from_millis(1000), 0, None).rtt.value > 190.0);
        let mut flattered = fed(Source::Probe, 50, 10);
        flattered.add(Time::from_millis(1000), rtt(1), Source::Claimed);
        assert!(flattered.measured(Time::from_millis(1000), 0, None).rtt.value > 49.0);
    }

    #[test]
    fn a_missing_answer_counts_as_at_least_its_age() {
        let evidence = fed(Source::Probe, 40, 10);
        let now = Time::from_millis(2000);
        let calm = evidence.measured(now, 0, None);
        let waiting = evidence.measured(now, 1, Some(Duration::from_millis(900)));
        assert!(waiting.rtt.value > calm.rtt.value && waiting.rtt.censored && waiting.tail_ms >= 899.0);
        assert!(waiting.loss.value > calm.loss.value);
    }

    #[test]
    fn clean_payload_outweighs_a_lost_probe_and_lossy_payload_clean_probes() {
        let mut evidence = fed(Source::Probe, 40, 10);
        evidence.add(Time::from_millis(1000), Sample::Lost, Source::Probe);
        evidence.add(Time::from_millis(1000), Sample::Packets { sent: 400, lost: 0 }, Source::Payload);
        assert!(evidence.measured(Time::from_millis(1000), 0, None).loss.value < 0.005);
        let mut lossy = fed(Source::Probe, 40, 10);
        lossy.add(Time::from_millis(1000), Sample::Packets { sent: 400, lost: 12 }, Source::Payload);
        assert!(lossy.measured(Time::from_millis(1000), 0, None).loss.value > 0.028);
    }

    #[test]
    fn clean_packets_are_clean_where_nobody_claims_a_loss() {
        let mut evidence = fed(Source::Probe, 40, 10);
        let now = Time::from_millis(1000);
        evidence.add(now, Sample::Packets { sent: 500, lost: 0 }, Source::Payload);
        assert!(evidence.measured(now, 0, None).loss.value < 1e-4);
        evidence.add(now, Sample::Packets { sent: 2, lost: 0 }, Source::Claimed);
        evidence.add(now, rtt(40), Source::Claimed);
        assert!(evidence.measured(now, 0, None).loss.value < 1e-4);
        evidence.add(now, Sample::Packets { sent: 98, lost: 5 }, Source::Claimed);
        assert!(evidence.measured(now, 0, None).loss.value > 0.04);
    }

    #[test]
    fn a_path_that_was_left_proves_itself_anew() {
        let mut evidence = fed(Source::Probe, 40, 10);
        evidence.add(Time::from_millis(1000), Sample::Lost, Source::Probe);
        evidence.doubt();
        assert_eq!(evidence.count(), 0);
        assert!(evidence.measured(Time::from_millis(1000), 0, None).loss.value > 0.02);
    }
}
