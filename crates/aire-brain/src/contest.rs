//! The contest between the path in use and its challengers: rule and model differ in the figures alone.

use aire_types::{Candidate, Gains, Ranked, RouteId, Snapshot};

use crate::cost::{Scorer, Terms};

/// By how much and after how much proof a challenger must win. The default is the rule's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margin {
    /// Standard errors of the difference that a gain must exceed.
    pub errors: f64,
    /// The least gain, in units of the class's margin.
    pub least: f64,
    /// The least gain, as a share of the round trip that is left.
    pub share: f64,
    /// Share of the margin that suffices to go back to direct, the safe direction.
    pub homing: f64,
    /// Round trips that a challenger must have answered.
    pub proof: u16,
}

impl Default for Margin {
    fn default() -> Self {
        Margin { errors: 3.0, least: 1.0, share: 0.0, homing: 0.4, proof: 8 }
    }
}

/// A challenger replaces direct before it has full proof when direct has answered nothing at all.
const LITTLE_PROOF: u32 = 3;

/// A candidate that can be used, with what it costs.
#[derive(Clone, Debug)]
pub(crate) struct Scored<'a> {
    pub(crate) candidate: &'a Candidate,
    pub(crate) terms: Terms,
    /// What a model adds to the cost, milliseconds; 0 for the rule.
    pub(crate) correction: f64,
    /// How a model scales the error of the gain over direct; 1 for the rule.
    pub(crate) doubt: f64,
    pub(crate) gain: Option<Gains>,
    /// What it is ordered by, computed once.
    order: f64,
}

impl<'a> Scored<'a> {
    /// As the rule sees it.
    pub(crate) fn new(candidate: &'a Candidate, terms: Terms) -> Self {
        Scored { candidate, terms, correction: 0.0, doubt: 1.0, gain: None, order: 0.0 }
    }

    /// The expected cost.
    pub(crate) fn total(&self) -> f64 {
        self.terms.total() + self.correction
    }

    /// The cost with the doubt added: what little was measured ranks lower.
    pub(crate) fn widened(&self) -> f64 {
        self.total() + (self.terms.error * self.doubt).hypot(self.terms.loss_error)
    }

    pub(crate) fn is_direct(&self) -> bool {
        self.candidate.route.path.is_direct()
    }
}

/// All candidates that can be used, as the rule sees them.
pub(crate) fn scored<'a>(snapshot: &'a Snapshot, scorer: &Scorer<'_>) -> Vec<Scored<'a>> {
    let open = snapshot.candidates.iter().filter(|candidate| candidate.ineligible.is_none());
    let mut scored = Vec::with_capacity(snapshot.candidates.len());
    scored.extend(open.map(|candidate| Scored::new(candidate, scorer.terms(candidate))));
    scored
}

/// Do most of the measured candidates miss answers at this moment?
pub(crate) fn fault_is_near(scored: &[Scored<'_>]) -> bool {
    let measured = scored.iter().filter(|s| s.candidate.rtt_ms.count > 0);
    let (mut all, mut missing) = (0, 0);
    for s in measured {
        all += 1;
        missing += usize::from(s.candidate.rtt_ms.censored);
    }
    all >= 3 && missing * 3 > all * 2
}

/// What all duels of one decision share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contest<'a> {
    pub(crate) snapshot: &'a Snapshot,
    /// The class's least gain, milliseconds.
    pub(crate) least_ms: f64,
    pub(crate) margin: &'a Margin,
}

