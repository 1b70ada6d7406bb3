//! The rules, one by one, on a single registry.

use std::time::Duration;

use aire_registry::{Config, Output, Rank, Registry, VerifiedRecord};
use aire_types::{Identity, Incarnation, NodeName, Time};
use aire_wire::{DigestEntry, Message, Record, RecordBody};

fn node(name: &str) -> NodeName {
    name.parse().expect("a name")
}

fn app(name: &str) -> Identity {
    format!("spiffe://prod/app/db/{name}").parse().expect("an identity")
}

fn record(identity: &Identity, incarnation: u64, sequence: u64, zone: &str) -> VerifiedRecord {
    let mut body =
        RecordBody { addresses: vec!["192.0.2.1:7117".parse().expect("an address")], ..Default::default() };
    body.node.zone = zone.to_owned();
    body.node.relays = zone == "relay";
    let record = Record {
        certificates: identity.to_string().into_bytes(),
        incarnation: Incarnation(incarnation),
        sequence,
        ttl_s: 90,
        body: Vec::new(),
        signature: vec![0; 70],
    };
    VerifiedRecord { signer: identity.clone(), record, body }
}

fn new() -> Registry {
    Registry::new(at(0), Config::new(app("me"), Incarnation(5), 1))
}

fn at(seconds: u64) -> Time {
    Time::from_millis(seconds * 1000)
}

fn outputs(registry: &mut Registry) -> Vec<Output> {
    registry.check_invariants();
    std::iter::from_fn(|| registry.poll_output()).collect()
}

fn changed(name: &str) -> Output {
    Output::Changed { node: node(name) }
}

/// To whom records of whom were sent.
fn pushed(outputs: &[Output]) -> Vec<(String, usize)> {
    let gossip = |output: &Output| match output {
        Output::Send { to, message: Message::Gossip(records) } => Some((to.to_string(), records.len())),
        _ => None,
    };
    outputs.iter().filter_map(gossip).collect()
}

#[test]
fn the_higher_rank_stands() {
    let mut registry = new();
    let zone = |registry: &Registry| registry.member(&node("n1")).map(|m| m.body.node.zone.clone());
    for (incarnation, sequence, text, stands) in [
        (2, 5, "first", "first"),
        (2, 4, "older", "first"),
        (2, 5, "same rank", "first"),
        (1, 99, "an earlier run", "first"),
        (2, 6, "renewed", "renewed"),
        (3, 1, "a later run", "a later run"),
        (2, 7, "late", "a later run"),
    ] {
        registry.handle_record(at(1), Some(&node("x")), record(&app("n1"), incarnation, sequence, text));
        registry.check_invariants();
        assert_eq!(zone(&registry).as_deref(), Some(stands), "{text}");
    }
}

#[test]
fn a_second_copy_extends_nothing_and_the_dead_stay_dead() {
    let mut registry = new();
    registry.handle_record(at(0), None, record(&app("n1"), 1, 1, "z"));
    assert_eq!(outputs(&mut registry), [changed("n1")]);
    registry.handle_record(at(80), None, record(&app("n1"), 1, 1, "z"));
    registry.handle_timeout(at(80));
    assert!(outputs(&mut registry).contains(&Output::Suspect { node: node("n1") }));
    assert_eq!(registry.member(&node("n1")).map(|m| m.expires), Some(at(90)));
    registry.handle_timeout(at(90));
    assert_eq!(outputs(&mut registry), [Output::Removed { node: node("n1") }]);
    for late in [91, 120, 300] {
        registry.handle_record(at(late), None, record(&app("n1"), 1, 1, "z"));
        registry.handle_timeout(at(late));
        assert!(registry.member(&node("n1")).is_none());
    }
    assert!(!registry.is_news(&node("n1"), Rank { incarnation: Incarnation(1), sequence: 1 }));
    registry.handle_record(at(301), None, record(&app("n1"), 1, 2, "z"));
    assert!(registry.member(&node("n1")).is_some());
    registry.check_invariants();
}

