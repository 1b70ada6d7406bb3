//! What a node tells the others of its own legs.

use super::{Claims, Scout};

/// Relays that serve the node itself well, and what it says of them is looked for by others.
const FAVOURITES: usize = 16;
/// A leg that was never told is told before any that was, whatever changed.
const NEWS: f32 = 10.0;
/// A factor of e in a value counts as much as so many rounds without a word.
const CHANGE: f32 = 16.0;

impl Scout {
    /// Up to `most` own legs with their forecasts, what is news first: never told by either end, then what changed or was told
    /// long ago; among equals legs to `landmarks`, then to relays that serve the node itself. They count as told now.
    pub fn tell(&mut self, landmarks: &[usize], most: usize, claims: &impl Claims) -> Vec<(usize, f32)> {
        let legs = self.news(landmarks, most, claims);
        legs.iter().for_each(|(to, leg)| self.mark_told(*to, *leg));
        legs
    }

    /// The others were told that the own leg to `to` takes `leg`.
    pub fn mark_told(&mut self, to: usize, leg: f32) {
        self.told.resize(self.forecasts.len(), (f32::NAN, 0));
        self.told[to] = (leg, self.round);
    }

    /// What [`Scout::tell`] tells, where it is not sure yet that all of it will be told.
    pub fn news(&mut self, landmarks: &[usize], most: usize, claims: &impl Claims) -> Vec<(usize, f32)> {
        let nodes = self.forecasts.len();
        self.told.resize(nodes, (f32::NAN, 0));
        let mut rank = vec![0.0f32; nodes];
        self.favourites(FAVOURITES).into_iter().for_each(|relay| rank[relay] = 1.0);
        landmarks.iter().filter(|relay| **relay < nodes).for_each(|relay| rank[*relay] = 2.0);
        let news = |to: usize| {
            let (told, round) = self.told[to];
            if told.is_nan() {
                // the other end may have told it already
                let heard = claims.leg(to, self.me).is_finite();
                return rank[to] + if heard { 0.5 } else { NEWS };
            }
            let change = (self.forecasts[to] / told).ln().abs() * CHANGE;
            let age = self.round.saturating_sub(round) as f32 / 4.0;
            (change + age) * (1.0 + rank[to]) / NEWS
        };
        // equals go in turns, and not every node begins with the same
        let turn = |to: usize| (to + nodes - self.turn % nodes.max(1)) % nodes.max(1);
        let mut order: Vec<(f32, usize, usize)> = (0..nodes)
            .filter(|to| self.forecasts[*to].is_finite() && self.row.measured(*to))
            .map(|to| (news(to), turn(to), to))
            .collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        order.truncate(most);
        self.turn += most;
        order.into_iter().map(|(_, _, to)| (to, self.forecasts[to])).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::relays::{Join, Legs, Scout, Settings};

    #[test]
    fn every_leg_is_told_before_one_is_told_again_and_landmarks_come_first() {
        let mut scout = Scout::new(0, 40, 1, Join::Sum, Settings::default(), 1);
        let direct: Vec<f32> = (0..40).map(|to| if to == 0 { f32::NAN } else { 10.0 + to as f32 }).collect();
        let legs = Legs::unknown(40);
        scout.observe(0, &direct, &[], &legs);
        let first = scout.tell(&[7, 8], 20, &legs);
        assert!(first.iter().any(|(to, _)| *to == 7) && first.iter().any(|(to, _)| *to == 8));
        scout.observe(1, &direct, &[], &legs);
        let mut told: Vec<usize> = scout.tell(&[7, 8], 19, &legs).iter().map(|(to, _)| *to).collect();
        told.extend(first.iter().map(|(to, _)| *to));
        told.sort_unstable();
        assert_eq!(told, (1..40).collect::<Vec<_>>());
    }
}
