//! Policies as an agent may be given them: the rule, a model that somebody trusted signed, the scouts' forecasts.

use aire_brain::model::{Artefact, Learned, Network, WEIGHTS};
use aire_brain::{HerdTuning, Margin, Policy, Rule};
use aire_types::Random;

use super::choices::Choices;

pub(super) fn any(choices: &mut Choices<'_>) -> Box<dyn Policy> {
    match choices.below(4) {
        0 => Box::new(Rule::default()),
        1 => Box::new(Learned::by_scouts()),
        2 => Box::new(Learned::in_shadow(model(choices))),
        _ => Box::new(Learned::new(model(choices))),
    }
}

/// Whatever stands in a model that can be read.
fn model(choices: &mut Choices<'_>) -> Artefact {
    let mut number = |most: f64| Some(choices.float()).filter(|value| (0.0..=most).contains(value));
    let margin = Margin {
        errors: number(100.0).unwrap_or(3.0),
        least: number(100.0).unwrap_or(1.0),
        share: number(10.0).unwrap_or_default(),
        homing: number(10.0).unwrap_or(0.4),
        proof: 0,
    };
    let herd = HerdTuning {
        pull: number(1.0).unwrap_or(0.5),
        wary: number(1.0).unwrap_or(0.5),
        push: number(1.0).unwrap_or(0.5),
        strain: number(1.0).unwrap_or_default(),
        near_ms: number(1000.0).unwrap_or_default(),
        near_share: number(1.0).unwrap_or_default(),
        load: number(100.0).unwrap_or(1.0),
        dwell: number(100.0).unwrap_or(1.0),
    };
    let margin = Margin { proof: choices.number() as u16, ..margin };
    let (mut random, scale) = (Random::new(choices.byte().into()), choices.float());
    let weights: Vec<f32> = (0..WEIGHTS).map(|_| ((random.unit() - 0.5) * scale) as f32).collect();
    let network = Network::from_weights(&weights).unwrap_or_else(Network::zero);
    let artefact = Artefact { margin, herd, network, ..Artefact::untrained("any") };
    debug_assert!(Artefact::decode(&artefact.encode()).is_ok(), "an agent would not take it");
    artefact
}
