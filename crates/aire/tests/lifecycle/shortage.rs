//! An agent that has no file descriptors left.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::stage::{Agent, Mesh, echo, echo_service, is_reset, try_echo, wait_for};

/// Lets the agent have this many descriptors more than it has. The limit is on their numbers, which may have gaps.
fn leave(agent: &Agent, more: usize) {
    let files = std::fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap().flatten();
    let taken: BTreeSet<u64> = files.filter_map(|file| file.file_name().to_str()?.parse().ok()).collect();
    limit(agent, (0..).filter(|number| !taken.contains(number)).nth(more).unwrap());
}

fn limit(agent: &Agent, files: u64) {
    let pid = Pid::from_raw(i32::try_from(agent.pid()).unwrap()).unwrap();
    let maximum = getrlimit(Resource::Nofile).maximum;
    prlimit(Some(pid), Resource::Nofile, Rlimit { current: Some(files), maximum }).unwrap();
}

#[test]
fn without_descriptors_running_streams_go_on_and_new_ones_are_refused() {
    let mesh = Mesh::new();
    let [_hub, server, client] = mesh.trio(echo_service(), "", "");
    let mut running = client.connect();

    leave(&client, 4);
    let mut taken = Vec::new();
    let refused = loop {
        let mut stream = TcpStream::connect(client.door).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let begin = Instant::now();
        match echo(&mut stream, b"?") {
            Ok(()) => taken.push(stream),
            Err(error) => break (Err::<(), _>(error), begin.elapsed()),
        }
        assert!(taken.len() < 200, "nothing is refused");
    };
    assert!(is_reset(&refused.0), "a reset and not {:?}", refused.0);
    assert!(refused.1 < Duration::from_secs(4), "refused after {:?}", refused.1);
    let (before, begin) = (client.cpu(), Instant::now());
    while begin.elapsed() < Duration::from_secs(2) {
        echo(&mut running, b"goes on").unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    let used = client.cpu() - before;
    assert!(used < Duration::from_secs(1), "{used:?} of CPU in two seconds");
    assert!(client.log().contains("ulimit -n"), "{}", client.log());
    drop(taken);
    limit(&client, 1024);
    wait_for("a new connection", || try_echo(client.door).ok());
    echo(&mut running, b"still the same").unwrap();

    // The other side: no descriptor for a connection to the app.
    leave(&server, 0);
    let mut stream = TcpStream::connect(client.door).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let end = stream.read(&mut [0]);
    assert!(is_reset(&end), "a reset and not {end:?}");
    echo(&mut running, b"goes on").unwrap();
    limit(&server, 1024);
    wait_for("a new connection", || try_echo(client.door).ok());
}
