use super::Sight;
use super::pairs::{quantile, sample};

/// So many pairs are looked at.
const PAIRS: usize = 3000;
/// A node hears of so many relays at most.
const PORTFOLIO: usize = 8;

/// What one relay gains over direct. The round trip over a relay is the sum of its legs.
#[derive(Clone, Debug, PartialEq)]
pub struct Relaying {
    /// Share of the triples (from, relay, to) in which the relay is shorter, on medians over time.
    pub triples: f64,
    /// Share of the pairs that some relay makes shorter, on medians over time.
    pub pairs: f64,
    /// Share of the pairs that some relay makes shorter by a tenth.
    pub by_a_tenth: f64,
    /// Median over pairs of the best relay's relative gain (0 where none gains).
    pub gain_median: f64,
    /// 90th percentile of it.
    pub gain_p90: f64,
    /// Share of the pairs' gain that the eight relays best for all sources together give: hubs.
    pub hubs: f64,
    /// Mean of direct, milliseconds, every frame.
    pub direct_ms: f64,
    /// Mean of the best relay or direct, chosen after the fact in every frame.
    pub clairvoyant_ms: f64,
    /// Share of the gap between the two that one relay a pair closes, chosen after the fact and kept.
    pub fixed: f64,
    /// Share that the choice by the last known frame closes; negative where it is worse than direct.
    pub last: f64,
}

impl Relaying {
    pub(super) fn of(sight: Sight<'_>, medians: &[f32]) -> Self {
        let space = Space::of(medians, sight.nodes);
        let replay = Replay::of(sight);
        let gap = replay.direct - replay.clairvoyant;
        let closed = |cost: f64| if gap > 0.0 { (replay.direct - cost) / gap } else { f64::NAN };
        Relaying {
            triples: space.triples,
            pairs: space.share(0.0),
            by_a_tenth: space.share(0.1),
            gain_median: quantile(&space.gains, 0.5),
            gain_p90: quantile(&space.gains, 0.9),
            hubs: space.hubs,
            direct_ms: replay.direct,
            clairvoyant_ms: replay.clairvoyant,
            fixed: closed(replay.fixed),
            last: closed(replay.last),
        }
    }

    pub(super) fn rows(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("triangle violations, share of triples", self.triples),
            ("pairs with a shorter relay, share", self.pairs),
            ("pairs with a relay shorter by 10 %, share", self.by_a_tenth),
            ("best relay's gain, median", self.gain_median),
            ("best relay's gain, 90th percentile", self.gain_p90),
            ("gain that the 8 best hubs give, share", self.hubs),
            ("direct, mean ms", self.direct_ms),
            ("clairvoyant relay, mean ms", self.clairvoyant_ms),
            ("gap closed by the best fixed relay", self.fixed),
            ("gap closed by the last sample", self.last),
        ]
    }
}

/// What relays gain on medians over time.
struct Space {
    triples: f64,
    gains: Vec<f64>,
    hubs: f64,
}

impl Space {
    fn of(medians: &[f32], nodes: usize) -> Self {
        let transposed = transpose(medians, nodes);
        let (mut seen, mut violated) = (0u64, 0u64);
        let mut gains = Vec::new();
        let mut by_relay = vec![0.0; nodes];
        let mut of_pairs = Vec::new();
        for (from, to) in sample(nodes, PAIRS) {
            let direct = f64::from(medians[from * nodes + to]);
            if !direct.is_finite() || direct <= 0.0 {
                continue;
            }
            let (out, back) = (&medians[from * nodes..][..nodes], &transposed[to * nodes..][..nodes]);
            let relays = (0..nodes).filter(|relay| *relay != from && *relay != to);
            let legs: Vec<(usize, f64)> = relays
                .map(|relay| (relay, f64::from(out[relay] + back[relay])))
                .filter(|(_, legs)| legs.is_finite())
                .collect();
            seen += legs.len() as u64;
            violated += legs.iter().filter(|(_, legs)| *legs < direct).count() as u64;
            let best = legs.iter().map(|(_, legs)| *legs).fold(direct, f64::min);
            gains.push((direct - best) / direct);
            legs.iter().for_each(|(relay, legs)| by_relay[*relay] += (direct - legs).max(0.0));
            of_pairs.push(Pair { direct, best, legs });
        }
        gains.sort_by(f64::total_cmp);
        Space { triples: violated as f64 / seen as f64, gains, hubs: hubs(&by_relay, &of_pairs) }
    }

