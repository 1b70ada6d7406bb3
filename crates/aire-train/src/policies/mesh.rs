//! Full mesh (RON: Andersen et al., "Resilient overlay networks", SOSP 2001): every node measures every other directly and
//! tells it; the best sum of two legs is used.

use super::table::{Own, Past, WEIGHT, best};
use crate::replay::{
    Agent, Choice, History, MOST_LEGS, Measurement, Outbox, Policy, Publication, Seat, Via, View,
};

/// Full mesh on last samples or on slow averages.
pub(super) struct Mesh {
    name: &'static str,
    weight: f32,
    past: Past,
}

impl Mesh {
    /// On last samples.
    pub(super) fn last() -> Self {
        Mesh { name: "ron", weight: 1.0, past: Past::nothing() }
    }

    /// On averages in which a new sample weighs a tenth.
    pub(super) fn average() -> Self {
        Mesh { name: "ewma", weight: WEIGHT, past: Past::nothing() }
    }
}

impl Policy for Mesh {
    fn name(&self) -> &str {
        self.name
    }

    fn learn(&mut self, history: &History) {
        self.past = Past::of(history);
    }

    fn agent<'a>(&'a self, seat: &Seat) -> Box<dyn Agent + 'a> {
        Box::new(Member {
            mesh: self,
            own: Own::new(seat, self.weight),
            next: seat.seed as usize % seat.nodes,
            told: seat.node,
            promises: Vec::with_capacity(seat.nodes),
            seat: seat.clone(),
        })
    }
}

struct Member<'a> {
    mesh: &'a Mesh,
    seat: Seat,
    own: Own,
    /// Where the next round of probes begins, where the budget is less than the mesh.
    next: usize,
    told: usize,
    promises: Vec<f32>,
}

impl Agent for Member<'_> {
    fn probe(&mut self, view: &View<'_>, outbox: &mut Outbox) {
        for _ in 0..self.seat.nodes {
            if view.present[self.next] && !outbox.send(self.next, Via::Direct) {
                return;
            }
            self.next = (self.next + 1) % self.seat.nodes;
        }
    }

    fn observe(&mut self, _view: &View<'_>, measured: &[Measurement]) {
        self.own.observe(measured);
    }

    fn decide(&mut self, view: &View<'_>, choices: &mut [Choice]) {
        let quantity = self.seat.quantity;
        for (choice, &to) in choices.iter_mut().zip(&self.seat.destinations) {
            self.own.promises(&self.mesh.past, view, to, &mut self.promises);
            let direct = self.own.direct(&self.mesh.past, to);
            let relay = best(quantity, &self.promises);
            let relay =
                relay.filter(|relay| direct.is_nan() || quantity.better(self.promises[*relay], direct));
            *choice = Choice::Path(relay.map_or(Via::Direct, Via::Relay));
        }
    }

    fn publish(&mut self, _view: &View<'_>) -> Publication {
        if self.mesh.weight == 1.0 {
            return Publication::Turns;
        }
        let values = self.own.values();
        let most = if self.seat.budget.is_some() { MOST_LEGS } else { values.len() };
        let mut legs = Vec::with_capacity(most);
        for _ in 0..values.len() {
            if legs.len() == most {
                break;
            }
            self.told = (self.told + 1) % values.len();
            if !values[self.told].is_nan() {
                legs.push((self.told, values[self.told]));
            }
        }
        Publication::These(legs)
    }
}
