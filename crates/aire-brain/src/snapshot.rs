use aire_types::{Estimate, Ineligible, NodeName, Override, RouteId, Snapshot, fnv};

/// FNV-1a over words and bytes.
struct Fnv(u64);

impl Fnv {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0 = fnv::extend(self.0, bytes);
    }

    fn number(&mut self, value: u64) {
        // a word at a time: eight multiplications fewer where it matters, on every decision
        self.0 = (self.0 ^ value).wrapping_mul(fnv::PRIME);
        self.0 ^= self.0 >> 29;
    }

    fn real(&mut self, value: f64) {
        self.number(value.to_bits());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes(text.as_bytes());
    }

    fn route(&mut self, route: &RouteId) {
        self.text(route.instance.app.as_str());
        self.text(route.instance.node.as_str());
        self.nodes(route.path.relays());
    }

    fn nodes(&mut self, nodes: &[NodeName]) {
        self.number(nodes.len() as u64);
        nodes.iter().for_each(|node| self.text(node.as_str()));
    }

    fn estimate(&mut self, estimate: &Estimate) {
        self.real(estimate.value);
        self.real(estimate.deviation);
        self.number(estimate.at.as_micros());
        self.number(
            u64::from(estimate.count) << 8 | u64::from(estimate.censored) << 4 | estimate.source as u64,
        );
    }
}

fn mask_number(mask: Option<&Ineligible>) -> u64 {
    match mask {
        None => 0,
        Some(Ineligible::Unmeasured) => 1,
        Some(Ineligible::Dead) => 2,
        Some(Ineligible::Dwelling) => 3,
        Some(Ineligible::Refused(_)) => 4,
        Some(Ineligible::TooRisky) => 5,
        Some(Ineligible::Full) => 6,
        Some(Ineligible::Excluded) => 7,
    }
}

/// A hash of all that a policy can see, the same on every machine: names a snapshot in decisions and traces.
pub fn snapshot_hash(snapshot: &Snapshot) -> u64 {
    let mut fnv = Fnv(fnv::OFFSET);
    fnv.number(snapshot.at.as_micros());
    fnv.number(snapshot.class as u64 * 16 + snapshot.security as u64);
    fnv.number(u64::from(snapshot.priority.get()));
    fnv.real(snapshot.needs.bandwidth_mbps);
    fnv.real(snapshot.needs.latency_ms);
    fnv.number(snapshot.hold_until.as_micros());
    fnv.number(u64::from(snapshot.current.is_some()));
    if let Some((route, since)) = &snapshot.current {
        fnv.route(route);
        fnv.number(since.as_micros());
    }
    let Override { pin, avoid, prefer, direct_only } = &snapshot.overrides;
    fnv.nodes(prefer);
    fnv.nodes(avoid);
    fnv.number(u64::from(*direct_only) << 1 | u64::from(pin.is_some()));
    fnv.nodes(pin.as_ref().map_or(&[], |pin| pin.relays()));
    for candidate in &snapshot.candidates {
        fnv.route(&candidate.route);
        for estimate in [&candidate.rtt_ms, &candidate.loss, &candidate.bandwidth_mbps] {
            fnv.estimate(estimate);
        }
        if let Some(prior) = &candidate.prior_ms {
            fnv.estimate(prior);
        }
        for value in [candidate.tail_ms, candidate.base_ms, candidate.load, candidate.risk] {
            fnv.real(value);
        }
        let given = u64::from(candidate.prior_ms.is_some()) << 9 | u64::from(candidate.leased) << 8;
        fnv.number(given | mask_number(candidate.ineligible.as_ref()));
        if let Some(Ineligible::Refused(why)) = &candidate.ineligible {
            fnv.text(why);
        }
    }
    fnv.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples;
    use aire_types::{Class, Path, Priority, SecurityLevel, Source, Time};

    type Change = fn(&mut Snapshot);

    /// One change of each field that a policy can see.
    const CHANGES: &[Change] = &[
        |s| s.at = Time::from_millis(5),
        |s| s.class = Class::Bulk,
        |s| s.security = SecurityLevel::High,
        |s| s.needs.bandwidth_mbps = 1.0,
        |s| s.needs.latency_ms = 1.0,
        |s| s.priority = Priority::try_from(7).unwrap(),
        |s| s.overrides.pin = Some(Path::DIRECT),
        |s| s.overrides.pin = Some(s.candidates[1].route.path.clone()),
        |s| s.overrides.avoid = s.candidates[1].route.path.relays().to_vec(),
        |s| s.overrides.prefer = s.candidates[1].route.path.relays().to_vec(),
        |s| s.overrides.direct_only = true,
        |s| s.current = None,
        |s| s.current = Some((s.candidates[1].route.clone(), Time::ZERO)),
        |s| s.current = Some((s.candidates[0].route.clone(), Time::from_millis(1))),
        |s| s.hold_until = Time::from_millis(1),
        |s| drop(s.candidates.pop()),
        |s| s.candidates[1].route = s.candidates[0].route.clone(),
        |s| s.candidates[1].rtt_ms.value += 1.0,
        |s| s.candidates[1].rtt_ms.deviation += 1.0,
        |s| s.candidates[1].rtt_ms.at = Time::ZERO,
        |s| s.candidates[1].rtt_ms.count += 1,
        |s| s.candidates[1].rtt_ms.censored = true,
        |s| s.candidates[1].rtt_ms.source = Source::Payload,
        |s| s.candidates[1].tail_ms += 1.0,
        |s| s.candidates[1].base_ms += 1.0,
        |s| s.candidates[1].prior_ms = Some(Estimate::default()),
        |s| s.candidates[1].loss.value += 0.1,
        |s| s.candidates[1].bandwidth_mbps.value += 1.0,
        |s| s.candidates[1].load += 0.1,
        |s| s.candidates[1].risk += 0.1,
        |s| s.candidates[1].leased = false,
        |s| s.candidates[1].ineligible = Some(Ineligible::Dead),
        |s| s.candidates[1].ineligible = Some(Ineligible::Refused("no".to_owned())),
    ];

    #[test]
    fn the_hash_is_pinned_and_sees_every_change() {
        let snapshot = samples::snapshot(100.0, &[60.0]);
        // histories and traces name snapshots by it
        assert_eq!(snapshot_hash(&snapshot), 0x376c_3be5_2bf8_9537);
        let mut hashes = vec![snapshot_hash(&snapshot)];
        for (at, change) in CHANGES.iter().enumerate() {
            let mut changed = snapshot.clone();
            change(&mut changed);
            let hash = snapshot_hash(&changed);
            assert!(!hashes.contains(&hash), "change {at} is not seen");
            hashes.push(hash);
        }
    }
}
