//! The built-in path choice without learning: the baseline and the fallback.

use aire_types::{Candidate, Ranked, Snapshot};

use crate::Policy;
use crate::cost::{Scorer, Terms};

/// Ranks by cost and changes only for a gain that is larger than the noise.
///
/// - What is in use stays (at the beginning: direct) unless another path is cheaper by the margin: a few
///   milliseconds, or [`Rule::errors`] standard errors of the difference where that is more.
/// - A challenger must have answered [`Rule::proof`] times, so that the minimum of many noisy numbers does not win.
/// - Nothing moves for improvement before the snapshot's `hold_until`.
/// - When what is in use cannot be used any more, the cheapest that is left is taken at once.
/// - When most paths miss answers at the same moment, the fault is near us: nothing moves.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Standard errors of the difference that a gain must exceed.
    pub errors: f64,
    /// Round trips that a challenger must have answered.
    pub proof: u32,
}

impl Default for Rule {
    fn default() -> Self {
        Rule { errors: 3.0, proof: 8 }
    }
}

/// A challenger replaces direct before it has full proof when direct has answered nothing at all.
const LITTLE_PROOF: u32 = 3;

struct Scored<'a> {
    candidate: &'a Candidate,
    terms: Terms,
}

impl Rule {
    /// The gain in milliseconds that changing from `from` to `to` must exceed.
    fn margin(&self, scorer: &Scorer<'_>, from: &Scored<'_>, to: &Scored<'_>) -> f64 {
        // doubt how lossy a path is speaks against a challenger more than for what is in use
        let loss = to.terms.loss_error.hypot(0.5 * from.terms.loss_error);
        let noise = from.terms.error.hypot(to.terms.error).hypot(loss);
        let margin = scorer.weights().margin.max(self.errors * noise);
        // back to direct is the safe direction
        if to.candidate.route.path.is_direct() { 0.4 * margin } else { margin }
    }

    /// The index of the candidate that should be used, among `scored` (eligible ones, cheapest first).
    fn choose(&self, snapshot: &Snapshot, scorer: &Scorer<'_>, scored: &[Scored<'_>]) -> usize {
        let current = snapshot.current.as_ref();
        let in_use = current.and_then(|(route, _)| scored.iter().position(|s| s.candidate.route == *route));
        let incumbent = match (in_use, current) {
            (Some(index), _) => index,
            // what was in use is gone: no thinking
            (None, Some(_)) => return 0,
            (None, None) => match scored.iter().position(|s| s.candidate.route.path.is_direct()) {
                Some(direct) => direct,
                None => return 0,
            },
        };
        let held = in_use.is_some() && snapshot.at < snapshot.hold_until;
        if held || fault_is_near(scored) {
            return incumbent;
        }
        self.challenger(scorer, scored, incumbent).unwrap_or(incumbent)
    }

    /// The candidate whose gain over `incumbent` exceeds the margin by most.
    fn challenger(&self, scorer: &Scorer<'_>, scored: &[Scored<'_>], incumbent: usize) -> Option<usize> {
        let from = &scored[incumbent];
        let proof = if from.candidate.rtt_ms.count == 0 { LITTLE_PROOF } else { self.proof };
        let mut best: Option<(usize, f64)> = None;
        for (index, to) in scored.iter().enumerate() {
            if index == incumbent || to.candidate.rtt_ms.count < proof {
                continue;
            }
            let beyond = from.terms.total() - to.terms.total() - self.margin(scorer, from, to);
            if beyond > best.map_or(0.0, |(_, most)| most) {
                best = Some((index, beyond));
            }
        }
        best.map(|(index, _)| index)
    }
}

