//! Verdicts: who may do what, and why not.

use std::sync::Arc;

use aire_policy::{Action, Policies, PolicySet, Request, RiskBand, STARTER, Verdict, VerdictCache};
use aire_types::Class;

fn set(text: &str) -> PolicySet {
    PolicySet::parse(&[("p.cedar".into(), text.into())]).expect("a good name or text")
}

fn connect(who: &str, app: &str) -> Request {
    Request {
        principal: who.parse().expect("a good name or text"),
        action: Action::Connect {
            app: app.parse().expect("a good name or text"),
            node: "n2".parse().expect("a good name or text"),
            class: Class::Interactive,
        },
        risk: RiskBand::NONE,
    }
}

fn relay(who: &str, node: &str, destination: Option<&str>) -> Request {
    Request {
        principal: who.parse().expect("a good name or text"),
        action: Action::Relay {
            node: node.parse().expect("a good name or text"),
            destination: destination.map(|app| app.parse().expect("a good name or text")),
            class: Class::Bulk,
        },
        risk: RiskBand::NONE,
    }
}

const CLIENT: &str = "spiffe://prod/app/client/n1";
const GATEWAY: &str = "spiffe://prod/relay/gw";
const PAIR: &str =
    r#"permit(principal == App::"client", action == Action::"connect", resource == App::"echo");"#;

#[test]
fn the_first_pair() {
    let set = set(PAIR);
    let verdict = set.evaluate(&connect(CLIENT, "echo"));
    assert_eq!(
        verdict,
        Verdict {
            allowed: true,
            reason: "permitted by p.cedar:1".into(),
            policies: vec!["p.cedar:1".into()]
        }
    );
    for denied in [
        connect(CLIENT, "db"),
        connect("spiffe://prod/app/other/n1", "echo"),
        connect("spiffe://prod/relay/client", "echo"),
        relay(CLIENT, "echo", Some("echo")),
    ] {
        let verdict = set.evaluate(&denied);
        assert!(!verdict.allowed && verdict.policies.is_empty(), "{denied}: {verdict:?}");
        assert!(verdict.reason.contains("no policy permits"), "{verdict:?}");
    }
}

#[test]
fn the_line_in_a_denial_permits_what_was_denied() {
    for request in [
        connect(CLIENT, "db"),
        connect(GATEWAY, "db"),
        relay(CLIENT, "r2", Some("db")),
        relay(GATEWAY, "r2", None),
    ] {
        let verdict = set("").evaluate(&request);
        let line = verdict.reason.split("add: ").nth(1).unwrap();
        assert!(set(line).evaluate(&request).allowed, "{line}");
    }
}

#[test]
fn the_starter_relays_and_connects_nobody() {
    let set = set(STARTER);
    assert!(set.evaluate(&relay(CLIENT, "r2", Some("echo"))).allowed);
    assert!(set.evaluate(&relay(GATEWAY, "r2", None)).allowed);
    assert!(!set.evaluate(&connect(CLIENT, "echo")).allowed);
}

#[test]
fn forbid_overrides_permit_and_is_named() {
    let text = "permit(principal, action, resource);\n\nforbid(principal, action, resource)\nwhen { principal.node == \"n1\" };";
    let set = set(text);
    let verdict = set.evaluate(&connect(CLIENT, "echo"));
    assert_eq!((verdict.allowed, verdict.reason.as_str()), (false, "forbidden by p.cedar:3"));
    assert_eq!(verdict.policies, ["p.cedar:3"]);
    assert!(set.evaluate(&connect("spiffe://prod/app/client/n9", "echo")).allowed);
}

#[test]
fn conditions_see_the_context() {
    let holds = |condition: &str, action: &str, request: &Request| {
        let text =
            format!("permit(principal, action == Action::\"{action}\", resource) when {{ {condition} }};");
        set(&text).evaluate(request).allowed
    };
    let mut call = connect(CLIENT, "echo");
    call.risk = RiskBand::of(0.31);
    for yes in [
        "context.risk == 350",
        "context.class == \"interactive\"",
        "context.node == \"n2\"",
        "principal.node == \"n1\" && principal.mesh == \"prod\"",
        "principal is App && resource == App::\"echo\"",
    ] {
        assert!(holds(yes, "connect", &call), "{yes}");
        assert!(!holds(&format!("!({yes})"), "connect", &call), "{yes}");
    }
    let circuit = relay(CLIENT, "r2", Some("echo"));
    for yes in [
        "context.source == App::\"client\"",
        "context.destination == App::\"echo\"",
        "context.class == \"bulk\" && context.risk == 0",
        "resource == Node::\"r2\"",
    ] {
        assert!(holds(yes, "relay", &circuit), "{yes}");
        assert!(!holds(&format!("!({yes})"), "relay", &circuit), "{yes}");
    }
    let without_apps = relay(GATEWAY, "r2", None);
    assert!(holds(
        "context.source == App::\"-\" && context.destination == App::\"-\"",
        "relay",
        &without_apps
    ));
    assert!(holds("principal == Node::\"gw\" && principal.node == \"gw\"", "relay", &without_apps));
}

