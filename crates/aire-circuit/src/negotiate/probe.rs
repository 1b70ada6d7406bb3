use std::time::Duration;

use aire_types::{NodeName, Time};
use aire_wire::{CircuitId, Probe, ProbeKind, Towards};

use super::circuits::Circuits;
use super::config::Output;
use super::own::MAX_PROBES;
use crate::crypto::{Crypto, same_mac};

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onward<'a> {
    /// To this node.
    To(&'a NodeName),
    /// Nowhere else: the circuit ends here.
    Here,
}

impl<C: Crypto> Circuits<C> {
    /// Sends a probe along a granted circuit of this agent. It ends in [`Output::Probed`] with the number returned here
    /// after `patience` at the latest. `None` where the circuit is not granted or has 64 probes under way.
    pub fn probe(&mut self, now: Time, circuit: CircuitId, patience: Duration) -> Option<u32> {
        let own = self.own.get_mut(&circuit)?;
        let key = own.granted.as_ref().map(|granted| granted.probe_key)?;
        if own.probes.waiting.len() >= MAX_PROBES {
            return None;
        }
        own.probes.sequence = own.probes.sequence.wrapping_add(1);
        let sequence = own.probes.sequence;
        own.probes.waiting.insert(sequence, now + patience);
        let to = own.first_hop().clone();
        let mut probe = Probe {
            kind: ProbeKind::Probe,
            circuit,
            sequence,
            sent_us: now.as_micros(),
            held_us: 0,
            mac: [0; 16],
        };
        probe.mac = self.crypto.mac(&key, &probe.signed());
        self.outputs.push_back(Output::SendProbe { to, datagram: probe.encode() });
        Some(sequence)
    }

    /// A datagram of probe length arrived on the link from `from`: answered, passed on or counted. Others are dropped,
    /// as anyone who may send datagrams could send those.
    pub fn handle_datagram(&mut self, now: Time, from: &NodeName, datagram: &[u8]) {
        let Ok(probe) = Probe::decode(datagram) else { return };
        if probe.kind == ProbeKind::Echo && self.own.contains_key(&probe.circuit) {
            return self.count_echo(now, from, &probe);
        }
        let Some(held) = self.leases.get(probe.circuit) else { return };
        let to = match (probe.kind, &held.next) {
            (ProbeKind::Probe, Some(next)) if held.previous == *from => next.clone(),
            (ProbeKind::Echo, Some(next)) if next == from => held.previous.clone(),
            (ProbeKind::Probe, None) if held.previous == *from => {
                let Some(key) = held.probe_key else { return };
                let to = held.previous.clone();
                return self.answer(&key, &probe, to);
            }
            _ => return,
        };
        self.outputs.push_back(Output::SendProbe { to, datagram: probe.encode() });
    }

    /// Where an application's datagram goes that came over the link from `from`; `None` where the circuit is not held
    /// here, or does not come from there.
    pub fn onward(&self, from: &NodeName, circuit: CircuitId, towards: Towards) -> Option<Onward<'_>> {
        let held = self.leases.get(circuit)?;
        match (towards, &held.next) {
            (Towards::Destination, Some(next)) => (held.previous == *from).then_some(Onward::To(next)),
            (Towards::Destination, None) => (held.previous == *from).then_some(Onward::Here),
            (Towards::Source, Some(next)) => (next == from).then_some(Onward::To(&held.previous)),
            (Towards::Source, None) => None,
        }
    }

    fn answer(&mut self, key: &[u8; 32], probe: &Probe, to: NodeName) {
        if !same_mac(&self.crypto.mac(key, &probe.signed()), &probe.mac) {
            return;
        }
        let mut echo = Probe { kind: ProbeKind::Echo, held_us: 0, ..*probe };
        echo.mac = self.crypto.mac(key, &echo.signed());
        self.outputs.push_back(Output::SendProbe { to, datagram: echo.encode() });
    }

    fn count_echo(&mut self, now: Time, from: &NodeName, echo: &Probe) {
        let Some(own) = self.own.get_mut(&echo.circuit) else { return };
        let Some(key) = own.granted.as_ref().map(|granted| granted.probe_key) else { return };
        if own.first_hop() != from || !same_mac(&self.crypto.mac(&key, &echo.signed()), &echo.mac) {
            return;
        }
        // An echo that comes after its probe was counted as lost changes nothing any more.
        if own.probes.waiting.remove(&echo.sequence).is_none() {
            return;
        }
        let held = Duration::from_micros(echo.held_us.into());
        let rtt = now.since(Time::from_micros(echo.sent_us)).saturating_sub(held);
        let (circuit, sequence) = (echo.circuit, echo.sequence);
        self.outputs.push_back(Output::Probed { circuit, sequence, rtt: Some(rtt) });
    }

    pub(super) fn time_out_probes(&mut self, now: Time, circuit: CircuitId) {
        let Some(own) = self.own.get_mut(&circuit) else { return };
        let waiting = &mut own.probes.waiting;
        let late = waiting.iter().filter(|(_, deadline)| **deadline <= now).map(|(sequence, _)| *sequence);
        for sequence in late.collect::<Vec<_>>() {
            waiting.remove(&sequence);
            self.outputs.push_back(Output::Probed { circuit, sequence, rtt: None });
        }
    }
}
