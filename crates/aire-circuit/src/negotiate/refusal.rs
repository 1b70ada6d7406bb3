use aire_types::{NodeName, Time};
use aire_wire::{CircuitClose, CircuitId, Message, Refusal, RefusalCode};

use super::circuits::Circuits;
use crate::crypto::Crypto;

impl<C: Crypto> Circuits<C> {
    pub(super) fn handle_refusal(&mut self, from: &NodeName, refusal: Refusal) {
        let circuit = refusal.circuit;
        if let Some(own) = self.own.get(&circuit) {
            if own.first_hop() == from {
                self.refused_to_me(from, refusal);
            }
            return;
        }
        if self.pending.get(circuit).is_none_or(|pending| pending.next != *from) {
            return;
        }
        let Some(pending) = self.pending.remove(circuit) else { return };
        if self.leases.get(circuit).is_none() {
            self.pending.end(circuit);
        }
        self.send(&pending.previous, Message::CircuitRefusal(refusal));
    }

    fn refused_to_me(&mut self, from: &NodeName, refusal: Refusal) {
        let Refusal { circuit, ref by, code, ref reason, .. } = refusal;
        let forged = self.own.get(&circuit).is_some_and(|own| {
            *by == own.want.destination
                && by != from
                && matches!(code, RefusalCode::Policy | RefusalCode::NoSuchApp)
                && !own.asking.as_ref().is_some_and(|asking| self.is_signed(&refusal, &asking.request_hash))
        });
        if !forged {
            return self.asking_failed(circuit, by.clone(), code, reason.clone(), false);
        }
        // Somebody on the way speaks for the destination: what it says counts as its own.
        let why = format!("a refusal in the name of {by} that {by} did not sign");
        self.reject(from, Some(circuit), why.clone());
        self.asking_failed(circuit, from.clone(), code, why, false);
    }

    fn is_signed(&self, refusal: &Refusal, request_hash: &[u8; 32]) -> bool {
        let message = Refusal::signed(refusal.code, request_hash);
        let signer = self.crypto.verify(&refusal.certificates, &message, &refusal.signature);
        signer.is_ok_and(|signer| signer.mesh == self.config.mesh && signer.node == refusal.by)
    }

    /// There is no link to `to`, or it broke: what waits for an answer from there will not get it.
    pub fn handle_unreachable(&mut self, to: &NodeName) {
        let mine: Vec<CircuitId> = self
            .own
            .iter()
            .filter(|(_, own)| own.asking.is_some() && own.first_hop() == to)
            .map(|(circuit, _)| *circuit)
            .collect();
        for circuit in mine {
            self.asking_failed(circuit, to.clone(), RefusalCode::NoRoute, format!("no link to {to}"), false);
        }
        let relayed: Vec<CircuitId> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.next == *to)
            .map(|(circuit, _)| circuit)
            .collect();
        for circuit in relayed {
            self.give_up(circuit, &format!("no link to {to}"));
        }
    }

    pub(super) fn time_out_pending(&mut self, now: Time) {
        let late: Vec<CircuitId> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.deadline <= now)
            .map(|(circuit, _)| circuit)
            .collect();
        for circuit in late {
            self.give_up(circuit, "the next hop did not answer");
        }
    }

    fn give_up(&mut self, circuit: CircuitId, reason: &str) {
        let Some(pending) = self.pending.remove(circuit) else { return };
        self.send_refusal(&pending.previous, circuit, RefusalCode::NoRoute, reason);
        if self.leases.get(circuit).is_none() {
            self.pending.end(circuit);
            self.send_close(&pending.next, circuit, CircuitClose::Unwanted, reason);
        }
    }
}