#[test]
fn a_copy_in_its_last_third_is_not_handed_on() {
    let mut registry = new();
    registry.handle_record(at(0), None, record(&app("n1"), 1, 1, "z"));
    registry.handle_link_up(at(1), node("x"));
    outputs(&mut registry);
    registry.handle_message(at(59), &node("x"), &Message::Want(vec![node("n1"), node("unknown")]));
    assert_eq!(pushed(&outputs(&mut registry)), [("x".to_owned(), 1)]);
    registry.handle_message(at(61), &node("x"), &Message::Want(vec![node("n1")]));
    assert_eq!(pushed(&outputs(&mut registry)), []);
}

#[test]
fn what_is_refused_names_who_sent_it() {
    let mut registry = new();
    let from = node("liar");
    let stranger: Identity = "spiffe://other/app/db/n1".parse().unwrap();
    let relay: Identity = "spiffe://prod/relay/n1".parse().unwrap();
    let mut mortal = record(&app("n2"), 1, 1, "z");
    mortal.record.ttl_s = 0;
    registry.handle_record(at(0), None, record(&app("n1"), 1, 1, "z"));
    outputs(&mut registry);
    for (bad, says) in [
        (record(&stranger, 9, 9, "z"), "not of the mesh"),
        (record(&relay, 1, 2, "z"), "within one run"),
        (mortal, "zero"),
    ] {
        registry.handle_record(at(1), Some(&from), bad.clone());
        let out = outputs(&mut registry);
        let [Output::Rejected { from: Some(who), owner, why }] = out.as_slice() else { panic!("{out:?}") };
        assert!(*who == from && owner.as_ref() == Some(&bad.signer.node) && why.contains(says), "{why}");
    }
    assert_eq!(registry.member(&node("n1")).map(|m| m.rank().sequence), Some(1));
    assert!(registry.member(&node("n2")).is_none());
    registry.handle_record(at(2), Some(&from), record(&relay, 2, 1, "z"));
    assert_eq!(registry.member(&node("n1")).map(|m| m.identity.clone()), Some(relay));
}

#[test]
fn a_full_registry_keeps_whom_it_has() {
    let mut config = Config::new(app("me"), Incarnation(5), 1);
    config.max_nodes = 2;
    let mut registry = Registry::new(at(0), config);
    for i in 0..5 {
        registry.handle_record(at(1), None, record(&app(&format!("n{i}")), 1, 1, "z"));
        registry.check_invariants();
    }
    registry.handle_record(at(2), None, record(&app("n1"), 1, 2, "new"));
    let held: Vec<(&str, u64)> = registry.members().map(|m| (m.node().as_str(), m.rank().sequence)).collect();
    assert_eq!(held, [("n0", 1), ("n1", 2)]);
    assert_eq!(registry.stats().records_rejected, 3);
}

#[test]
fn news_goes_everywhere_but_where_it_came_from_and_renewals_are_announced() {
    let mut registry = new();
    ["a", "b", "c"].into_iter().for_each(|peer| registry.handle_link_up(at(0), node(peer)));
    outputs(&mut registry);
    registry.handle_record(at(1), Some(&node("a")), record(&app("n1"), 1, 1, "z"));
    registry.handle_record(at(1), Some(&node("a")), record(&app("b"), 1, 1, "z"));
    assert_eq!(pushed(&outputs(&mut registry)), [("b".to_owned(), 1), ("c".to_owned(), 2)]);

    let mut renewed = record(&app("n1"), 1, 2, "z");
    renewed.body.node.cpu_load = 0.7;
    registry.handle_record(at(2), Some(&node("a")), renewed.clone());
    registry.handle_record(at(2), Some(&node("b")), renewed);
    assert_eq!(outputs(&mut registry), [changed("n1")]);
    registry.handle_timeout(at(4));
    let entry = DigestEntry { node: node("n1"), incarnation: Incarnation(1), sequence: 2 };
    let message = Message::Digest { buckets: Vec::new(), entries: vec![entry] };
    assert_eq!(outputs(&mut registry), [Output::Send { to: node("c"), message }]);
}

#[test]
fn links_beyond_the_fanout_are_told() {
    let mut registry = new();
    (0..20).for_each(|i| registry.handle_link_up(at(0), node(&format!("p{i}"))));
    outputs(&mut registry);
    registry.handle_record(at(1), None, record(&app("n1"), 1, 1, "z"));
    assert_eq!(pushed(&outputs(&mut registry)).len(), 8);
    registry.handle_timeout(at(2));
    let told = outputs(&mut registry);
    assert!(told.iter().all(|o| matches!(o, Output::Send { message: Message::Digest { .. }, .. })));
    assert_eq!(told.len(), 12);
}

