//! Circuits among several nodes: granted, refused, renewed, closed, and what tampering comes to.

use std::time::Duration;

use crate::fake::node;
use crate::mesh::{Mesh, Parcel};
use aire_circuit::{Onward, Output, PreambleError, Role};
use aire_types::{Class, NodeName, Time};
use aire_wire::{CircuitClose, CircuitId, Message, Refusal, RefusalCode, Request, Towards};

const NODES: &[&str] = &["a", "b", "d", "r1", "r2", "r3"];

fn carry(mesh: &mut Mesh, from: &str, circuit: CircuitId) -> Vec<Result<Option<String>, PreambleError>> {
    let now = mesh.now;
    let (first, preambles) = mesh.at(from).preambles(now, circuit, Class::Bulk).unwrap();
    let mut at = first;
    let mut results = Vec::new();
    for preamble in &preambles {
        let accepted = mesh.at(at.as_str()).check_preamble(now, preamble);
        results.push(accepted.clone().map(|a| a.next.map(|n| n.to_string())));
        match accepted.map(|accepted| accepted.next) {
            Ok(Some(next)) => at = next,
            _ => break,
        }
    }
    results
}

fn refusals(mesh: &Mesh) -> Vec<(String, RefusalCode)> {
    let refused = |output: &Output| match output {
        Output::Refused { by, code, .. } => Some((by.to_string(), *code)),
        _ => None,
    };
    mesh.told.iter().filter_map(|(_, output)| refused(output)).collect()
}

fn rejected_at(mesh: &Mesh, at: &str) -> bool {
    mesh.told.iter().any(|(who, output)| who.as_str() == at && matches!(output, Output::Rejected { .. }))
}

#[test]
fn a_circuit_over_two_relays_carries_and_is_probed() {
    let mut mesh = Mesh::new(1, NODES);
    let circuit = mesh.request("a", &["r1", "r2"], "d");
    mesh.run_for(Duration::from_secs(1));
    assert!(mesh.granted(circuit));
    let chain = carry(&mut mesh, "a", circuit);
    assert_eq!(chain, [Ok(Some("r2".to_owned())), Ok(Some("d".to_owned())), Ok(None)]);
    assert_eq!(mesh.at("d").held(circuit).unwrap().role, Role::Destination);
    let now = mesh.now;
    assert_eq!(mesh.at("a").probe(now, circuit, Duration::from_secs(1)), Some(1));
    mesh.run_for(Duration::from_secs(2));
    assert!(mesh.told.iter().any(|(who, output)| who.as_str() == "a"
        && *output == Output::Probed { circuit, sequence: 1, rtt: Some(Duration::from_millis(60)) }));
    mesh.loss = 1.0;
    let now = mesh.now;
    assert_eq!(mesh.at("a").probe(now, circuit, Duration::from_secs(1)), Some(2));
    mesh.run_for(Duration::from_secs(2));
    assert!(
        mesh.told.iter().any(|(_, output)| *output == Output::Probed { circuit, sequence: 2, rtt: None })
    );
}

#[test]
fn a_datagram_keeps_to_its_circuit_in_both_directions() {
    let mut mesh = Mesh::new(1, NODES);
    let (over, straight) = (mesh.request("a", &["r1"], "d"), mesh.request("b", &[], "d"));
    mesh.run_for(Duration::from_secs(1));
    assert!(mesh.granted(over) && mesh.granted(straight));
    let mut onward = |at: &str, from: &str, circuit, towards| {
        mesh.at(at).onward(&node(from), circuit, towards).map(|onward| match onward {
            Onward::To(next) => next.to_string(),
            Onward::Here => "here".to_owned(),
        })
    };
    let (forth, back) = (Towards::Destination, Towards::Source);
    assert_eq!(onward("r1", "a", over, forth).as_deref(), Some("d"));
    assert_eq!(onward("r1", "d", over, back).as_deref(), Some("a"));
    assert_eq!(onward("d", "r1", over, forth).as_deref(), Some("here"));
    assert_eq!(onward("d", "b", straight, forth).as_deref(), Some("here"));
    for (at, from, circuit, towards) in [
        ("r1", "d", over, forth),
        ("r1", "r2", over, forth),
        ("r1", "a", over, back),
        ("d", "a", over, forth),
        ("d", "r1", over, back),
        ("d", "r1", straight, forth),
        ("r2", "b", straight, forth),
    ] {
        assert_eq!(onward(at, from, circuit, towards), None, "at {at} from {from}");
    }
}

