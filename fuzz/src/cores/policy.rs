//! Verdicts: any question, under policies that come and go, with and without the cache.

use aire_policy::{Action, Policies, PolicySet, Request, RiskBand, STARTER, VerdictCache};
use aire_types::{Identity, Role};

use super::choices::Choices;

const TEXTS: [&str; 6] = [
    STARTER,
    "permit(principal == App::\"d\", action == Action::\"connect\", resource == App::\"b\");",
    "permit(principal, action, resource) when { context.risk < 300 };",
    "forbid(principal, action, resource) when { principal.node == \"r1\" };",
    "permit(principal, action == Action::\"relay\", resource) when { context.destination == App::\"d\" };",
    "permit(principal, action == Action::\"connect\", resource) unless { context.class == \"bulk\" };",
];
const CAPACITY: usize = 4;

fn set(choices: &mut Choices<'_>) -> Option<PolicySet> {
    let chosen = choices.byte();
    let texts = TEXTS.iter().enumerate().filter(|(bit, _)| chosen >> bit & 1 == 1);
    let texts: Vec<_> = texts.map(|(number, text)| (number.to_string(), (*text).to_owned())).collect();
    let set = PolicySet::parse(&texts).expect("the texts are good");
    (chosen < 128).then_some(set)
}

fn request(choices: &mut Choices<'_>) -> Request {
    let role = if choices.chance() { Role::App(choices.app()) } else { Role::Relay };
    let mesh = "m".parse().expect("invariant: a name");
    let (node, class) = (choices.node(), choices.class());
    let action = if choices.chance() {
        Action::Connect { app: choices.app(), node, class }
    } else {
        let destination = choices.chance().then(|| choices.app());
        Action::Relay { node, destination, class }
    };
    let principal = Identity { mesh, role, node: choices.node() };
    Request { principal, action, risk: RiskBand::of(choices.float()) }
}

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut cache = VerdictCache::new(CAPACITY);
    for _ in 0..3 {
        let policies = Policies::new(set(&mut choices), set(&mut choices));
        for _ in 0..8 {
            let request = request(&mut choices);
            let verdict = policies.evaluate(&request);
            assert_eq!(*cache.authorize(&policies, &request), verdict, "{request}: the cache says otherwise");
            assert!(!verdict.allowed || !verdict.policies.is_empty(), "allowed by nothing: {request}");
            assert!(!verdict.reason.is_empty() && !verdict.reason.contains("bug"), "{}", verdict.reason);
            let alone = |set: Option<&PolicySet>| set.is_none_or(|set| set.evaluate(&request).allowed);
            let both = alone(policies.bundle()) && alone(policies.local());
            let any = policies.bundle().is_some() || policies.local().is_some();
            assert_eq!(verdict.allowed, both && any, "both sets must permit {request}");
            assert!(cache.len() <= 2 * CAPACITY);
            if choices.is_empty() {
                return;
            }
        }
    }
}
