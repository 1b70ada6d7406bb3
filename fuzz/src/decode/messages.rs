//! Messages on links, and what is signed in them.

use aire_types::{AppName, Class, Incarnation, MeshName, NodeName, Path};
use aire_wire::{
    CircuitClose, CircuitId, DigestEntry, Grant, MAX_NOTICE_BODY, Message, Notice, NoticeKind,
    NoticeVersions, Offer, Reader, Record, Refusal, RefusalCode, Request,
};

fn node(name: &str) -> NodeName {
    NodeName::new(name).expect("invariant: a name")
}

pub(crate) fn run(input: &[u8]) {
    let Ok(message) = Message::decode(input) else { return };
    let bytes = message.encode();
    assert!(bytes.len() <= input.len(), "a message got longer");
    assert_eq!(Message::decode(&bytes).as_ref(), Ok(&message));
    match &message {
        Message::Gossip(records) => records.iter().for_each(check_record),
        Message::CircuitRequest { request: bytes, .. } => request(bytes),
        Message::CircuitGrant { grant: bytes, .. } => grant(bytes),
        Message::Notice(notice) => check_notice(notice),
        _ => {}
    }
}

pub(crate) fn notice(input: &[u8]) {
    for kind in NoticeKind::ALL {
        check_notice(&Notice { body: input.to_vec(), ..sample_notice(kind) });
    }
    if let Ok(notice) = Notice::decode(input) {
        check_notice(&notice);
    }
}

fn check_notice(notice: &Notice) {
    if notice.body.len() <= MAX_NOTICE_BODY {
        assert_eq!(Notice::decode(&notice.encode()).as_ref(), Ok(notice));
    }
    let written = |body: Result<Vec<u8>, _>| body.expect("a body that was read can be written");
    if let Ok(body) = notice.policy() {
        let again = Notice { body: written(serde_json::to_vec(&body)), ..notice.clone() };
        assert_eq!(again.policy(), Ok(body));
    }
    if let Ok(body) = notice.revocations() {
        let again = Notice { body: written(serde_json::to_vec(&body)), ..notice.clone() };
        assert_eq!(again.revocations(), Ok(body));
    }
}

fn sample_notice(kind: NoticeKind) -> Notice {
    let body = match kind {
        NoticeKind::Policy => r#"{"texts":[{"name":"a.cedar","text":"permit(principal,action,resource);"}]}"#,
        NoticeKind::Revocations => r#"{"revoked":[{"subject":"node/n1","since":5,"reason":"stolen"}]}"#,
    };
    let mesh = MeshName::new("m").expect("invariant: a name");
    Notice { kind, version: 3, mesh, issued: 4, body: body.into(), signature: vec![1; 20] }
}

pub(crate) fn notice_seeds() -> Vec<Vec<u8>> {
    let notices = NoticeKind::ALL.map(sample_notice);
    notices.into_iter().flat_map(|notice| [notice.encode(), notice.body]).collect()
}

fn check_record(record: &Record) {
    let mut bytes = Vec::new();
    record.write(&mut bytes);
    let mut reader = Reader::new(&bytes);
    assert_eq!(Record::read(&mut reader).as_ref(), Ok(record));
    assert_eq!(reader.remaining(), 0);
    let signed = record.signed();
    assert!(signed.len() < bytes.len() + 13, "what is signed is part of the record");
    if let Ok(body) = record.parse_body() {
        let body = serde_json::to_vec(&body).expect("a body that was read can be written");
        assert!(
            Record { body, ..record.clone() }.parse_body().is_ok(),
            "a body that was written can be read"
        );
    }
}

pub(crate) fn record(input: &[u8]) {
    // The rest of the record matters little to the body.
    check_record(&Record { body: input.to_vec(), ..sample_record() });
    let mut reader = Reader::new(input);
    if let Ok(record) = Record::read(&mut reader) {
        check_record(&record);
    }
}

