//! The packet-level network, with packets. Needs root; says so where it has to skip.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use aire_lab::LinkShape;
use aire_lab::wan::{self, Host, Wan, WanConfig, Wire};
use aire_lab::workload::{Bulk, Messages, PingPong, Server};

/// True where the test cannot run. Written past the test harness's capture, so that nobody overlooks it.
fn skipped(test: &str) -> bool {
    let Err(error) = wan::available() else { return false };
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {error}");
    true
}

fn pair(shape: LinkShape) -> Wan {
    Wan::start(WanConfig::new(&["a", "b"], shape)).unwrap()
}

fn at(host: &Host, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(host.address()), port)
}

fn serve(host: &Host) -> Server {
    let address = at(host, 7000);
    host.within(move || Server::start(address)).unwrap()
}

/// Sends numbered datagrams from one host to the other and counts those that arrive.
fn datagrams_through(from: &Host, to: &Host, count: u32) -> u32 {
    let target = at(to, 7001);
    let receiver = to.within(move || UdpSocket::bind(target)).unwrap();
    receiver.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let sender = from.within(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    let sending = thread::spawn(move || {
        for i in 0..count {
            sender.send_to(&i.to_le_bytes(), target).unwrap();
            if i % 16 == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let mut buffer = [0u8; 16];
    let received = std::iter::from_fn(|| receiver.recv(&mut buffer).ok()).count();
    sending.join().unwrap();
    received as u32
}

#[test]
fn delays_of_both_directions_add_up() {
    if skipped("delays_of_both_directions_add_up") {
        return;
    }
    let wan = pair(LinkShape::delay(20.0));
    wan.set("b", "a", LinkShape::delay(31.0)).unwrap();
    let server = serve(wan.host("b").unwrap());
    let ping = PingPong::new(server.address(), Duration::from_secs(2));
    let report = wan.host("a").unwrap().within(move || ping.run()).unwrap();
    let least = report.latency_ms.min;
    assert!((51.0..53.0).contains(&least), "the least round trip took {least} ms");
    assert!(report.latency_ms.count > 20, "{report:?}");
}

#[test]
fn loss_takes_its_share() {
    if skipped("loss_takes_its_share") {
        return;
    }
    let wan = pair(LinkShape::delay(1.0).loss(0.25));
    let (a, b) = (wan.host("a").unwrap(), wan.host("b").unwrap());
    let received = datagrams_through(a, b, 2000);
    let counters = wan.counters("a", "b").unwrap();
    assert_eq!(counters.lost + u64::from(received), 2000, "{counters:?}");
    assert!((400..600).contains(&counters.lost), "{counters:?}");
}

#[test]
fn the_rate_holds() {
    if skipped("the_rate_holds") {
        return;
    }
    let wan = pair(LinkShape::delay(5.0).mbps(40.0));
    let server = serve(wan.host("b").unwrap());
    let bulk = Bulk::new(server.address(), 10_000_000);
    let report = wan.host("a").unwrap().within(move || bulk.run()).unwrap();
    assert!(report.intact);
    assert!((25.0..40.0).contains(&report.mbps), "{report:?}");
}

#[test]
fn a_cut_stalls_tcp_without_a_reset_and_a_mend_resumes_it() {
    if skipped("a_cut_stalls_tcp_without_a_reset_and_a_mend_resumes_it") {
        return;
    }
    let wan = pair(LinkShape::delay(10.0));
    let server = serve(wan.host("b").unwrap());
    let messages = Messages::new(server.address(), Duration::from_secs(3));
    let client = wan.host("a").unwrap().enter(move || messages.run()).unwrap();
    let waiting = Instant::now();
    while server.report().messages < 20 {
        assert!(waiting.elapsed() < Duration::from_secs(10), "no message arrived");
        thread::sleep(Duration::from_millis(5));
    }
    let topology = wan.topology();
    topology.isolate("b", true).unwrap();
    thread::sleep(Duration::from_millis(600));
    topology.isolate("b", false).unwrap();
    let report = client.join().unwrap().unwrap().unwrap();
    assert_eq!((report.lost, report.resets, report.repeated, report.reordered), (0, 0, 0, 0), "{report:?}");
    assert!(report.longest_stall_ms >= 550.0, "{}", report.longest_stall_ms);
    assert!(wan.counters("a", "b").unwrap().closed > 0);
}

#[test]
fn a_filter_stops_udp_and_lets_tcp_pass_and_the_reverse() {
    if skipped("a_filter_stops_udp_and_lets_tcp_pass_and_the_reverse") {
        return;
    }
    let wan = pair(LinkShape { drop_udp: true, ..LinkShape::delay(1.0) });
    let (a, b) = (wan.host("a").unwrap(), wan.host("b").unwrap());
    let server = serve(b);
    let address = server.address();
    let connect = move || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(500));
    assert!(a.within(connect).is_ok());
    assert_eq!(datagrams_through(a, b, 20), 0);
    wan.set_both("a", "b", LinkShape { drop_tcp: true, ..LinkShape::delay(1.0) }).unwrap();
    assert!(a.within(connect).is_err());
    assert_eq!(datagrams_through(a, b, 20), 20);
}

#[test]
fn it_carries_a_fast_stream() {
    if skipped("it_carries_a_fast_stream") {
        return;
    }
    let wan = pair(LinkShape::delay(2.0));
    let server = serve(wan.host("b").unwrap());
    let bulk = Bulk::new(server.address(), 100_000_000);
    let report = wan.host("a").unwrap().within(move || bulk.run()).unwrap();
    let _ = writeln!(std::io::stderr(), "switch: {:.0} Mbit/s", report.mbps);
    assert!(report.intact && report.mbps > 100.0, "{report:?}");
}

#[test]
fn a_wire_joins_two_hosts_at_full_speed() {
    if skipped("a_wire_joins_two_hosts_at_full_speed") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let wire = Wire::start(folder.path()).unwrap();
    let server = serve(wire.right());
    let bulk = Bulk { verify: false, ..Bulk::new(server.address(), 200_000_000) };
    let report = wire.left().within(move || bulk.run()).unwrap();
    assert!(report.intact && report.mbps > 500.0, "{report:?}");
}

#[test]
fn processes_live_on_their_host_and_die_with_it() {
    if skipped("processes_live_on_their_host_and_die_with_it") {
        return;
    }
    let wan = pair(LinkShape::default());
    let a = wan.host("a").unwrap();
    let mut command = Command::new("ip");
    command.args(["-4", "-brief", "address"]);
    let mut shown = a.spawn("address", command).unwrap();
    assert!(shown.wait(Duration::from_secs(5)).unwrap().unwrap().success());
    let text = shown.stdout().unwrap();
    assert!(text.contains(&a.address().to_string()), "{text}");

    let mut sleep = Command::new("sleep");
    sleep.arg("600");
    let process = a.spawn("sleep", sleep).unwrap();
    let proc = format!("/proc/{}", process.id());
    assert!(std::path::Path::new(&proc).exists());
    drop(process);
    assert!(!std::path::Path::new(&proc).exists());
    let (name, folder) = (a.namespace_name().to_owned(), wan.folder().to_owned());
    drop(wan);
    assert!(!std::path::Path::new("/run/netns").join(name).exists());
    assert!(!folder.exists());
}

/// Not a test: the program that [`a_crash_leaves_no_namespace`] lets crash.
#[test]
#[ignore = "run by another test"]
fn crash_with_a_network() {
    let wan = pair(LinkShape::default());
    let mut sleep = Command::new("sleep");
    sleep.arg("600");
    let process = wan.host("a").unwrap().spawn("sleep", sleep).unwrap();
    let _ = writeln!(std::io::stderr(), "NAMES {} {}", wan.hosts()[0].namespace_name(), process.id());
    std::process::abort();
}

#[test]
fn a_crash_leaves_no_namespace_and_no_process() {
    if skipped("a_crash_leaves_no_namespace_and_no_process") {
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash_with_a_network", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let names = text.lines().find_map(|line| line.strip_prefix("NAMES ")).expect("the child's names");
    let (namespace, process) = names.split_once(' ').unwrap();
    let left = [format!("/run/netns/{namespace}"), format!("/proc/{process}")];
    let waiting = Instant::now();
    while left.iter().any(|path| std::path::Path::new(path).exists()) {
        assert!(waiting.elapsed() < Duration::from_secs(10), "{left:?} are still there");
        thread::sleep(Duration::from_millis(20));
    }
}