#[test]
fn what_is_announced_is_fetched_once_at_a_time() {
    let mut registry = new();
    ["a", "b"].into_iter().for_each(|peer| registry.handle_link_up(at(0), node(peer)));
    outputs(&mut registry);
    let entry = DigestEntry { node: node("n1"), incarnation: Incarnation(1), sequence: 2 };
    let announcement = Message::Digest { buckets: Vec::new(), entries: vec![entry] };
    let want = |to: &str| Output::Send { to: node(to), message: Message::Want(vec![node("n1")]) };
    registry.handle_message(at(1), &node("a"), &announcement);
    registry.handle_message(at(1), &node("b"), &announcement);
    assert_eq!(outputs(&mut registry), [want("a")]);
    // It did not answer, so another one is asked.
    registry.handle_message(at(4), &node("b"), &announcement);
    assert_eq!(outputs(&mut registry), [want("b")]);
    registry.handle_record(at(4), Some(&node("b")), record(&app("n1"), 1, 2, "z"));
    registry.handle_message(at(9), &node("a"), &announcement);
    let strangers = registry.stats().messages_sent;
    registry.handle_message(at(9), &node("no-link"), &Message::Want(vec![node("n1")]));
    assert_eq!(registry.stats().messages_sent, strangers);
    assert_eq!(outputs(&mut registry), [changed("n1")]);
}

#[test]
fn one_round_of_anti_entropy_serves_both_sides() {
    let mut registry = new();
    for (name, sequence) in [("ours", 1), ("newer-here", 7), ("newer-there", 1), ("same", 3)] {
        registry.handle_record(at(0), None, record(&app(name), 1, sequence, "z"));
    }
    outputs(&mut registry);
    let entry =
        |name: &str, sequence| DigestEntry { node: node(name), incarnation: Incarnation(1), sequence };
    let entries = vec![entry("newer-here", 6), entry("newer-there", 2), entry("same", 3), entry("theirs", 1)];
    let answer = Message::Digest { buckets: (0..=255).collect(), entries };

    // "me" < "peer", so we begin.
    registry.handle_link_up(at(1), node("peer"));
    let begun = outputs(&mut registry);
    let [Output::Send { message: Message::Summary(hashes), .. }] = begun.as_slice() else {
        panic!("{begun:?}")
    };
    registry.handle_message(at(2), &node("peer"), &answer);
    let out = outputs(&mut registry);
    let [
        Output::Send { message: Message::Want(wanted), .. },
        Output::Send { message: Message::Gossip(given), .. },
    ] = out.as_slice()
    else {
        panic!("{out:?}")
    };
    assert_eq!(*wanted, [node("newer-there"), node("theirs")]);
    let given: Vec<String> =
        given.iter().map(|r| String::from_utf8_lossy(&r.certificates).into_owned()).collect();
    assert_eq!(given, [app("newer-here").to_string(), app("ours").to_string()]);

    // Who holds the same answers nothing; who does not lists what it holds, but not at any rate.
    let mut twin = Registry::new(at(0), Config::new(app("peer"), Incarnation(5), 1));
    twin.handle_link_up(at(1), node("me"));
    twin.handle_record(at(1), None, record(&app("ours"), 1, 1, "z"));
    outputs(&mut twin);
    twin.handle_message(at(2), &node("me"), &Message::Summary(hashes.clone()));
    twin.handle_message(at(2), &node("me"), &Message::Summary(hashes.clone()));
    let listed = outputs(&mut twin);
    let [Output::Send { message: Message::Digest { buckets, entries }, .. }] = listed.as_slice() else {
        panic!("{listed:?}")
    };
    assert!(!buckets.is_empty() && buckets.len() <= 3 && entries.is_empty(), "{listed:?}");
    for (name, sequence) in [("newer-here", 7), ("newer-there", 1), ("same", 3)] {
        twin.handle_record(at(3), None, record(&app(name), 1, sequence, "z"));
    }
    outputs(&mut twin);
    twin.handle_message(at(4), &node("me"), &Message::Summary(hashes.clone()));
    assert_eq!(outputs(&mut twin), []);
}

