//! By how much a challenger has to win, chosen on questions of the validation part.

use aire_brain::model::{Artefact, Learned};
use aire_brain::{Margin, Policy, Rule};
use aire_types::Snapshot;

use super::dataset::Case;

/// What is tried of each constant.
const ERRORS: [f64; 5] = [0.0, 0.5, 1.0, 2.0, 3.0];
const LEAST: [f64; 2] = [0.5, 1.0];
const SHARE: [f64; 2] = [0.0, 0.03];
const PROOF: [u16; 3] = [1, 3, 8];
/// Questions that each margin is tried on.
const CASES: usize = 3000;
/// Worse than direct by more than this, relative, is harm.
const HARM: f32 = 0.1;
/// Share of decisions that may do harm, and more only where the rule does more.
const HARMED: f64 = 0.02;

/// What decisions on the validation part came to, each set alike.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Share of direct's round trips that was saved.
    pub saved: f64,
    /// Share of decisions that were more than a tenth worse than direct.
    pub harmed: f64,
    /// Share of decisions that took a relay.
    pub relayed: f64,
}

impl Verdict {
    /// What `choose` (the place of a candidate) comes to.
    fn of(cases: &[&Case], groups: usize, choose: impl Fn(&Snapshot) -> usize) -> Self {
        let mut sums = vec![Sum::default(); groups];
        for case in cases {
            let at = choose(&case.snapshot);
            let got = case.outcome(at);
            let sum = &mut sums[usize::from(case.group)];
            sum.direct += f64::from(case.direct);
            sum.got += f64::from(got);
            sum.count += 1.0;
            sum.harmed += if got > case.direct * (1.0 + HARM) { 1.0 } else { 0.0 };
            sum.relayed += if case.snapshot.candidates[at].route.path.is_direct() { 0.0 } else { 1.0 };
        }
        sums.retain(|sum| sum.count > 0.0);
        let each = |of: fn(&Sum) -> f64| sums.iter().map(of).sum::<f64>() / sums.len().max(1) as f64;
        Verdict {
            saved: each(|sum| 1.0 - sum.got / sum.direct),
            harmed: each(|sum| sum.harmed / sum.count),
            relayed: each(|sum| sum.relayed / sum.count),
        }
    }
}

/// Over the decisions of one set.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    direct: f64,
    got: f64,
    count: f64,
    harmed: f64,
    relayed: f64,
}

/// The chosen margin with what it comes to, beside the rule and an untrained model with the margin that suits it best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen {
    /// What the artefact gets.
    pub margin: Margin,
    /// The model with it.
    pub model: Verdict,
    /// The rule.
    pub rule: Verdict,
    /// The rule's figures with the margin that suits them best, and that margin.
    pub untrained: (Verdict, Margin),
}

/// Tries all margins for `artefact` on `cases`, which come from `groups` sets.
pub fn choose(artefact: &Artefact, cases: &[Case], groups: usize) -> Chosen {
    let cases = judged(artefact, cases);
    let cases = cases.as_slice();
    let rule = Verdict::of(cases, groups, |snapshot| {
        let ranked = Rule::default().rank(snapshot);
        ranked.first().and_then(|first| place(snapshot, &first.route)).unwrap_or(0)
    });
    let most = HARMED.max(rule.harmed);
    let (model, margin) = best(artefact, cases, groups, most);
    let untrained = best(&Artefact::untrained("none"), cases, groups, most);
    Chosen { margin, model, rule, untrained }
}

/// The questions that all margins and the rule are tried on: those where it is known what the margin that moves soonest would
/// have got, as many as are needed.
fn judged<'a>(artefact: &Artefact, cases: &'a [Case]) -> Vec<&'a Case> {
    let margin =
        Margin { errors: ERRORS[0], least: LEAST[0], share: SHARE[0], proof: PROOF[0], ..Margin::default() };
    let learned = Learned::new(Artefact { margin, ..artefact.clone() });
    let known = |case: &&Case| !case.outcomes[choice(&learned, &case.snapshot)].is_nan();
    let known: Vec<&Case> = cases.iter().filter(known).collect();
    let step = known.len().div_ceil(CASES).max(1);
    known.into_iter().step_by(step).collect()
}

/// The place of the candidate that a model takes.
fn choice(learned: &Learned, snapshot: &Snapshot) -> usize {
    let chosen = learned.choice(snapshot).map(|(route, _)| route);
    let route = chosen.or_else(|| learned.rule_choice(snapshot));
    route.and_then(|route| place(snapshot, &route)).unwrap_or(0)
}

fn best(artefact: &Artefact, cases: &[&Case], groups: usize, most: f64) -> (Verdict, Margin) {
    let mut best: Option<(Verdict, Margin)> = None;
    for margin in grid() {
        let learned = Learned::new(Artefact { margin, ..artefact.clone() });
        let verdict = Verdict::of(cases, groups, |snapshot| choice(&learned, snapshot));
        let better = match &best {
            None => true,
            Some((before, _)) => {
                let (sound, was_sound) = (verdict.harmed <= most, before.harmed <= most);
                match (sound, was_sound) {
                    (true, true) => verdict.saved > before.saved,
                    (false, false) => verdict.harmed < before.harmed,
                    (sound, _) => sound,
                }
            }
        };
        if better {
            best = Some((verdict, margin));
        }
    }
    best.unwrap_or_default()
}

fn grid() -> impl Iterator<Item = Margin> {
    let errors = ERRORS.into_iter().flat_map(|errors| LEAST.map(|least| (errors, least)));
    let all = errors.flat_map(|(errors, least)| SHARE.map(|share| (errors, least, share)));
    all.flat_map(|(errors, least, share)| {
        PROOF.map(|proof| Margin { errors, least, share, proof, ..Margin::default() })
    })
}

fn place(snapshot: &Snapshot, route: &aire_types::RouteId) -> Option<usize> {
    snapshot.candidates.iter().position(|candidate| candidate.route == *route)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::{Dataset, Plan};

    #[test]
    fn every_margin_is_tried_on_the_same_questions() {
        let plan = Plan { questions: 600, synthetic: 1, nodes: 12, ..Plan::default() };
        let mut cases = Dataset::gather(&[], None, &plan, |_| ()).cases;
        cases.retain(|case| case.snapshot.candidates.len() > 1);
        for (number, case) in cases.iter_mut().enumerate() {
            (case.group, case.direct) = (0, 100.0);
            case.outcomes.fill(50.0);
            case.outcomes[1] = if number % 2 == 0 { f32::NAN } else { 50.0 };
        }
        cases.truncate(cases.len() / 2 * 2);
        let all: Vec<&Case> = cases.iter().collect();
        let verdict = Verdict::of(&all, 1, |_| 1);
        assert!((verdict.saved - 0.25).abs() < 1e-9, "what is unknown is direct: {verdict:?}");

        let artefact = Artefact::untrained("none");
        let before = judged(&artefact, &cases).len();
        cases.iter_mut().for_each(|case| case.outcomes.fill(f32::NAN));
        assert!(before > 0 && judged(&artefact, &cases).is_empty());
    }
}
