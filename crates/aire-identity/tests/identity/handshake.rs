use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aire_identity::{
    Fingerprint, NodeKey, Scope, TlsError, TrustBundle, client_config, enrol_client_config,
    enrol_server_config, explain_tls, server_config,
};
use aire_wire::Subject;
use rustls::time_provider::TimeProvider;
use rustls::{CipherSuite, ClientConfig, ClientConnection, Error, ServerConfig, ServerConnection};
use rustls_pki_types::{ServerName, UnixTime};

use crate::mesh::{DAY, Member, Mesh, app, node, start};

const ALPN: &[u8] = b"aire-test/1";
const ENROL_ALPN: &[u8] = b"aire-enrol/1";

#[derive(Debug)]
struct Clock(SystemTime);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap()))
    }
}

/// Both ends after the handshake, or the first error and what the other end was told.
#[expect(clippy::result_large_err, reason = "a test looks at both errors")]
pub(crate) fn handshake(
    mut client: ClientConfig,
    mut server: ServerConfig,
    now: SystemTime,
) -> Result<(ClientConnection, ServerConnection), (Error, Option<Error>)> {
    client.time_provider = Arc::new(Clock(now));
    server.time_provider = Arc::new(Clock(now));
    let mut client =
        ClientConnection::new(Arc::new(client), ServerName::try_from("nobody.invalid").unwrap()).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() || server.wants_write() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let told = pour(&bytes, &mut server);
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let answered = pour(&bytes, &mut client);
        if let Err(error) = told {
            return Err((error, answered.err()));
        }
        if let Err(error) = answered {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            return Err((error, pour(&bytes, &mut server).err()));
        }
    }
    Ok((client, server))
}

fn pour<D>(
    mut bytes: &[u8],
    end: &mut impl std::ops::DerefMut<Target = rustls::ConnectionCommon<D>>,
) -> Result<(), Error> {
    while !bytes.is_empty() {
        end.read_tls(&mut bytes).unwrap();
        end.process_new_packets()?;
    }
    Ok(())
}

fn client(member: &Member) -> ClientConfig {
    client_config(&member.svid, &member.key, &member.bundle, &[ALPN]).unwrap()
}

fn server(member: &Member) -> ServerConfig {
    server_config(&member.svid, &member.key, &member.bundle, &[ALPN]).unwrap()
}

#[test]
fn two_members_meet_and_learn_who_the_other_is() {
    let mesh = Mesh::new("prod");
    let (one, two) = (mesh.member(app("web"), "n1", start()), mesh.member(app("db"), "n2", start()));
    let (client, server) = handshake(client(&one), server(&two), start()).unwrap();
    let seen = one.bundle.verify(client.peer_certificates().unwrap(), start()).unwrap();
    assert_eq!(seen.identity(), two.svid.identity());
    let seen = two.bundle.verify(server.peer_certificates().unwrap(), start()).unwrap();
    assert_eq!(seen.identity(), one.svid.identity());
    assert_eq!(client.alpn_protocol(), Some(ALPN));
    assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    let suite = server.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, CipherSuite::TLS13_AES_128_GCM_SHA256);
    assert_eq!(client.tls13_tickets_received(), 0);
    assert_eq!(client.peer_certificates().unwrap().len(), 1, "members know the authority");
}

#[test]
fn a_member_of_another_mesh_is_refused_by_both_ends() {
    let (ours, other) = (Mesh::new("prod"), Mesh::new("prod"));
    let (one, stranger) = (ours.member(app("web"), "n1", start()), other.member(app("db"), "n2", start()));
    let (error, told) = handshake(client(&one), server(&stranger), start()).unwrap_err();
    assert!(explain_tls(&error).contains("not of this mesh"), "{error}");
    assert!(explain_tls(&told.unwrap()).contains("another mesh"));

    // A stranger that trusts us gets no further.
    let trusting = Member { bundle: one.bundle.clone(), ..stranger };
    let (error, told) = handshake(client(&trusting), server(&one), start()).unwrap_err();
    assert!(explain_tls(&error).contains("not of this mesh"), "{error}");
    assert!(explain_tls(&told.unwrap()).contains("another mesh"));
}

#[test]
fn an_expired_member_is_refused_by_both_ends() {
    let mesh = Mesh::new("prod");
    let late = start() + DAY + Duration::from_secs(60);
    let (old, new) = (mesh.member(app("web"), "n1", start()), mesh.member(app("db"), "n2", late));
    for (from, to) in [(&old, &new), (&new, &old)] {
        let (error, told) = handshake(client(from), server(to), late).unwrap_err();
        assert!(explain_tls(&error).contains("expired 60 s ago"), "{error}");
        assert!(explain_tls(&told.unwrap()).contains("clocks"));
    }
}

