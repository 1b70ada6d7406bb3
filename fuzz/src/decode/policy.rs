//! Policy texts.

use aire_policy::{Action, PolicySet, Request, RiskBand, STARTER, Severity, check};
use aire_types::{AppName, Class, NodeName};

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let findings = check("fuzz.cedar", text);
    let is_good = findings.iter().all(|finding| finding.severity != Severity::Error);
    match PolicySet::parse(&[("fuzz.cedar".to_owned(), text.to_owned())]) {
        Ok(set) => {
            assert!(is_good, "a text is used of which the check says: {findings:?}");
            let verdict = set.evaluate(&request());
            assert!(!verdict.allowed || !set.is_empty(), "nothing permits, and yet it is allowed");
        }
        Err(errors) => assert!(!is_good, "a text is not used, and the check says nothing: {errors}"),
    }
}

fn request() -> Request {
    let app = |name| AppName::new(name).expect("invariant: a name");
    Request {
        principal: "spiffe://m/app/client/n1".parse().expect("invariant: an identity"),
        action: Action::Connect {
            app: app("echo"),
            node: NodeName::new("n2").expect("invariant: a name"),
            class: Class::Bulk,
        },
        risk: RiskBand::of(0.2),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        STARTER,
        "permit(principal == App::\"client\", action == Action::\"connect\", resource == App::\"echo\");",
        "permit(principal, action == Action::\"relay\", resource == Node::\"r2\")\n  when { context.destination == App::\"echo\" && context.risk < 300 };",
        "forbid(principal, action, resource) unless { principal.node like \"a*\" || [1, 2].contains(context.risk) };",
        "@id(\"x\") permit(principal in App::\"a\", action in [Action::\"connect\"], resource) when { if context.class == \"bulk\" then true else false };",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}
