//! Debian packages that tests need.

use std::process::{Command, Stdio};

/// A program, the package that has it, and what cannot be tested without.
const NEEDED: &[(&str, &str, &str)] = &[
    ("c++", "g++", "fuzzing"),
    ("ip", "iproute2", "the packet-level lab"),
    ("nft", "nftables", "the firewall posture of a node"),
    ("curl", "curl", "a mesh that carries curl"),
    ("iperf3", "iperf3", "a mesh that carries iperf3"),
    ("psql", "postgresql", "a mesh that carries psql"),
    ("nginx", "nginx-light", "an app that learns who calls"),
    ("pgbench", "postgresql", "PostgreSQL while paths fail"),
    ("redis-server", "redis-server", "Redis while paths fail"),
    ("redis-benchmark", "redis-tools", "Redis while paths fail"),
    ("wrk", "wrk", "nginx while paths fail"),
    ("dnsmasq", "dnsmasq-base", "DNS while paths fail"),
    ("dig", "bind9-dnsutils", "DNS while paths fail"),
    ("dnsperf", "dnsperf", "DNS while paths fail"),
    ("sshd", "openssh-server", "SSH while paths fail"),
    ("ssh", "openssh-client", "SSH while paths fail"),
];

/// Installs what is missing, where this is possible; says what stays missing and what that affects.
pub(crate) fn install(allowed: bool) -> Vec<String> {
    let missing = || NEEDED.iter().filter(|(program, _, _)| !present(program)).collect::<Vec<_>>();
    let wanted: Vec<&str> = missing().iter().map(|(_, package, _)| *package).collect();
    if wanted.is_empty() {
        println!("every program that tests use is here");
        return Vec::new();
    }
    if allowed && aire_lab::wan::is_root() && present("apt-get") {
        println!("installing {}", wanted.join(" "));
        if !apt_get(&wanted) {
            println!("apt-get could not");
        }
    }
    let left = missing();
    left.iter()
        .map(|(program, package, what)| format!("{what}: there is no '{program}' (Debian package {package})"))
        .collect()
}

fn apt_get(packages: &[&str]) -> bool {
    let run = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let mut install = vec!["-y", "--no-install-recommends", "install"];
    install.extend(packages);
    run(&install) || (run(&["update"]) && run(&install))
}

/// Whether a program is in the search path, or where administrators' programs are.
pub(crate) fn present(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin"].map(std::path::PathBuf::from);
    std::env::split_paths(&path).chain(usual).any(|folder| folder.join(program).is_file())
}