#[test]
fn a_preamble_counts_once_and_only_unchanged() {
    let mut mesh = Mesh::new(2, NODES);
    let circuit = mesh.request("a", &["r1"], "d");
    mesh.run_for(Duration::from_secs(1));
    let now = mesh.now;
    let (_, preambles) = mesh.at("a").preambles(now, circuit, Class::Bulk).unwrap();
    let mut forged = preambles[0];
    forged.class = Class::Critical;
    assert_eq!(mesh.at("r1").check_preamble(now, &forged), Err(PreambleError::Mac));
    assert_eq!(mesh.at("r1").check_preamble(now, &preambles[1]), Err(PreambleError::Mac));
    assert!(mesh.at("r1").check_preamble(now, &preambles[0]).is_ok());
    assert_eq!(mesh.at("r1").check_preamble(now, &preambles[0]), Err(PreambleError::Replayed));
    for _ in 0..63 {
        assert!(carry(&mut mesh, "a", circuit)[0].is_ok());
    }
    assert_eq!(carry(&mut mesh, "a", circuit), [Err(PreambleError::TooManyCarriers)]);
    mesh.at("r1").carrier_closed(circuit);
    assert!(carry(&mut mesh, "a", circuit)[0].is_ok());
    assert_eq!(mesh.at("r2").check_preamble(now, &preambles[0]), Err(PreambleError::Unknown));
}

#[test]
fn a_relay_or_destination_whose_policy_says_no_refuses_and_nobody_holds_anything() {
    let mut mesh = Mesh::new(3, NODES);
    mesh.gates.get_mut(&node("r2")).unwrap().relay_denied.push(node("a"));
    mesh.gates.get_mut(&node("d")).unwrap().connect_denied.push(node("b"));
    mesh.request("a", &["r1", "r2"], "d");
    mesh.run_for(Duration::from_secs(1));
    assert_eq!(refusals(&mesh), [("r2".to_owned(), RefusalCode::Policy)]);
    mesh.request("b", &["r1"], "d");
    mesh.run_for(Duration::from_secs(1));
    assert_eq!(refusals(&mesh)[1], ("d".to_owned(), RefusalCode::Policy));
    assert_eq!(mesh.held_anywhere(), 0);
}

#[test]
fn leases_are_renewed_with_the_same_keys_and_lapse_when_they_cannot_be() {
    let mut mesh = Mesh::new(4, NODES);
    let circuit = mesh.request("a", &["r1"], "d");
    mesh.run_for(Duration::from_secs(600));
    assert_eq!(carry(&mut mesh, "a", circuit).len(), 2);
    assert!(carry(&mut mesh, "a", circuit).iter().all(Result::is_ok));
    mesh.loss = 1.0;
    mesh.run_for(Duration::from_secs(120));
    assert!(mesh.told.iter().any(|(_, output)| *output == Output::Lapsed { circuit }));
    let now = mesh.now;
    assert!(mesh.at("a").preambles(now, circuit, Class::Bulk).is_none());
    // Carriers that are open keep the circuit, and nothing is cut.
    assert_eq!(mesh.held_anywhere(), 2);
    for hop in ["r1", "d"] {
        (0..2).for_each(|_| mesh.at(hop).carrier_closed(circuit));
    }
    mesh.run_for(Duration::from_secs(1));
    assert_eq!(mesh.held_anywhere(), 0);
}

#[test]
fn a_policy_that_changes_closes_at_both_ends_without_grace() {
    let mut mesh = Mesh::new(5, NODES);
    let circuit = mesh.request("a", &["r1", "r2"], "d");
    let other = mesh.request("b", &["r1"], "d");
    mesh.run_for(Duration::from_secs(1));
    let verdict = |asked: &aire_circuit::Asked, _: Role| {
        if asked.source.node.as_str() == "a" { Err("not any more".to_owned()) } else { Ok(()) }
    };
    mesh.at("r1").reauthorize(verdict);
    mesh.run_for(Duration::from_secs(1));
    let closed: Vec<&str> = mesh
        .told
        .iter()
        .filter(|(_, output)| {
            matches!(output, Output::Closed { circuit: c, code: CircuitClose::Policy, grace, .. }
                if *c == circuit && grace.is_zero())
        })
        .map(|(who, _)| who.as_str())
        .collect();
    assert_eq!(closed.len(), 4, "{closed:?}");
    assert!(mesh.at("d").held(circuit).is_none() && mesh.at("d").held(other).is_some());
}

