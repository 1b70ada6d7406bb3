//! Apps that do not exist, are not allowed, have no living instance, or whose target refuses or hangs: what the client
//! sees over each way, what the operator sees, and that nothing is left where the app's agent lives.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use aire_lab::emulate::free_addresses;

use crate::stage::{Agent, Mesh, PERMIT, is_reset, read_out, socks_reply_for, wait_for};

/// The status of HTTP CONNECT to an app.
fn connect_status(proxy: SocketAddr, app: &str) -> u16 {
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "CONNECT {app}.mesh:80 HTTP/1.1\r\nHost: {app}.mesh:80\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

/// All three ways at once, as each may take seconds.
fn all_ways(client: &Agent, door: SocketAddr, app: &str) -> (u8, u16, bool) {
    std::thread::scope(|scope| {
        let socks = scope.spawn(|| socks_reply_for(client.proxy, app).unwrap());
        let connect = scope.spawn(|| connect_status(client.proxy, app));
        let to = scope.spawn(move || {
            let mut stream = TcpStream::connect(door).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            is_reset(&read_out(&mut stream))
        });
        (socks.join().unwrap(), connect.join().unwrap(), to.join().unwrap())
    })
}

fn nothing_is_left(agents: &[&Agent]) {
    wait_for("empty ledgers", || {
        let open = |agent: &&Agent| agent.document("/api/v1/status")["streams"]["open"] == 0;
        agents.iter().all(open).then_some(())
    });
}

fn has_told(agent: &Agent, kind: &str) {
    has_said(agent, &format!("kind=\"{kind}\""));
}

fn has_said(agent: &Agent, what: &str) {
    wait_for(what, || agent.log().contains(what).then_some(()));
}

#[test]
fn whatever_an_app_does_its_client_is_told() {
    let mesh = Mesh::new();
    let target = free_addresses(1).unwrap()[0];
    let (nobody, nobody_udp) = (free_addresses(1).unwrap()[0], free_addresses(1).unwrap()[0]);
    let ways = format!(
        "patience_s = 2\n[[to]]\napp = 'nobody'\nlisten = '{nobody}'\n[[to]]\napp = 'nobody'\nlisten = '{nobody_udp}'\nprotocol = 'udp'\n"
    );
    let [_hub, mut server, client] = mesh.trio(target, "", &ways);
    wait_for("knowledge of the app", || {
        client.document("/api/v1/apps").to_string().contains("echo").then_some(())
    });

    assert_eq!(all_ways(&client, nobody, "nobody"), (4, 503, true), "an app that does not exist");
    has_told(&client, "no-instance");
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(b"?", nobody_udp).unwrap();
    let from = sender.local_addr().unwrap();
    has_said(
        &client,
        &format!("datagrams of {from} to nobody go nowhere: no instance of the app is running"),
    );
    nothing_is_left(&[&client]);

    wait_for("the way", || (all_ways(&client, client.door, "echo") == (5, 502, true)).then_some(()));
    has_told(&server, "target-failed");
    nothing_is_left(&[&client, &server]);

    // A queue that is full and never served: connections to it hang.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.set_reuse_address(true).unwrap();
    listener.bind(&target.into()).unwrap();
    listener.listen(0).unwrap();
    let listener: TcpListener = listener.into();
    let queued: Vec<_> =
        (0..4).map_while(|_| TcpStream::connect_timeout(&target, Duration::from_millis(300)).ok()).collect();
    assert_eq!(all_ways(&client, client.door, "echo"), (6, 504, true), "a target that hangs");
    nothing_is_left(&[&client, &server]);
    drop((listener, queued));

    mesh.set_policy("");
    wait_for("the refusal", || (all_ways(&client, client.door, "echo") == (2, 403, true)).then_some(()));
    let log = [server.log(), client.log()].concat();
    assert!(log.contains("-denied\""), "{log}");
    nothing_is_left(&[&client, &server]);
    mesh.set_policy(PERMIT);

    server.terminate();
    server.ended();
    let (socks, connect, reset) = wait_for("an app without an instance", || {
        let seen = all_ways(&client, client.door, "echo");
        (seen.0 == 4 || seen.0 == 3).then_some(seen)
    })
    .0;
    assert!((socks, connect, reset) == (4, 503, true) || (socks, connect, reset) == (3, 502, true));
    nothing_is_left(&[&client]);
}
