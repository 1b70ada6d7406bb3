//! A DNS server, and programs that ask it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::service::{Service, folder};
use super::text::number_after;
use super::{Task, client};
use crate::wan::Host;

const NAMES: u32 = 1000;
/// Questions that one `dig` asks, one after the other.
const BATCH: u32 = 25;

fn name(number: u32) -> String {
    format!("h{number}.lab")
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 200, 0, 0)) + number)
}

/// Knows the names; it asks nobody else.
pub(super) fn serve(task: &Task, host: &Host) -> io::Result<Service> {
    let place = task.place("dns");
    folder(&place)?;
    let hosts = place.join("hosts");
    fs::write(
        &hosts,
        (0..NAMES).fold(String::new(), |mut text, number| {
            let _ = writeln!(text, "{} {}", address(number), name(number));
            text
        }),
    )?;
    let at = task.address;
    let mut server = Command::new("/usr/sbin/dnsmasq");
    server.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--bind-interfaces",
    ]);
    server.args(["--user=root", "--pid-file=", "--log-facility=-"]).args(&task.flags);
    server.arg(format!("--addn-hosts={}", hosts.display()));
    server.args([format!("--listen-address={}", at.ip()), format!("--port={}", at.port())]);
    let serves = || {
        let mut dig = Command::new("dig");
        dig.args(server_words(task)).args(["+short", &name(1)]);
        host.output(dig)
            .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == address(1).to_string())
    };
    Service::start(task, host, server, serves)
}

fn server_words(task: &Task) -> [String; 5] {
    let at = task.address;
    [format!("@{}", at.ip()), "-p".into(), at.port().to_string(), "+tries=1".into(), "+time=1".into()]
}

/// Asks one question after the other and checks every answer.
pub(super) fn dig(task: &Task) -> io::Result<Value> {
    let until = Instant::now() + task.duration;
    let (mut asked, mut right, mut wrong) = (0u32, 0u32, 0u32);
    while Instant::now() < until {
        let batch = task.folder.join(format!("{}.batch", task.name));
        let names: Vec<u32> = (asked..asked + BATCH).map(|number| number % NAMES).collect();
        fs::write(&batch, names.iter().map(|number| name(*number) + "\n").collect::<String>())?;
        let mut dig = Command::new("dig");
        dig.args(server_words(task)).args(["+noall", "+answer"]).args(&task.flags).arg("-f").arg(&batch);
        let said = client::run(dig, task.duration)?.stdout;
        let answers = answers(&said);
        asked += BATCH;
        for number in names {
            match answers.get(&format!("{}.", name(number))) {
                Some(found) if *found == address(number).to_string() => right += 1,
                Some(_) => wrong += 1,
                None => {}
            }
        }
    }
    Ok(json!({"asked": asked, "right": right, "wrong": wrong, "unanswered": asked - right - wrong}))
}

/// Lines of `NAME TTL IN A ADDRESS`.
fn answers(said: &str) -> BTreeMap<String, String> {
    let answer = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words.len() == 5 && words[3] == "A").then(|| (words[0].to_owned(), words[4].to_owned()))
    };
    said.lines().filter_map(answer).collect()
}

/// Asks at a steady rate: as many questions a second as the amount says.
pub(super) fn perf(task: &Task) -> io::Result<Value> {
    let questions: PathBuf = task.folder.join(format!("{}.questions", task.name));
    fs::write(&questions, (0..NAMES).map(|number| name(number) + " A\n").collect::<String>())?;
    let at = task.address;
    let mut dnsperf = Command::new("dnsperf");
    dnsperf.args(["-s", &at.ip().to_string(), "-p", &at.port().to_string(), "-t", "2", "-d"]).arg(&questions);
    dnsperf
        .args(["-Q", &task.amount.to_string(), "-l", &task.duration.as_secs().to_string()])
        .args(&task.flags);
    let ended = client::run(dnsperf, task.duration + Duration::from_secs(2))?;
    let read = |label: &str| number_after(&ended.stdout, label);
    Ok(json!({
        "exit": ended.exit(),
        "complaint": ended.complaint(),
        "sent": read("Queries sent"),
        "answered": read("Queries completed"),
        "unanswered": read("Queries lost"),
        "right_kind": read("NOERROR"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_among_other_lines() {
        let said = ";; communications error to 127.0.0.1#8000: timed out\nh1.lab.\t\t0\tIN\tA\t10.200.0.1\n";
        let answers = answers(said);
        assert_eq!(answers.get("h1.lab.").map(String::as_str), Some("10.200.0.1"));
        assert_eq!(answers.len(), 1);
    }
}