#[test]
fn revocation_and_drain_close_what_they_must() {
    let mut mesh = Mesh::new(6, NODES);
    let over_r1 = mesh.request("a", &["r1", "r2"], "d");
    let over_r3 = mesh.request("a", &["r3"], "d");
    mesh.run_for(Duration::from_secs(1));
    mesh.at("d").revoke(&["node/r1".parse().unwrap()].into());
    mesh.run_for(Duration::from_secs(1));
    assert!(mesh.at("r1").held(over_r1).is_none() && mesh.at("r3").held(over_r3).is_some());
    mesh.at("r3").drain();
    mesh.run_for(Duration::from_secs(1));
    assert_eq!(mesh.held_anywhere(), 0);
    mesh.request("b", &["r3"], "d");
    mesh.run_for(Duration::from_secs(1));
    assert_eq!(refusals(&mesh), [("r3".to_owned(), RefusalCode::Draining)]);
}

#[test]
fn a_draining_destination_keeps_its_circuits_and_takes_no_others() {
    let mut mesh = Mesh::new(5, NODES);
    let before = mesh.request("a", &[], "d");
    mesh.run_for(Duration::from_secs(1));
    mesh.at("d").drain();
    mesh.request("b", &[], "d");
    mesh.run_for(Duration::from_secs(1));
    assert!(mesh.at("d").held(before).is_some());
    assert_eq!(refusals(&mesh), [("d".to_owned(), RefusalCode::Draining)]);
}

#[test]
fn circuits_of_a_node_that_restarted_are_closed() {
    let mut mesh = Mesh::new(6, NODES);
    let over_r1 = mesh.request("a", &["r1"], "d");
    let over_r3 = mesh.request("a", &["r3"], "d");
    mesh.run_for(Duration::from_secs(1));
    mesh.at("a").forgotten_by(&node("r1"));
    mesh.run_for(Duration::from_secs(1));
    assert!(mesh.at("d").held(over_r1).is_none() && mesh.at("d").held(over_r3).is_some());
}

#[test]
fn what_a_relay_changes_is_found_out() {
    fn change_offer(from: &aire_types::NodeName, _: &aire_types::NodeName, message: &mut Message) {
        if let (Message::CircuitRequest { offers, .. }, "r2") = (message, from.as_str()) {
            offers[0].public_key[3] ^= 1;
        }
    }
    fn change_request(from: &aire_types::NodeName, _: &aire_types::NodeName, message: &mut Message) {
        if let (Message::CircuitRequest { request, .. }, "r1") = (message, from.as_str()) {
            let at = request.len() - 1;
            request[at] ^= 1;
        }
    }
    fn change_grant(from: &aire_types::NodeName, _: &aire_types::NodeName, message: &mut Message) {
        if let (Message::CircuitGrant { grant, .. }, "r1") = (message, from.as_str()) {
            let at = grant.len() - 1;
            grant[at] ^= 1;
        }
    }
    fn own_signature(from: &aire_types::NodeName, _: &aire_types::NodeName, message: &mut Message) {
        use aire_circuit::Crypto;
        if let (Message::CircuitGrant { grant, signature }, "r1") = (message, from.as_str()) {
            let mut parsed = aire_wire::Grant::decode(grant).unwrap();
            parsed.certificates = b"spiffe://m/relay/r1".to_vec();
            *grant = parsed.encode();
            let signed = [aire_wire::Grant::SIGNED_PREFIX, grant.as_slice()].concat();
            *signature = crate::fake::Fake::new("spiffe://m/relay/r1", 1).sign(&signed);
        }
    }
    let cases: [(fn(&_, &_, &mut _), &str); 4] =
        [(change_offer, "r1"), (change_request, "r2"), (change_grant, "a"), (own_signature, "a")];
    for (case, (tamper, finder)) in cases.into_iter().enumerate() {
        let mut mesh = Mesh::new(7, NODES);
        mesh.tamper = Some(tamper);
        let circuit = mesh.request("a", &["r1", "r2"], "d");
        mesh.run_for(Duration::from_secs(20));
        assert!(!mesh.granted(circuit), "case {case}");
        assert!(rejected_at(&mesh, finder), "case {case}: {:?}", mesh.told);
        assert_eq!(mesh.held_anywhere(), 0, "case {case}");
        assert_eq!(refusals(&mesh).len(), 1, "case {case}");
    }
}