impl<'a> Contest<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, scorer: &Scorer<'_>, margin: &'a Margin) -> Self {
        Contest { snapshot, least_ms: margin.least * scorer.weights().margin, margin }
    }

    /// The gain in milliseconds that changing from `from` to `to` must exceed.
    pub(crate) fn margin(&self, from: &Scored<'_>, to: &Scored<'_>) -> f64 {
        // doubt how lossy a path is speaks against a challenger more than for what is in use
        let loss = to.terms.loss_error.hypot(0.5 * from.terms.loss_error);
        // a model's doubt is of the pair with direct
        let (of_from, of_to) = match (from.is_direct(), to.is_direct()) {
            (true, _) => (to.doubt, to.doubt),
            (_, true) => (from.doubt, from.doubt),
            _ => (from.doubt, to.doubt),
        };
        let noise = (from.terms.error * of_from).hypot(to.terms.error * of_to).hypot(loss);
        let least = self.least_ms.max(self.margin.share * from.candidate.rtt_ms.value);
        let margin = least.max(self.margin.errors * noise);
        if to.is_direct() { self.margin.homing * margin } else { margin }
    }

    /// The index of the candidate that should be used, among `scored` (cheapest first, not empty).
    fn choose(&self, scored: &[Scored<'_>]) -> usize {
        let current = self.snapshot.current.as_ref();
        let in_use = current.and_then(|(route, _)| scored.iter().position(|s| s.candidate.route == *route));
        let incumbent = match (in_use, current) {
            (Some(index), _) => index,
            // what was in use is gone: no thinking
            (None, Some(_)) => return 0,
            (None, None) => match scored.iter().position(Scored::is_direct) {
                Some(direct) => direct,
                None => return 0,
            },
        };
        let held = in_use.is_some() && self.snapshot.at < self.snapshot.hold_until;
        if held || fault_is_near(scored) {
            return incumbent;
        }
        self.challenger(scored, incumbent).unwrap_or(incumbent)
    }

    /// The candidate whose gain over `incumbent` exceeds the margin by most.
    fn challenger(&self, scored: &[Scored<'_>], incumbent: usize) -> Option<usize> {
        let from = &scored[incumbent];
        let full = u32::from(self.margin.proof);
        let proof = if from.candidate.rtt_ms.count == 0 { LITTLE_PROOF.min(full) } else { full };
        let mut best: Option<(usize, f64)> = None;
        for (index, to) in scored.iter().enumerate() {
            if index == incumbent || to.candidate.rtt_ms.count < proof {
                continue;
            }
            let beyond = from.total() - to.total() - self.margin(from, to);
            if beyond > best.map_or(0.0, |(_, most)| most) {
                best = Some((index, beyond));
            }
        }
        best.map(|(index, _)| index)
    }

    /// Orders by cost, and puts first what should be used.
    pub(crate) fn settle(&self, scored: &mut [Scored<'_>]) {
        for one in scored.iter_mut() {
            one.order = one.widened();
        }
        scored.sort_by(|a, b| {
            a.order.total_cmp(&b.order).then_with(|| a.candidate.route.cmp(&b.candidate.route))
        });
        if !scored.is_empty() {
            let first = self.choose(scored);
            scored[..=first].rotate_right(1);
        }
    }

    /// Why the first of `ranking` is first. `find` gives the figures by which a candidate was judged.
    pub(crate) fn reason<'s>(
        &self,
        find: impl Fn(&RouteId) -> Option<Scored<'s>>,
        ranking: &[Ranked],
    ) -> String {
        let find = |ranked: &Ranked| find(&ranked.route);
        let usable = |ranked: &&Ranked| ranked.ineligible.is_none();
        let Some(first) = ranking.iter().find(usable).and_then(find) else {
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
        match find(other) {
            Some(other) => self.compare(&first, &other),
            None => chosen.path.to_string(),
        }
    }

    fn compare(&self, first: &Scored<'_>, other: &Scored<'_>) -> String {
        let (chosen, rest) = (first.candidate, other.candidate);
        if chosen.rtt_ms.count == 0 {
            return format!("{}: not measured yet, and nothing better is proven", chosen.route.path);
        }
        let margin = self.margin(other, first);
        let difference = first.total() - other.total();
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
        let proof = u32::from(self.margin.proof);
        if difference > 0.0 && rest.rtt_ms.count < proof {
            text.push_str(&format!(
                "; {} has answered only {} of {proof} times",
                rest.route.path, rest.rtt_ms.count
            ));
        } else if difference > 0.0 {
            let held = self.snapshot.at < self.snapshot.hold_until;
            text.push_str(if held { "; held after the last change" } else { "; kept" });
        }
        text
    }
}

/// The ranking of `settled` candidates, with those that cannot be used at its end.
pub(crate) fn ranking(snapshot: &Snapshot, settled: &[Scored<'_>]) -> Vec<Ranked> {
    let eligible = settled.iter().map(|s| Ranked {
        route: s.candidate.route.clone(),
        cost: s.widened(),
        gain: s.gain,
        ineligible: None,
    });
    let masked = snapshot.candidates.iter().filter(|candidate| candidate.ineligible.is_some());
    let masked = masked.map(|candidate| Ranked {
        route: candidate.route.clone(),
        cost: f64::INFINITY,
        gain: None,
        ineligible: candidate.ineligible.clone(),
    });
    let mut ranking = Vec::with_capacity(snapshot.candidates.len());
    ranking.extend(eligible.chain(masked));
    ranking
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