    fn share(&self, least: f64) -> f64 {
        self.gains.iter().filter(|gain| **gain > least).count() as f64 / self.gains.len() as f64
    }
}

/// One pair on medians over time: direct, the best relay or direct, and every relay's legs in sum.
struct Pair {
    direct: f64,
    best: f64,
    legs: Vec<(usize, f64)>,
}

/// The eight relays of the largest gains in sum, and what the best of them gives of the best relay's gain.
fn hubs(by_relay: &[f64], pairs: &[Pair]) -> f64 {
    let mut order: Vec<usize> = (0..by_relay.len()).collect();
    order.sort_by(|a, b| by_relay[*b].total_cmp(&by_relay[*a]));
    order.truncate(PORTFOLIO);
    let (mut got, mut all) = (0.0, 0.0);
    for Pair { direct, best, legs } in pairs {
        let among = legs.iter().filter(|(relay, _)| order.contains(relay)).map(|(_, legs)| *legs);
        got += direct - among.fold(*direct, f64::min);
        all += direct - best;
    }
    got / all
}

/// Means of what was paid.
struct Replay {
    direct: f64,
    clairvoyant: f64,
    fixed: f64,
    last: f64,
}

impl Replay {
    fn of(sight: Sight<'_>) -> Self {
        let nodes = sight.nodes;
        let transposed: Vec<Vec<f32>> = sight.frames.iter().map(|frame| transpose(frame, nodes)).collect();
        let mut sums = [0.0; 4];
        let mut count = 0u64;
        let mut via = vec![0.0f32; nodes];
        for (from, to) in sample(nodes, PAIRS) {
            let mut over_time = vec![0.0f64; nodes];
            let (mut pair_direct, mut pair_count) = (0.0, 0u64);
            let mut chosen = Vec::with_capacity(sight.frames.len());
            for (at, frame) in sight.frames.iter().enumerate() {
                let direct = frame[from * nodes + to];
                let (out, back) = (&frame[from * nodes..][..nodes], &transposed[at][to * nodes..][..nodes]);
                for relay in 0..nodes {
                    let legs = out[relay] + back[relay];
                    via[relay] =
                        if relay == from || relay == to || !legs.is_finite() { direct } else { legs };
                }
                let best = (0..nodes).min_by(|a, b| via[*a].total_cmp(&via[*b])).unwrap_or(from);
                chosen.push(if direct.is_finite() { best } else { from });
                if !direct.is_finite() || at < sight.score_gap {
                    continue;
                }
                sums[1] += f64::from(via[best].min(direct));
                sums[3] += f64::from(via[chosen[at - sight.score_gap]]);
                pair_direct += f64::from(direct);
                pair_count += 1;
                over_time.iter_mut().zip(&via).for_each(|(sum, cost)| *sum += f64::from(*cost));
            }
            sums[0] += pair_direct;
            sums[2] += over_time.iter().copied().fold(pair_direct, f64::min);
            count += pair_count;
        }
        let [direct, clairvoyant, fixed, last] = sums.map(|sum| sum / count as f64);
        Replay { direct, clairvoyant, fixed, last }
    }
}

fn transpose(matrix: &[f32], nodes: usize) -> Vec<f32> {
    (0..nodes * nodes).map(|at| matrix[(at % nodes) * nodes + at / nodes]).collect()
}