fn signed(registry: &mut Registry, now: Time) -> Option<(u64, RecordBody)> {
    let out = outputs(registry);
    let unsigned = out.into_iter().find_map(|o| match o {
        Output::Sign(unsigned) => Some(unsigned),
        _ => None,
    })?;
    let mut verified = record(&app("me"), unsigned.rank.incarnation.0, unsigned.rank.sequence, "");
    verified.record.ttl_s = unsigned.ttl_s;
    verified.body = unsigned.body.clone();
    registry.handle_signed(now, verified);
    Some((unsigned.rank.sequence, unsigned.body))
}

#[test]
fn our_own_record_is_published_on_change_and_in_time() {
    let mut registry = new();
    let mut body = RecordBody::default();
    registry.set_own(at(0), body.clone());
    assert_eq!(signed(&mut registry, at(0)).map(|s| s.0), Some(1));
    registry.set_own(at(10), body.clone());
    body.node.cpu_load = 0.9;
    registry.set_own(at(11), body.clone());
    assert_eq!(signed(&mut registry, at(11)), None, "load waits for the renewal");
    registry.handle_timeout(at(60));
    let renewed = signed(&mut registry, at(60));
    assert_eq!(renewed, Some((2, body.clone())));
    assert_eq!(registry.own().map(|(record, _)| record.ttl_s), Some(180));

    body.draining = true;
    registry.set_own(at(70), body.clone());
    assert_eq!(signed(&mut registry, at(70)).map(|s| s.0), Some(3), "a drain does not wait");
    body.draining = false;
    registry.set_own(at(70), body.clone());
    assert_eq!(signed(&mut registry, at(70)), None, "but two changes keep a distance");
    registry.handle_timeout(at(71));
    assert_eq!(signed(&mut registry, at(71)), Some((4, body)));
    registry.handle_certificate_renewed(at(80));
    assert_eq!(signed(&mut registry, at(80)).map(|s| s.0), Some(5));
}

#[test]
fn a_relay_says_soon_how_busy_it_is_and_the_rarer_the_more_relays_there_are() {
    let mut registry = new();
    let mut body = RecordBody::default();
    body.node.relays = true;
    body.node.bandwidth_limit_mbps = 100.0;
    let carry = |registry: &mut Registry, seconds, mbps, body: &mut RecordBody| {
        body.node.bandwidth_used_mbps = mbps;
        registry.set_own(at(seconds), body.clone());
        signed(registry, at(seconds)).map(|s| s.0)
    };
    assert_eq!(carry(&mut registry, 0, 0.0, &mut body), Some(1));
    assert_eq!(carry(&mut registry, 3, 80.0, &mut body), None, "not every moment");
    assert_eq!(carry(&mut registry, 5, 80.0, &mut body), Some(2));
    assert_eq!(carry(&mut registry, 15, 90.0, &mut body), None, "about as busy as before");
    for relay in 0..80 {
        let relay = record(&app(&format!("r{relay}")), 1, 1, "relay");
        registry.handle_record(at(16), Some(&node("r0")), relay);
    }
    assert_eq!(carry(&mut registry, 20, 10.0, &mut body), None, "there are many of us");
    assert_eq!(carry(&mut registry, 26, 10.0, &mut body), Some(3));
}

#[test]
fn nobody_speaks_for_us_but_a_lost_sequence_is_made_up() {
    let mut registry = new();
    registry.set_own(at(0), RecordBody::default());
    signed(&mut registry, at(0));
    registry.handle_record(at(5), Some(&node("a")), record(&app("me"), 5, 1, "older words"));
    assert_eq!(outputs(&mut registry), []);
    registry.handle_record(at(5), Some(&node("a")), record(&app("me"), 5, 40, "our words, forgotten"));
    assert_eq!(signed(&mut registry, at(5)).map(|s| s.0), Some(41));
    assert_eq!(registry.own().map(|(_, body)| body.node.zone.as_str()), Some(""));
    registry.handle_record(at(9), Some(&node("a")), record(&app("me"), 6, 3, "a later run"));
    let rank = Rank { incarnation: Incarnation(6), sequence: 3 };
    assert_eq!(outputs(&mut registry), [Output::Outrun { rank }]);
    registry.set_incarnation(at(9), Incarnation(7));
    assert_eq!(signed(&mut registry, at(9)).map(|s| s.0), Some(1));
    assert_eq!(registry.own_rank().incarnation, Incarnation(7));
}

