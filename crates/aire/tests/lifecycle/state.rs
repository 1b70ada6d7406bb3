//! State folders that are damaged, open to others, not writable or full.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use aire_lab::emulate::free_addresses;

use crate::stage::{Agent, Mesh, aire, joining, wait_for};

#[test]
fn a_damaged_file_is_named_and_never_replaced() {
    let mesh = Mesh::new();
    let mut hub = mesh.hub("");
    let mut relay = mesh.relay("relay");
    [&mut hub, &mut relay].into_iter().for_each(Agent::ready);
    relay.kill();
    let state = mesh.path("relay.state");
    let config = mesh.path("relay.toml");
    for name in ["node.key", "svid.pem", "bundle.pem"] {
        let file = Path::new(&state).join(name);
        let whole = fs::read(&file).unwrap();
        for damaged in [&b""[..], &whole[..whole.len() / 2], b"\xff\x00garbage"] {
            fs::write(&file, damaged).unwrap();
            for run in [&["run", "--config", &config][..], &["run", "--check", "--config", &config]] {
                let output = aire(run);
                let all = [output.stdout, output.stderr].concat();
                let told = String::from_utf8(all).unwrap();
                assert_eq!(output.status.code(), Some(1), "{name}: {told}");
                assert!(told.contains(&file.display().to_string()), "{name}: {told}");
            }
            assert_eq!(fs::read(&file).unwrap(), damaged, "{name} was touched");
        }
        fs::write(&file, &whole).unwrap();
    }

    let key = Path::new(&state).join("node.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let output = aire(&["run", "--config", &config]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.lines().last().unwrap().contains("chmod 600"), "{told}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();

    // What only makes a start faster may be anything.
    for name in ["peers.json", "seeds"] {
        fs::write(Path::new(&state).join(name), b"\xff\x00garbage").unwrap();
    }
    let seeds = format!("{}seeds = ['{}']\n", fs::read_to_string(&config).unwrap(), hub.listen);
    fs::write(&config, seeds).unwrap();
    relay.start();
    relay.ready();
}

#[test]
fn a_damaged_authority_is_named() {
    let mesh = Mesh::new();
    for name in ["ca.key", "ca.pem"] {
        let file = Path::new(&mesh.path("mesh")).join(name);
        let whole = fs::read(&file).unwrap();
        for damaged in [&b""[..], &whole[..whole.len() / 2], b"\xff\x00garbage"] {
            fs::write(&file, damaged).unwrap();
            let (state, dir) = (mesh.path("hub.state"), mesh.path("mesh"));
            let output = aire(&[
                "run",
                "--node",
                "hub",
                "--no-multicast",
                "--admin",
                "127.0.0.1:0",
                "--listen",
                "127.0.0.1:0",
                "--state",
                &state,
                "--authority",
                &dir,
            ]);
            let told = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{name}: {told}");
            let line = told.lines().last().unwrap();
            assert!(line.contains(&file.display().to_string()) && line.contains("backup"), "{name}: {line}");
        }
        fs::write(&file, &whole).unwrap();
    }
    let mut hub = mesh.hub("");
    hub.ready();
}

#[test]
fn a_folder_that_cannot_be_written_costs_no_token() {
    let mesh = Mesh::new();
    let mut hub = mesh.hub("");
    hub.ready();
    let token = mesh.token(&["--relay"]);
    let blocked = mesh.path("file");
    fs::write(&blocked, "no folder").unwrap();
    // Nobody makes folders in /proc, not even root.
    for state in ["/proc/aire/n1", &blocked, &format!("{blocked}/n1")] {
        let output = aire(&[&["run"], &joining("n1", state, &token)[..]].concat());
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        let line = told.lines().last().unwrap();
        assert!(line.starts_with("aire: cannot write") && line.contains("owner"), "{line}");
    }
    let admin = free_addresses(1).unwrap()[0];
    let state = mesh.path("n1.state");
    let mut joined = Agent::command(&mesh, "n1", admin, &["--state", &state, "--join", &token]);
    joined.ready();
}

/// A small disk of its own for the process that follows, which needs root.
const SMALL_DISK: &str = r#"mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@""#;

/// An agent whose state folder is on a disk of this size. Its mount is seen by it alone, under `/proc/PID/root`.
fn on_small_disk(mesh: &Mesh, size: &str, node: &str, token: &str) -> Agent {
    let state = mesh.path(&format!("{node}.state"));
    fs::create_dir(&state).unwrap();
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", SMALL_DISK, "sh", size, &state]);
    let admin = free_addresses(1).unwrap()[0];
    Agent::command_under(unshare, mesh, node, admin, &["--state", &state, "--join", token])
}

fn needs_root() {
    assert!(aire_lab::wan::is_root(), "run the tests as root: small disks are mounted");
}

#[test]
fn a_full_disk_during_enrolment_leaves_a_node_that_can_try_again() {
    needs_root();
    let mesh = Mesh::new();
    let mut hub = mesh.hub("");
    hub.ready();
    let token = mesh.token(&["--relay"]);
    // Room for the key and for nothing else.
    let mut first = on_small_disk(&mesh, "4k", "n1", &token);
    let (status, _) = first.ended();
    assert_eq!(status.code(), Some(1));
    let log = first.log();
    let line = log.lines().last().unwrap();
    assert!(line.starts_with("aire: cannot write") && line.contains("free space"), "{line}");
}

#[test]
fn a_full_disk_during_a_renewal_is_told_and_passes() {
    needs_root();
    let mesh = Mesh::new();
    let mut hub = mesh.hub("svid_s = 16\n");
    hub.ready();
    let mut agent = on_small_disk(&mesh, "64k", "n1", &mesh.token(&["--relay"]));
    agent.ready();
    let state = format!("/proc/{}/root{}", agent.pid(), mesh.path("n1.state"));
    let filler = format!("{state}/filler");
    let certificate = || fs::read(format!("{state}/svid.pem")).unwrap();
    let mut file = fs::File::create(&filler).unwrap();
    while std::io::Write::write(&mut file, &[0; 512]).is_ok_and(|written| written > 0) {}
    drop(file);
    let held = certificate();
    wait_for("the failed renewal", || agent.log().contains("kind=\"renewal-failed\"").then_some(()));
    assert!(agent.log().contains("cannot write"), "{}", agent.log());
    assert_eq!(certificate(), held, "the certificate in force was touched");
    // The authority's answer may just be about to be written, in vain, once more.
    wait_for("a folder without half-written files", || {
        let names = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name());
        let half = |name: &std::ffi::OsString| name.to_string_lossy().ends_with(".tmp");
        (!names.into_iter().any(|name| half(&name))).then_some(())
    });
    assert_eq!(agent.document("/api/v1/status")["ready"], true, "it goes on with what it has");
    let diagnosis = agent.document("/api/v1/doctor");
    let state = diagnosis["findings"].as_array().unwrap().iter().find(|f| f["check"] == "state").unwrap();
    assert_eq!(state["verdict"], "fail", "{state}");
    fs::remove_file(&filler).unwrap();
    wait_for("the renewal", || agent.log().contains("kind=\"certificate-renewed\"").then_some(()));
    wait_for("the new certificate on the disk", || (certificate() != held).then_some(()));
    assert_eq!(agent.document("/api/v1/status")["ready"], true);
}