/// Catches the request that goes from `a` to `r1`, and lets the test send it by hand.
fn captured(path: &[&str]) -> (Mesh, Vec<u8>, Vec<u8>) {
    let mut mesh = Mesh::new(8, NODES);
    mesh.request("a", path, "d");
    let (_, (_, _, parcel)) = mesh.wire.pop_first().unwrap();
    let crate::mesh::Parcel::Message(Message::CircuitRequest { request, signature, .. }) = parcel else {
        panic!()
    };
    (mesh, request, signature)
}

fn hand_over(mesh: &mut Mesh, from: &str, to: &str, request: &[u8], signature: &[u8], unix: u64) {
    let message =
        Message::CircuitRequest { request: request.to_vec(), signature: signature.to_vec(), offers: vec![] };
    let (now, to, mut gate) = (mesh.now, node(to), crate::fake::Doorkeeper::default());
    mesh.nodes.get_mut(&to).unwrap().handle_message(now, unix, &node(from), message, &mut gate);
    mesh.flush();
}

#[test]
fn a_request_counts_only_from_its_source_in_time_and_with_its_content() {
    use aire_circuit::Crypto;
    // Another node passes it off as its own.
    let (mut mesh, request, signature) = captured(&["r1"]);
    let unix = mesh.unix();
    hand_over(&mut mesh, "b", "r1", &request, &signature, unix);
    assert!(rejected_at(&mesh, "r1"));
    // It comes a day late, or a day early.
    for unix in [unix + 86_400, unix - 86_400] {
        let (mut mesh, request, signature) = captured(&["r1"]);
        hand_over(&mut mesh, "a", "r1", &request, &signature, unix);
        assert!(rejected_at(&mesh, "r1"), "{unix}");
    }
    // A clock that is half an hour off is forgiven.
    let (mut mesh, request, signature) = captured(&["r1"]);
    hand_over(&mut mesh, "a", "r1", &request, &signature, unix + 1800);
    assert!(!rejected_at(&mesh, "r1"));
    // To a node that is not on the path.
    let (mut mesh, request, signature) = captured(&["r1"]);
    hand_over(&mut mesh, "a", "r2", &request, &signature, unix);
    assert!(rejected_at(&mesh, "r2"));
    // Again, after it was granted, with the same id and another destination key.
    let (mut mesh, request, signature) = captured(&[]);
    hand_over(&mut mesh, "a", "d", &request, &signature, unix);
    assert_eq!(mesh.held_anywhere(), 1);
    let mut other = Request::decode(&request).unwrap();
    other.public_key[0] ^= 1;
    let other = other.encode();
    let signed = [Request::SIGNED_PREFIX, other.as_slice()].concat();
    let signature = mesh.at("a").crypto().sign(&signed);
    hand_over(&mut mesh, "a", "d", &other, &signature, unix);
    assert!(rejected_at(&mesh, "d"));
    assert_eq!(mesh.held_anywhere(), 1);
    // Again, after it was closed.
    let (mut mesh, request, signature) = captured(&[]);
    hand_over(&mut mesh, "a", "d", &request, &signature, unix);
    let circuit = Request::decode(&request).unwrap().circuit;
    mesh.at("d").close(circuit, CircuitClose::Draining, "test");
    hand_over(&mut mesh, "a", "d", &request, &signature, unix);
    assert!(rejected_at(&mesh, "d"));
    assert_eq!(mesh.held_anywhere(), 0);
}