pub(crate) fn request(input: &[u8]) {
    if let Ok(request) = Request::decode(input) {
        assert_eq!(Request::decode(&request.encode()), Ok(request));
    }
}

pub(crate) fn grant(input: &[u8]) {
    if let Ok(grant) = Grant::decode(input) {
        assert_eq!(Grant::decode(&grant.encode()), Ok(grant));
    }
}

fn sample_record() -> Record {
    let body = r#"{"addresses":["192.0.2.1:7117"],"node":{"cpus":2.0,"cpu_load":0.5,"zone":"a","relays":true,
        "posture":{"firewall":true}},"app":{"priority":6,"class":"bulk"},"authority":false,"draining":false}"#;
    Record {
        certificates: vec![1; 30],
        incarnation: Incarnation(2),
        sequence: 3,
        ttl_s: 60,
        body: body.as_bytes().to_vec(),
        signature: vec![4; 20],
    }
}

fn sample_request() -> Request {
    Request {
        circuit: CircuitId([1; 16]),
        certificates: vec![2; 20],
        incarnation: Incarnation(3),
        app: AppName::new("db").expect("invariant: a name"),
        class: Class::Critical,
        path: Path::via(node("r1")),
        destination: node("n2"),
        expires_unix_s: 4,
        public_key: [5; 32],
    }
}

fn sample_offer() -> Offer {
    Offer { node: node("n1"), public_key: [1; 32], lease_s: 60, rate: 1 }
}

fn sample_grant() -> Grant {
    Grant {
        circuit: CircuitId([1; 16]),
        request_hash: [7; 32],
        certificates: vec![8; 20],
        incarnation: Incarnation(9),
        offers: vec![sample_offer()],
    }
}

pub(crate) fn samples() -> Vec<Message> {
    let entry = DigestEntry { node: node("n1"), incarnation: Incarnation(1), sequence: 2 };
    let (circuit, signature) = (CircuitId([5; 16]), vec![2; 20]);
    let hello = Message::Hello {
        version: 1,
        incarnation: Incarnation(9),
        port: 7117,
        observed: "192.0.2.1:7".into(),
        clock: 1_700_000_000_000,
    };
    vec![
        hello,
        Message::Gossip(vec![sample_record(), sample_record()]),
        Message::Summary(vec![1, 2, 3, 4]),
        Message::Digest { buckets: vec![0, 255], entries: vec![entry] },
        Message::Want(vec![node("n1")]),
        Message::CircuitRequest {
            request: sample_request().encode(),
            signature: signature.clone(),
            offers: vec![sample_offer()],
        },
        Message::CircuitGrant { grant: sample_grant().encode(), signature },
        Message::CircuitRefusal(Refusal {
            circuit,
            by: node("n1"),
            code: RefusalCode::Policy,
            reason: "no policy permits it".into(),
            certificates: vec![1; 20],
            signature: vec![2; 20],
        }),
        Message::Held(NoticeVersions { policy: 1, revocations: 2 }),
        Message::Notice(sample_notice(NoticeKind::Policy)),
        Message::CircuitClose { circuit, code: CircuitClose::Draining, reason: String::new() },
        Message::Renewal(vec![1; 30]),
        Message::Renewed(vec![2; 30]),
        Message::DialBack { ticket: [6; 16], key: [7; 32] },
        Message::Introduce(node("n2")),
        Message::Introduced { node: node("n2"), addresses: vec![([192, 0, 2, 1], 7117).into()] },
    ]
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    samples().iter().map(Message::encode).collect()
}

pub(crate) fn record_seeds() -> Vec<Vec<u8>> {
    let mut whole = Vec::new();
    sample_record().write(&mut whole);
    vec![whole, sample_record().body]
}

pub(crate) fn request_seeds() -> Vec<Vec<u8>> {
    vec![sample_request().encode()]
}

pub(crate) fn grant_seeds() -> Vec<Vec<u8>> {
    vec![sample_grant().encode()]
}
