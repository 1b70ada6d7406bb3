//! Which crate may depend on which.

use crate::workspace::{Package, Workspace};

/// The floors of the house, from the top of the table to its bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Floor {
    /// Words: types and bytes.
    Words,
    /// Cores: no sockets, no clock, no thread, no global random. They know words alone.
    Core,
    /// Drivers: tokio.
    Driver,
    /// Assembly.
    Assembly,
    /// Tools, never linked into the agent.
    Tool,
}

/// Every crate, in the order of the table: a crate may depend on crates above it alone.
const HOUSE: [(&str, Floor); 20] = [
    ("aire-types", Floor::Words),
    ("aire-wire", Floor::Words),
    ("aire-stream", Floor::Core),
    ("aire-circuit", Floor::Core),
    ("aire-brain", Floor::Core),
    ("aire-registry", Floor::Core),
    ("aire-policy", Floor::Core),
    ("aire-net", Floor::Driver),
    ("aire-identity", Floor::Driver),
    ("aire-discovery", Floor::Driver),
    ("aire-ingress", Floor::Driver),
    ("aire-admin", Floor::Driver),
    ("aire-trace", Floor::Driver),
    ("aire-agent", Floor::Assembly),
    ("aire", Floor::Assembly),
    ("aire-sim", Floor::Tool),
    ("aire-train", Floor::Tool),
    ("aire-lab", Floor::Tool),
    ("aire-fuzz", Floor::Tool),
    ("xtask", Floor::Tool),
];

/// The exceptions: the demo emulates a network by the lab's underlay, and the command line evaluates and trains.
const EXCEPTIONS: [(&str, &str); 2] = [("aire", "aire-lab"), ("aire", "aire-train")];

/// What would give a core a socket, a clock, a thread or a global random number.
const NOT_IN_CORES: [&str; 17] = [
    "async-std",
    "crossbeam",
    "fastrand",
    "getrandom",
    "hyper",
    "libc",
    "mio",
    "nix",
    "quinn",
    "rand",
    "rayon",
    "reqwest",
    "rustix",
    "smol",
    "socket2",
    "tokio",
    "ureq",
];

/// Where a crate stands; `None` when the table does not know it.
fn place(name: &str) -> Option<(usize, Floor)> {
    HOUSE.iter().position(|(known, _)| *known == name).map(|row| (row, HOUSE[row].1))
}

pub(super) fn floor(name: &str) -> Option<Floor> {
    place(name).map(|(_, floor)| floor)
}

pub(super) fn faults(workspace: &Workspace) -> Vec<String> {
    workspace.packages.iter().flat_map(of_package).collect()
}

fn of_package(package: &Package) -> Vec<String> {
    let name = package.name.as_str();
    let Some((row, floor)) = place(name) else {
        return vec![format!(
            "{name} has no place in the house: add it to the table in xtask/src/check/arrows.rs"
        )];
    };
    // Tests may borrow from anywhere.
    let linked = package.dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev"));
    linked.filter_map(|dependency| fault(name, row, floor, &dependency.name)).collect()
}

fn fault(name: &str, row: usize, floor: Floor, dependency: &str) -> Option<String> {
    let Some((other_row, other_floor)) = place(dependency) else {
        let outside = floor == Floor::Core && NOT_IN_CORES.contains(&dependency);
        return outside.then(|| format!("{name} is a core and must not depend on {dependency}"));
    };
    if EXCEPTIONS.contains(&(name, dependency)) {
        return None;
    }
    if floor == Floor::Core && other_floor == Floor::Core {
        return Some(format!("{name} → {dependency}: cores never know each other; the agent translates"));
    }
    if other_floor == Floor::Tool && floor != Floor::Tool {
        return Some(format!("{name} → {dependency}: tools are never linked into the agent"));
    }
    (other_row >= row).then(|| format!("{name} → {dependency}: this arrow goes down the table"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(name: &str, dependency: &str) -> Option<String> {
        let (row, floor) = place(name).unwrap();
        fault(name, row, floor, dependency)
    }

    #[test]
    fn arrows_go_up_only() {
        assert_eq!(judge("aire-net", "aire-wire"), None);
        assert_eq!(judge("aire-agent", "aire-stream"), None);
        assert_eq!(judge("aire-stream", "bytes"), None);
        assert!(judge("aire-types", "aire-wire").unwrap().contains("down the table"));
        assert!(judge("aire-circuit", "aire-stream").unwrap().contains("never know each other"));
        assert!(judge("aire-brain", "tokio").unwrap().contains("must not depend on tokio"));
    }

    #[test]
    fn tools_stay_out_of_the_agent_but_for_the_command_line() {
        assert!(judge("aire-agent", "aire-train").unwrap().contains("never linked"));
        assert_eq!(judge("aire", "aire-train"), None);
        assert!(judge("aire-agent", "aire-lab").unwrap().contains("never linked"));
        assert_eq!(judge("aire", "aire-lab"), None);
        assert_eq!(judge("xtask", "aire-lab"), None);
    }
}