#[test]
fn one_source_cannot_take_all_circuits() {
    let mut mesh = Mesh::new(9, NODES);
    for _ in 0..70 {
        mesh.request("a", &["r1"], "d");
    }
    mesh.run_for(Duration::from_secs(1));
    let refused = refusals(&mesh);
    assert_eq!(refused.len(), 6);
    assert!(refused.iter().all(|refusal| *refusal == ("r1".to_owned(), RefusalCode::Capacity)));
    mesh.request("b", &["r1"], "d");
    mesh.run_for(Duration::from_secs(1));
    assert_eq!(refusals(&mesh).len(), 6);
}

#[test]
fn a_first_hop_without_a_link_is_told_at_once_and_an_answer_that_never_comes_in_time() {
    let mut mesh = Mesh::new(10, NODES);
    mesh.request("a", &["r1"], "d");
    mesh.at("a").handle_unreachable(&node("r1"));
    mesh.flush();
    assert_eq!(refusals(&mesh), [("r1".to_owned(), RefusalCode::NoRoute)]);
    mesh.run_for(Duration::from_secs(30));
    assert_eq!(mesh.held_anywhere(), 0);
    mesh.loss = 1.0;
    let began = mesh.now;
    mesh.request("a", &["r2"], "d");
    mesh.run_until(began + Duration::from_millis(3001));
    assert_eq!(refusals(&mesh).len(), 2);
    assert_eq!(mesh.at("a").poll_timeout(), None::<Time>);
}

#[test]
fn only_the_destination_speaks_for_the_destination() {
    let forge = |_: &NodeName, to: &NodeName, message: &mut Message| {
        if let Message::CircuitRefusal(refusal) = message
            && to.as_str() == "a"
        {
            refusal.by = node("d");
        }
    };
    // A relay denies in the destination's name: the path is lost, and the relay is named.
    let mut mesh = Mesh::new(21, NODES);
    mesh.gates.get_mut(&node("r1")).unwrap().relay_denied.push(node("a"));
    mesh.tamper = Some(forge);
    mesh.request("a", &["r1"], "d");
    mesh.run_for(Duration::from_secs(1));
    assert_eq!(refusals(&mesh), [("r1".to_owned(), RefusalCode::Policy)]);
    assert!(rejected_at(&mesh, "a"));

    // What the destination denies is believed over any path, unless the code was changed on the way.
    for (path, tampered) in [(&[][..], false), (&["r1"], false), (&["r1", "r2"], false), (&["r1"], true)] {
        let mut mesh = Mesh::new(22, NODES);
        mesh.gates.get_mut(&node("d")).unwrap().connect_denied.push(node("a"));
        if tampered {
            mesh.tamper = Some(|_, to, message| {
                if let Message::CircuitRefusal(refusal) = message
                    && to.as_str() == "a"
                {
                    refusal.code = RefusalCode::NoSuchApp;
                }
            });
        }
        mesh.request("a", path, "d");
        mesh.run_for(Duration::from_secs(1));
        let by = if tampered { "r1" } else { "d" };
        assert_eq!(refusals(&mesh)[0].0, by, "{path:?}");
        assert_eq!(rejected_at(&mesh, "a"), tampered);
    }
}

#[test]
fn a_destinations_word_about_one_request_says_nothing_about_another() {
    let mut mesh = Mesh::new(23, NODES);
    mesh.gates.get_mut(&node("d")).unwrap().connect_denied.push(node("a"));
    mesh.request("a", &["r1"], "d");
    // to r1, to d, back to r1, back to a
    mesh.run_for(Duration::from_millis(35));
    let old = mesh.wire.values().find_map(|(_, _, parcel)| match parcel {
        Parcel::Message(Message::CircuitRefusal(refusal)) => Some(refusal.clone()),
        _ => None,
    });
    let old = old.expect("the refusal on its way to the source");
    mesh.run_for(Duration::from_secs(1));
    let circuit = mesh.request("a", &["r1"], "d");
    let (now, unix) = (mesh.now, mesh.unix());
    let replayed = Message::CircuitRefusal(Refusal { circuit, ..old });
    let gate = mesh.gates.get_mut(&node("a")).unwrap();
    mesh.nodes.get_mut(&node("a")).unwrap().handle_message(now, unix, &node("r1"), replayed, gate);
    mesh.flush();
    assert_eq!(refusals(&mesh)[1].0, "r1");
}