/// Do most of the measured candidates miss answers at this moment?
fn fault_is_near(scored: &[Scored<'_>]) -> bool {
    let measured = scored.iter().filter(|s| s.candidate.rtt_ms.count > 0);
    let (mut all, mut missing) = (0, 0);
    for s in measured {
        all += 1;
        missing += usize::from(s.candidate.rtt_ms.censored);
    }
    all >= 3 && missing * 3 > all * 2
}

impl Policy for Rule {
    fn name(&self) -> &str {
        "rule"
    }

    fn rank(&self, snapshot: &Snapshot) -> Vec<Ranked> {
        let scorer = Scorer::new(snapshot);
        let mut scored: Vec<Scored<'_>> = snapshot
            .candidates
            .iter()
            .filter(|candidate| candidate.ineligible.is_none())
            .map(|candidate| Scored { candidate, terms: scorer.terms(candidate) })
            .collect();
        scored.sort_by(|a, b| {
            let by_cost = a.terms.widened().total_cmp(&b.terms.widened());
            by_cost.then_with(|| a.candidate.route.cmp(&b.candidate.route))
        });
        if !scored.is_empty() {
            let first = self.choose(snapshot, &scorer, &scored);
            scored[..=first].rotate_right(1);
        }
        let eligible = scored.iter().map(|s| Ranked {
            route: s.candidate.route.clone(),
            cost: s.terms.widened(),
            gain: None,
            ineligible: None,
        });
        let masked = snapshot.candidates.iter().filter(|candidate| candidate.ineligible.is_some());
        let masked = masked.map(|candidate| Ranked {
            route: candidate.route.clone(),
            cost: f64::INFINITY,
            gain: None,
            ineligible: candidate.ineligible.clone(),
        });
        eligible.chain(masked).collect()
    }

    fn reason(&self, snapshot: &Snapshot, ranking: &[Ranked]) -> String {
        let scorer = Scorer::new(snapshot);
        let scored = |ranked: &Ranked| {
            let candidate = snapshot.candidates.iter().find(|candidate| candidate.route == ranked.route)?;
            Some(Scored { candidate, terms: scorer.terms(candidate) })
        };
        let usable = |ranked: &&Ranked| ranked.ineligible.is_none();
        let Some(first) = ranking.iter().find(usable).and_then(scored) else {
            return nothing_left(ranking);
        };
        let chosen = &first.candidate.route;
        // a relayed path is compared with direct, direct with the best relayed one
        let other = ranking
            .iter()
            .filter(|ranked| ranked.route != *chosen)
            .find(|ranked| ranked.route.path.is_direct() != chosen.path.is_direct())
            .or_else(|| ranking.iter().find(|ranked| ranked.route != *chosen));
        let Some(other) = other else {
            return format!("{}: {}; the only way known", chosen.path, figures(&first));
        };
        let path = other.route.path.to_string();
        if let Some(why) = &other.ineligible {
            return format!("{}: {}; {path} {why}", chosen.path, figures(&first));
        }
        let Some(other) = scored(other) else { return chosen.path.to_string() };
        let margin = self.margin(&scorer, &other, &first);
        compare(&first, &other, margin, self.proof, snapshot.at < snapshot.hold_until)
    }
}

fn nothing_left(ranking: &[Ranked]) -> String {
    match ranking.first().and_then(|ranked| Some((ranked, ranked.ineligible.as_ref()?))) {
        Some((ranked, why)) => format!("no usable path: {} {why}", ranked.route.path),
        None => "no usable path: no instance is known".to_owned(),
    }
}

fn figures(scored: &Scored<'_>) -> String {
    let candidate = scored.candidate;
    if candidate.rtt_ms.count == 0 {
        return "not measured yet".to_owned();
    }
    format!("{:.0} ms, loss {:.1} %", candidate.rtt_ms.value, candidate.loss.value * 100.0)
}

fn compare(first: &Scored<'_>, other: &Scored<'_>, margin: f64, proof: u32, held: bool) -> String {
    let (chosen, rest) = (first.candidate, other.candidate);
    if chosen.rtt_ms.count == 0 {
        return format!("{}: not measured yet, and nothing better is proven", chosen.route.path);
    }
    let difference = first.terms.total() - other.terms.total();
    let sign = if difference < 0.0 { '−' } else { '+' };
    let mut text = format!(
        "{}: {:.0} ms against {:.0} ms {}; cost {sign}{:.0} ms, margin {margin:.0} ms; loss {:.1} %",
        chosen.route.path,
        chosen.rtt_ms.value,
        rest.rtt_ms.value,
        rest.route.path,
        difference.abs(),
        chosen.loss.value * 100.0,
    );
    if rest.loss.value > chosen.loss.value + 0.005 {
        text.push_str(&format!(" against {:.1} %", rest.loss.value * 100.0));
    }
    if difference > 0.0 && rest.rtt_ms.count < proof {
        text.push_str(&format!(
            "; {} has answered only {} of {proof} times",
            rest.route.path, rest.rtt_ms.count
        ));
    } else if difference > 0.0 {
        text.push_str(if held { "; held after the last change" } else { "; kept" });
    }
    text
}
