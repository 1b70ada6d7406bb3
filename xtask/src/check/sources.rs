//! What must not stand in a source file.

use std::fs;
use std::path::{Path, PathBuf};

use super::arrows::{Floor, floor};
use super::scan;
use crate::Failure;
use crate::workspace::{Package, Workspace};

/// A file longer than this must be divided.
const MOST_LINES: usize = 600;
/// The crate that may hold unsafe code, and the one file elsewhere.
const UNSAFE_CRATE: &str = "aire-net";
const UNSAFE_FILE: &str = "crates/aire-lab/src/wan/tun.rs";

/// What a core must not reach for, and why.
const NOT_IN_CORES: [(&str, &str); 8] = [
    ("std::thread", "cores have no threads"),
    ("thread_local", "cores have no threads"),
    ("Instant::now", "time is an argument"),
    ("SystemTime::now", "time is an argument"),
    ("std::fs", "cores have no files"),
    ("std::env", "cores have no environment"),
    ("RandomState", "iterated maps are ordered, randomness is a seed"),
    ("OsRng", "randomness is a seed"),
];
/// Values of `std::net` that are no sockets.
const ADDRESSES: [&str; 8] = [
    "AddrParseError",
    "IpAddr",
    "Ipv4Addr",
    "Ipv6Addr",
    "SocketAddr",
    "SocketAddrV4",
    "SocketAddrV6",
    "self",
];

pub(super) fn faults(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let mut faults = Vec::new();
    for package in &workspace.packages {
        for file in rust_files(package.folder())? {
            let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            let name = file.strip_prefix(&workspace.workspace_root).unwrap_or(&file);
            faults.extend(of_file(package, name, &text));
        }
    }
    Ok(faults)
}

fn of_file(package: &Package, name: &Path, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if lines > MOST_LINES {
        faults.push(format!("{}: {lines} lines; divide it (the most is {MOST_LINES})", name.display()));
    }
    let code = scan::code_only(text);
    if package.name != UNSAFE_CRATE && name != Path::new(UNSAFE_FILE) {
        for word in ["unsafe", "allow(unsafe_code)"] {
            let found = scan::lines_with(&code, word);
            faults.extend(
                found.map(|line| format!("{}:{line}: unsafe code belongs in {UNSAFE_CRATE}", name.display())),
            );
        }
    }
    if floor(&package.name) == Some(Floor::Core) && !is_test_file(name) {
        faults.extend(in_core(name, scan::without_tests(&code)));
    }
    faults
}

fn in_core(name: &Path, code: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (word, why) in NOT_IN_CORES {
        let found = scan::lines_with(code, word);
        faults.extend(found.map(|line| format!("{}:{line}: {word}: {why}", name.display())));
    }
    for line in scan::lines_with(code, "std::net") {
        let text = code.lines().nth(line - 1).unwrap_or_default();
        if !only_addresses(text) {
            faults.push(format!("{}:{line}: std::net: cores have no sockets", name.display()));
        }
    }
    faults
}

/// Whether everything that a line takes from `std::net` is a plain value.
fn only_addresses(line: &str) -> bool {
    line.split("std::net").skip(1).all(|rest| {
        let rest = rest.trim_start_matches("::").trim_start_matches('{');
        let end = rest.find(['}', ';', '>', ')', '(']).unwrap_or(rest.len());
        let names = rest[..end].split(',').map(str::trim).filter(|name| !name.is_empty());
        let names: Vec<&str> = names.map(|name| name.split("::").next().unwrap_or(name)).collect();
        !names.is_empty() && names.iter().all(|name| ADDRESSES.contains(name))
    })
}

/// Files that hold tests alone.
fn is_test_file(name: &Path) -> bool {
    let parts: Vec<_> = name.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.iter().any(|part| matches!(part.as_ref(), "tests" | "benches" | "examples" | "tests.rs"))
}

/// Every `.rs` file of a crate, build output left out.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries {
            let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
            if path.is_dir() {
                if !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str) -> Package {
        Package { name: name.to_owned(), manifest_path: PathBuf::new(), dependencies: Vec::new() }
    }

    fn judge(name: &str, file: &str, text: &str) -> usize {
        of_file(&package(name), Path::new(file), text).len()
    }

    #[test]
    fn cores_reach_for_nothing() {
        let core = |text| judge("aire-stream", "crates/aire-stream/src/x.rs", text);
        assert_eq!(core("use std::net::SocketAddr;\nfn f(a: std::net::IpAddr) {}"), 0);
        assert_eq!(core("use std::net::{IpAddr, TcpStream};"), 1);
        assert_eq!(core("let now = std::time::Instant::now();"), 1);
        assert_eq!(core("// Instant::now is not for us"), 0);
        assert_eq!(core("#[cfg(test)]\nmod tests {\n use std::thread;\n}"), 0);
        assert_eq!(judge("aire-net", "crates/aire-net/src/x.rs", "std::thread::sleep(Instant::now())"), 0);
    }

    #[test]
    fn unsafe_code_has_two_homes() {
        assert_eq!(judge("aire-agent", "crates/aire-agent/src/x.rs", "unsafe { f() }"), 1);
        assert_eq!(judge("aire-net", "crates/aire-net/src/x.rs", "unsafe { f() }"), 0);
        assert_eq!(judge("aire-lab", UNSAFE_FILE, "unsafe { f() }"), 0);
        assert_eq!(judge("aire-lab", "crates/aire-lab/src/lib.rs", "unsafe { f() }"), 1);
    }

    #[test]
    fn long_files_are_a_fault() {
        assert_eq!(judge("aire-net", "crates/aire-net/src/x.rs", &"\n".repeat(601)), 1);
        assert_eq!(judge("aire-net", "crates/aire-net/src/x.rs", &"\n".repeat(600)), 0);
    }
}
