//! Two agents with one name: a state folder that was copied, with a machine or by hand.

use std::fs;
use std::time::{Duration, Instant};

use aire_lab::emulate::free_addresses;

use crate::stage::{Agent, Mesh, echo, echo_service, try_echo, wait_for};

/// How many records of the hub's own are spread in vain is seen by what the agents use.
fn used(agents: &[&Agent]) -> Duration {
    agents.iter().map(|agent| agent.cpu()).sum()
}

#[test]
fn two_agents_with_one_identity_are_told_and_do_not_fight() {
    let mesh = Mesh::new();
    let target = echo_service();
    let [hub, mut server, client] = mesh.trio(target, "", "");
    drop(client.connect());
    let copy = mesh.path("copy.state");
    fs::create_dir(&copy).unwrap();
    for file in fs::read_dir(mesh.path("server.state")).unwrap().flatten() {
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), format!("{copy}/{}", file.file_name().display())).unwrap();
        }
    }
    let (admin, app) = (free_addresses(1).unwrap()[0], format!("echo={target}"));
    let policy = mesh.path("policy.cedar");
    let flags = ["--state", &copy, "--app", &app, "--policy", &policy, "--seed", &hub.listen.to_string()];
    let mut other = Agent::command(&mesh, "server", admin, &flags);
    other.ready();

    // The earlier run hears that there is a later one, and so does its operator.
    wait_for("the word of the earlier one", || server.log().contains("kind=\"outrun\"").then_some(()));
    assert!(server.log().contains("its state was copied"), "{}", server.log());
    let (before, begin) = (used(&[&hub, &server, &other, &client]), Instant::now());
    // The app is reached, whichever of the two serves it.
    while begin.elapsed() < Duration::from_secs(5) {
        wait_for("an answer", || try_echo(client.door).ok());
        std::thread::sleep(Duration::from_millis(100));
    }
    let busy = used(&[&hub, &server, &other, &client]) - before;
    assert!(busy < begin.elapsed(), "{busy:?} of CPU in {:?}", begin.elapsed());

    // When the copy is gone all is as before.
    other.kill();
    drop(other);
    let (mut stream, _) = wait_for("a connection to the one that stays", || try_echo(client.door).ok());
    echo(&mut stream, b"as before").unwrap();
    assert!(server.is_running());
}