#[test]
fn a_revoked_member_is_refused_by_configurations_made_before() {
    let mesh = Mesh::new("prod");
    let (one, two) = (mesh.member(app("web"), "n1", start()), mesh.member(app("db"), "n2", start()));
    let listening = server(&two);
    two.bundle.set_revoked([Subject::Node(node("n1"))].into());
    let (error, told) = handshake(client(&one), listening, start()).unwrap_err();
    assert!(explain_tls(&error).contains("revoked"), "{error}");
    assert!(explain_tls(&told.unwrap()).contains("our certificate was revoked"));
}

#[test]
fn a_stranger_without_a_certificate_is_refused() {
    let mesh = Mesh::new("prod");
    let member = mesh.member(app("db"), "n1", start());
    let stranger =
        enrol_client_config(mesh.authority.mesh(), &mesh.authority.fingerprint(), &[ALPN]).unwrap();
    // The full chain, so that the stranger is content with the server.
    let mut listening = server(&member);
    listening.cert_resolver =
        enrol_server_config(&member.svid, &member.key, &member.bundle, &[]).unwrap().cert_resolver;
    let (error, _) = handshake(stranger, listening, start()).unwrap_err();
    assert_eq!(error, Error::NoCertificatesPresented);
    assert!(explain_tls(&error).contains("stranger"));
}

#[test]
fn protocols_must_match() {
    let mesh = Mesh::new("prod");
    let (one, two) = (mesh.member(app("web"), "n1", start()), mesh.member(app("db"), "n2", start()));
    let listening = server_config(&two.svid, &two.key, &two.bundle, &[b"aire-test/2"]).unwrap();
    let (error, told) = handshake(client(&one), listening, start()).unwrap_err();
    assert_eq!(error, Error::NoApplicationProtocol);
    assert!(explain_tls(&told.unwrap()).contains("version"));
}

#[test]
fn enrolment_is_pinned_to_the_authority_of_the_token() {
    let (mesh, twin) = (Mesh::new("prod"), Mesh::new("prod"));
    let token = mesh.invite(app("db"), 1);
    let listen = |member: &Member| {
        enrol_server_config(&member.svid, &member.key, &member.bundle, &[ENROL_ALPN]).unwrap()
    };
    let pinned = |ca: &Fingerprint| enrol_client_config(token.mesh(), ca, &[ENROL_ALPN]).unwrap();
    let right = mesh.member(Scope::Relay, "r1", start());
    let (client, _) = handshake(pinned(token.ca()), listen(&right), start()).unwrap();
    assert_eq!(client.alpn_protocol(), Some(ENROL_ALPN));
    assert_eq!(client.peer_certificates().unwrap().len(), 2, "the authority's certificate is shown");

    let wrong = twin.member(Scope::Relay, "r1", start());
    let (error, _) = handshake(pinned(token.ca()), listen(&wrong), start()).unwrap_err();
    assert!(explain_tls(&error).contains("not of this mesh"), "{error}");

    // Showing the right authority's certificate without its signature does not help.
    let shows = TrustBundle::new(token.mesh().clone(), right.bundle.certificates().to_vec()).unwrap();
    let liar = Member { bundle: shows, ..wrong };
    let (error, _) = handshake(pinned(token.ca()), listen(&liar), start()).unwrap_err();
    assert!(explain_tls(&error).contains("not of this mesh"), "{error}");

    // Nor does an expired certificate, nor a server that keeps the authority's certificate to itself.
    let (error, _) = handshake(pinned(token.ca()), listen(&right), start() + 2 * DAY).unwrap_err();
    assert!(explain_tls(&error).contains("expired"), "{error}");
    let mut terse = listen(&right);
    terse.cert_resolver = server(&right).cert_resolver;
    assert!(handshake(pinned(token.ca()), terse, start()).is_err());
}

#[test]
fn a_certificate_needs_its_own_key() {
    let member = Mesh::new("prod").member(app("db"), "n1", start());
    let key = NodeKey::generate().unwrap();
    let error = client_config(&member.svid, &key, &member.bundle, &[ALPN]).unwrap_err();
    assert!(matches!(error, TlsError::KeyMismatch) && error.to_string().contains("svid.pem"), "{error}");
    assert!(server_config(&member.svid, &key, &member.bundle, &[ALPN]).is_err());
    assert!(enrol_server_config(&member.svid, &key, &member.bundle, &[ALPN]).is_err());
}
