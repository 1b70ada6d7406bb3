use super::Claims;

/// So many nodes are asked what they see.
const NEAREST: usize = 5;
/// Fewer landmarks in common say nothing about nearness.
const COMMON: usize = 4;

/// The nodes that see the landmarks as a new node does: what they know stands in for what it has not measured yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    nearest: Vec<(usize, f32)>,
    /// What the new node adds to what each of the nearest sees: the middle of all landmarks.
    offsets: Vec<f32>,
}

impl Transfer {
    /// Compares `seen`, the new node's own measurements of landmarks, with what each of `known` says of them.
    pub fn new(seen: &[(usize, f32)], known: impl Iterator<Item = usize>, claims: &impl Claims) -> Self {
        let mut nearest: Vec<(usize, f32)> =
            known.filter_map(|node| Some((node, distance(seen, node, claims)?))).collect();
        nearest.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        nearest.truncate(NEAREST);
        let offsets = nearest.iter().map(|(node, _)| offset(seen, *node, claims)).collect();
        Transfer { nearest, offsets }
    }

    /// What the direct leg to `to` should be; NaN where none of them knows.
    pub fn leg(&self, to: usize, claims: &impl Claims) -> f32 {
        let (mut sum, mut weights) = (0.0, 0.0);
        for ((node, distance), offset) in self.nearest.iter().zip(&self.offsets) {
            let leg = if *node == to { f32::NAN } else { claims.leg(*node, to) };
            if leg.is_finite() {
                // two per cent of distance are nearness enough
                let weight = 1.0 / (distance + 0.02);
                // no offset takes more than half of a leg
                sum += weight * (leg + offset).max(0.5 * leg);
                weights += weight;
            }
        }
        sum / weights
    }
}

/// Mean absolute logarithm of the ratio of what both measured; landmarks near one of them count like any other.
fn distance(seen: &[(usize, f32)], node: usize, claims: &impl Claims) -> Option<f32> {
    let (mut sum, mut common) = (0.0, 0);
    for (landmark, value) in seen.iter().filter(|(landmark, value)| *landmark != node && *value > 0.0) {
        let other = claims.leg(node, *landmark);
        if other > 0.0 {
            sum += ((value + 1.0) / (other + 1.0)).ln().abs();
            common += 1;
        }
    }
    (common >= COMMON).then(|| sum / common as f32)
}

/// Median of what the new node sees more than `node`.
fn offset(seen: &[(usize, f32)], node: usize, claims: &impl Claims) -> f32 {
    let others = seen.iter().map(|(landmark, value)| value - claims.leg(node, *landmark));
    let mut more: Vec<f32> = others.filter(|more| more.is_finite()).collect();
    more.sort_by(f32::total_cmp);
    more.get(more.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relays::Legs;

    #[test]
    fn a_new_node_takes_over_what_its_neighbours_see() {
        // nodes on a line; the new one stands at 50.2
        let mut legs = Legs::unknown(101);
        for i in 0..100usize {
            for j in (0..100).filter(|j| *j != i) {
                legs.set(i, j, 5.0 + i.abs_diff(j) as f32);
            }
        }
        let seen: Vec<(usize, f32)> =
            (0..100).step_by(10).map(|at| (at, 5.0 + (50.2 - at as f32).abs())).collect();
        let transfer = Transfer::new(&seen, 0..100, &legs);
        assert!(transfer.nearest.iter().all(|(node, _)| node.abs_diff(50) <= 3), "{transfer:?}");
        assert!((transfer.leg(90, &legs) - 44.8).abs() < 3.0);
        assert!(Transfer::new(&[], 0..100, &legs).leg(90, &legs).is_nan());
    }
}
