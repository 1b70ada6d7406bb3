use super::{Claims, Join};

/// So many nodes stand for one of which nobody speaks.
const ALIKE: usize = 16;
/// Two measurements are alike within about this share of them.
const WIDTH: f32 = 0.3;
/// What a node is charged for a measurement that it has nothing to compare with.
const UNKNOWN: f32 = 1.0;

/// One own measurement towards a destination of which nobody speaks: over `relay` (`None`: direct), and its value; over a relay
/// the leg behind it where legs add up, else the path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sight {
    pub(super) relay: Option<usize>,
    pub(super) value: f32,
}

/// Known nodes that could be a destination of which nobody speaks, by what own measurements towards it and them gave.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Likeness {
    /// Nodes with their weights, in all 1.
    pub(super) nodes: Vec<(usize, f32)>,
}

impl Likeness {
    /// Weighs `known` nodes, each with a tie-break: by it alone where nothing was measured yet. `first` are the own legs.
    pub(super) fn new(
        sights: &[Sight],
        known: impl Iterator<Item = (usize, f32)>,
        first: &[f32],
        join: Join,
        claims: &impl Claims,
    ) -> Self {
        let mut nodes: Vec<(usize, f32)> = known
            .map(|(node, tie)| {
                let far: f32 = sights.iter().map(|sight| charge(sight, node, first, join, claims)).sum();
                (node, far + tie * 1e-3)
            })
            .collect();
        if nodes.len() > ALIKE {
            nodes.select_nth_unstable_by(ALIKE - 1, |a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
            nodes.truncate(ALIKE);
        }
        let least = nodes.iter().map(|node| node.1).fold(f32::INFINITY, f32::min);
        nodes.iter_mut().for_each(|node| node.1 = (-0.5 * (node.1 - least)).exp());
        let sum: f32 = nodes.iter().map(|node| node.1).sum();
        nodes.iter_mut().for_each(|node| node.1 /= sum);
        Likeness { nodes }
    }
}

fn charge(sight: &Sight, node: usize, first: &[f32], join: Join, claims: &impl Claims) -> f32 {
    let theirs = match (sight.relay, join) {
        (None, _) => first[node],
        (Some(relay), _) if relay == node => f32::NAN,
        (Some(relay), Join::Sum) => either(relay, node, claims),
        (Some(relay), Join::Least) => join.path(first[relay], either(relay, node, claims)),
    };
    let off = (theirs / sight.value).ln() / WIDTH;
    if off.is_finite() { off * off } else { UNKNOWN }
}

fn either(relay: usize, node: usize, claims: &impl Claims) -> f32 {
    let leg = claims.leg(relay, node);
    if leg.is_finite() { leg } else { claims.leg(node, relay) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relays::Legs;

    #[test]
    fn the_node_that_is_reached_alike_weighs_most() {
        let mut legs = Legs::unknown(40);
        for from in 0..40usize {
            (0..40)
                .filter(|to| *to != from)
                .for_each(|to| legs.set(from, to, 10.0 + from.abs_diff(to) as f32));
        }
        let first: Vec<f32> = (0..40).map(|to| legs.leg(0, to)).collect();
        let sights = [Sight { relay: None, value: 34.0 }, Sight { relay: Some(39), value: 26.0 }];
        let known = (1..40).map(|node| (node, 0.0));
        let found = Likeness::new(&sights, known, &first, Join::Sum, &legs);
        assert_eq!(found.nodes.len(), ALIKE);
        let best = found.nodes.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        assert!(best.0.abs_diff(23) <= 2, "{best:?}");
        assert!((found.nodes.iter().map(|node| node.1).sum::<f32>() - 1.0).abs() < 1e-4);
    }
}
