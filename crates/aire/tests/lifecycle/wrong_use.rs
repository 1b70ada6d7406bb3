//! Configurations that make no sense: exit code 2 and one line that says where.

use std::fs;

use crate::stage::aire;

#[test]
fn a_wrong_configuration_is_named_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    let path = file.display().to_string();
    for (text, says) in [
        ("node = 'n1'\n\nlisten_on = 'x'\n", "line 3: unknown field `listen_on`"),
        ("node = 'n1'\nsvid_s = 'soon'\n", "line 2: invalid type"),
        ("node = \n", "line 1"),
        ("node = 'N1'\n", "node: "),
        ("node = 'n'\nlisten = '7117'\n", "listen: '7117' is not ADDRESS:PORT"),
        ("node = 'n'\nsvid_s = 3\n", "svid_s: 3 is not from 10"),
        ("node = 'n'\ndrain_s = 1000000\n", "drain_s: 1000000 is more than a day"),
        ("node = 'n'\n[relay]\nlimit_mbps = -1.0\n", "limit_mbps: -1"),
        ("node = 'n'\n[[to]]\napp = 'a'\nlisten = 'door'\n", "to: 'door' is not ADDRESS:PORT"),
    ] {
        fs::write(&file, text).unwrap();
        wrong(&["run", "--config", &path], says);
    }
    wrong(&["run", "--config", "/nowhere.toml"], "/nowhere.toml");
    wrong(&["run", "--node", "n", "--app", "web"], "--app 'web' is not NAME=ADDRESS:PORT");
    wrong(&["run", "--node", "n", "--join", "t", "--authority", "d"], "leave out one");
}

fn wrong(arguments: &[&str], says: &str) {
    let output = aire(arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(says), "{told}");
    assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{arguments:?}: {told}");
}

#[test]
fn a_state_that_lacks_a_certificate_says_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().display().to_string();
    let run = ["run", "--node", "n", "--no-multicast", "--admin", "127.0.0.1:0", "--state", &state];
    let output = aire(&run);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.lines().last().unwrap().contains("--join TOKEN"), "{told}");
}