#[test]
fn an_app_that_calls_itself_on_another_node() {
    let set = set(
        r#"permit(principal == App::"db", action == Action::"connect", resource == App::"db") when { context.node == "n2" };"#,
    );
    assert!(set.evaluate(&connect("spiffe://prod/app/db/n1", "db")).allowed);
}

#[test]
fn a_policy_that_cannot_be_evaluated_denies() {
    let text = "permit(principal, action, resource);\nforbid(principal, action, resource) when { context.risk * 9223372036854775807 > 1 };";
    let mut request = connect(CLIENT, "echo");
    request.risk = RiskBand::of(0.5);
    let verdict = set(text).evaluate(&request);
    assert!(!verdict.allowed && verdict.reason.contains("p.cedar:2 cannot be evaluated"), "{verdict:?}");
    assert_eq!(verdict.policies, ["p.cedar:2"]);
}

#[test]
fn files_are_named_each() {
    let set = PolicySet::parse(&[
        ("a.cedar".into(), "\npermit(principal, action == Action::\"relay\", resource);".into()),
        ("b.cedar".into(), PAIR.into()),
        ("b.cedar".into(), format!("\n\n{PAIR}")),
    ])
    .unwrap();
    let verdict = set.evaluate(&connect(CLIENT, "echo"));
    assert_eq!(verdict.reason, "permitted by b.cedar:1, b.cedar:3");
}

#[test]
fn each_set_that_is_present_must_permit() {
    let all = || Some(set("permit(principal, action, resource);"));
    let none = || Some(set(""));
    let request = connect(CLIENT, "echo");
    for (bundle, local, allowed, says) in [
        (None, None, false, "no policy is loaded"),
        (all(), None, true, "permitted by"),
        (None, all(), true, "permitted by"),
        (all(), all(), true, "p.cedar:1 and by p.cedar:1"),
        (none(), all(), false, "the mesh's bundle: no policy permits"),
        (all(), none(), false, "this node's own policies: no policy permits"),
        (none(), None, false, "no policy permits"),
    ] {
        let verdict = Policies::new(bundle, local).evaluate(&request);
        assert!(verdict.allowed == allowed && verdict.reason.contains(says), "{says}: {verdict:?}");
    }
}

#[test]
fn versions_tell_texts_apart() {
    let version =
        |bundle: Option<&str>, local: Option<&str>| Policies::new(bundle.map(set), local.map(set)).version();
    let all = [
        version(None, None),
        version(Some(""), None),
        version(None, Some("")),
        version(Some(PAIR), None),
        version(Some(PAIR), Some("")),
        version(None, Some(PAIR)),
    ];
    for (i, one) in all.iter().enumerate() {
        assert_eq!(all.iter().filter(|other| *other == one).count(), 1, "{i}");
    }
    assert_eq!(version(Some(PAIR), None), version(Some(PAIR), None));
}

#[test]
fn a_cached_verdict_ends_with_its_version() {
    let mut cache = VerdictCache::new(16);
    let request = connect(CLIENT, "echo");
    let permit = Policies::new(None, Some(set(PAIR)));
    let first = cache.authorize(&permit, &request);
    let second = cache.authorize(&permit, &request);
    assert!(first.allowed && Arc::ptr_eq(&first, &second));
    assert_eq!(cache.hits_and_misses(), (1, 1));

    let deny = Policies::new(None, Some(set("")));
    assert!(!cache.authorize(&deny, &request).allowed);
    assert!(cache.authorize(&permit, &request).allowed);
    assert_eq!((cache.hits_and_misses(), cache.len()), ((1, 3), 1));
}

#[test]
fn every_part_of_a_question_is_part_of_the_key() {
    let mut cache = VerdictCache::new(16);
    let policies = Policies::new(None, Some(set("")));
    let base = connect(CLIENT, "echo");
    let mut risky = base.clone();
    risky.risk = RiskBand::of(0.9);
    let mut bulk = base.clone();
    if let Action::Connect { class, .. } = &mut bulk.action {
        *class = Class::Bulk;
    }
    let questions =
        [base, risky, bulk, connect(CLIENT, "db"), connect(GATEWAY, "echo"), relay(CLIENT, "echo", None)];
    for question in &questions {
        cache.authorize(&policies, question);
    }
    assert_eq!(cache.hits_and_misses(), (0, questions.len() as u64));
}

#[test]
fn the_cache_is_bounded_and_keeps_what_is_used() {
    let mut cache = VerdictCache::new(8);
    let policies = Policies::new(None, Some(set("")));
    let kept = connect(CLIENT, "kept");
    cache.authorize(&policies, &kept);
    for i in 0..100 {
        cache.authorize(&policies, &connect(CLIENT, &format!("app-{i}")));
        cache.authorize(&policies, &kept);
        assert!(cache.len() <= 16);
    }
    assert_eq!(cache.hits_and_misses(), (100, 101));
}