#[test]
fn a_cached_record_is_a_hint_and_no_more() {
    let mut registry = new();
    registry.handle_link_up(at(0), node("a"));
    outputs(&mut registry);
    registry.handle_cached(at(0), record(&app("n1"), 1, 1, "z"));
    registry.handle_cached(at(0), record(&app("n2"), 1, 1, "z"));
    assert_eq!(outputs(&mut registry), [changed("n1"), changed("n2")]);
    registry.handle_message(at(1), &node("a"), &Message::Want(vec![node("n1")]));
    assert_eq!(outputs(&mut registry), []);
    assert_eq!(registry.export().count(), 2);
    registry.handle_record(at(2), Some(&node("a")), record(&app("n1"), 1, 1, "z"));
    assert_eq!(registry.member(&node("n1")).map(|m| m.cached), Some(false));
    registry.handle_timeout(at(90));
    assert!(outputs(&mut registry).contains(&Output::Removed { node: node("n2") }));
    assert_eq!(registry.members().count(), 1);
}

#[test]
fn questions() {
    let mut registry = new();
    let db = "db".parse().unwrap();
    registry.handle_record(at(0), None, record(&app("n2"), 1, 1, "relay"));
    registry.handle_record(at(0), None, record(&app("n1"), 1, 1, "z"));
    registry.handle_record(at(0), None, record(&"spiffe://prod/relay/r1".parse().unwrap(), 1, 1, "relay"));
    let names = |found: Vec<&aire_registry::Member>| -> Vec<String> {
        found.iter().map(|member| member.node().to_string()).collect()
    };
    assert_eq!(names(registry.instances(&db).collect()), ["n1", "n2"]);
    assert_eq!(names(registry.relays().collect()), ["n2", "r1"]);
    let mut drained = record(&app("n2"), 1, 2, "relay");
    drained.body.draining = true;
    registry.handle_record(at(1), None, drained);
    assert_eq!(names(registry.instances(&db).collect()), ["n1"]);
    assert_eq!(names(registry.relays().collect()), ["r1"]);
    assert_eq!(names(registry.members().collect()), ["n1", "n2", "r1"]);
    registry.handle_link_up(at(2), node("r1"));
    outputs(&mut registry);
    registry.handle_link_down(at(3), &node("r1"));
    assert_eq!(outputs(&mut registry), [Output::Suspect { node: node("r1") }]);
    assert!(registry.member(&node("r1")).is_some());
}

#[test]
fn no_input_makes_it_panic_or_contradict_itself() {
    let mut state = 3u64;
    let mut dice = move |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    for _ in 0..60 {
        let mut registry = new();
        let mut now = Time::ZERO;
        for _ in 0..400 {
            now += Duration::from_millis(dice(20_000));
            let name = node(["me", "a", "b", "c", "d"][dice(5) as usize]);
            let numbers = [0, 1, 2, u64::MAX / 2, u64::MAX];
            let (one, two) = (numbers[dice(5) as usize], numbers[dice(5) as usize]);
            let entry = DigestEntry { node: name.clone(), incarnation: Incarnation(one), sequence: two };
            let mut verified = record(&app(name.as_str()), one, two, ["z", "relay"][dice(2) as usize]);
            verified.record.ttl_s = numbers[dice(5) as usize];
            match dice(12) {
                0 => registry.handle_link_up(now, name),
                1 => registry.handle_link_down(now, &name),
                2 | 3 => registry.handle_record(now, Some(&node("a")), verified),
                4 => registry.handle_cached(now, verified),
                5 => registry.handle_signed(now, verified),
                6 => registry.set_own(now, verified.body),
                7 => registry.set_incarnation(now, Incarnation(one.min(100))),
                8 => {
                    let hashes = vec![one; dice(300) as usize];
                    registry.handle_message(now, &name, &Message::Summary(hashes));
                }
                9 => {
                    let buckets = (0..dice(256)).map(|b| b as u8).collect();
                    registry.handle_message(now, &name, &Message::Digest { buckets, entries: vec![entry] });
                }
                10 => registry.handle_message(now, &name, &Message::Want(vec![node("me"), name.clone()])),
                _ => registry.handle_timeout(now),
            }
            outputs(&mut registry);
        }
    }
}
