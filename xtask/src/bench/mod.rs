//! One stream through two agents against one stream through two plain forwarders, over a veth pair.
//!
//! All systems stand side by side and take turns within each round, because the speed of a machine drifts; what counts
//! are the ratios.

mod forward;
mod measure;
mod mesh;
mod usage;

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use aire_lab::wan::{Process, Wire};
use aire_lab::workload::Server;

use crate::Failure;
use crate::packages::present;
use crate::workspace::Workspace;
use measure::{Figures, System, median_figures};

pub(crate) use forward::forward;

pub(crate) fn run(arguments: &[&str]) -> Result<(), Failure> {
    let (mut json, mut rounds) = (false, 5);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match *word {
            "--json" => json = true,
            "--rounds" => {
                let given = words.next().and_then(|number| number.parse::<u32>().ok());
                rounds = given.filter(|rounds| *rounds > 0).ok_or("--rounds needs a number from 1")?;
            }
            other => return Err(format!("bench does not know '{other}'")),
        }
    }
    if cfg!(debug_assertions) {
        return in_release(arguments);
    }
    let workspace = Workspace::load()?;
    let binary = workspace.build("aire", true)?;
    let scratch = Scratch::new()?;
    let mut bench = Bench::start(&scratch.0, &binary)?;
    let figures = bench.measure(rounds)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&figures).map_err(|error| error.to_string())?);
    } else {
        print(&figures, &bench.absent);
    }
    Ok(())
}

/// The forwarder and the clients must not be slower than what they measure.
fn in_release(arguments: &[&str]) -> Result<(), Failure> {
    let program = Workspace::load()?.build("xtask", true)?;
    let error = Command::new(program).arg("bench").args(arguments).exec();
    Err(format!("cannot run the release build of xtask: {error}"))
}

/// Everything that takes part; fields go in the order of their declaration, the network last.
struct Bench {
    systems: Vec<System>,
    /// Systems that do not take part, and why.
    absent: Vec<String>,
    _processes: Vec<Process>,
    _mesh: Option<mesh::Mesh>,
    _server: Server,
    wire: Wire,
}

impl Bench {
    fn start(folder: &Path, binary: &Path) -> Result<Self, Failure> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let wire = Wire::start(folder).map_err(|error| text(&error))?;
        let server = wire
            .right()
            .within(|| Server::start(([0, 0, 0, 0], 7000).into()))
            .map_err(|error| format!("starting the server: {error}"))?;
        let right = wire.right().address();
        let mut systems = vec![System::new("direct", (right, 7000).into(), Vec::new())];
        let (mut absent, mut processes) = (Vec::new(), Vec::new());

        let pair = plain_pair(&wire)?;
        systems.push(System::new("plain", ([127, 0, 0, 1], 8001).into(), groups(&pair)));
        processes.extend(pair);
        if present("nginx") {
            let pair = nginx_pair(&wire, folder)?;
            systems.push(System::new("nginx", ([127, 0, 0, 1], 8002).into(), groups(&pair)));
            processes.extend(pair);
        } else {
            absent.push("nginx: not installed (Debian packages nginx and libnginx-mod-stream)".to_owned());
        }
        let mesh = match mesh::Mesh::start(&wire, binary, folder) {
            Ok(mesh) => {
                systems.push(System::new("aire", mesh.entrance(), groups(mesh.carrying())));
                Some(mesh)
            }
            Err(failure) => {
                absent.push(format!("aire: {failure}"));
                None
            }
        };
        Ok(Bench { systems, absent, _processes: processes, _mesh: mesh, _server: server, wire })
    }

    fn measure(&mut self, rounds: u32) -> Result<BTreeMap<String, Figures>, Failure> {
        let mut all: BTreeMap<String, Vec<Figures>> = BTreeMap::new();
        for round in 1..=rounds {
            for system in &self.systems {
                eprintln!("round {round} of {rounds}: {}", system.name);
                let figures = system
                    .measure(self.wire.left())
                    .map_err(|error| format!("round {round}, {}: {error}", system.name))?;
                all.entry(system.name.to_owned()).or_default().push(figures);
            }
        }
        Ok(all.into_iter().map(|(name, figures)| (name, median_figures(&figures))).collect())
    }
}

fn groups(processes: &[Process]) -> Vec<u32> {
    processes.iter().map(Process::id).collect()
}

/// Two forwarders of our own: left, where the client is, and right, where the server is.
fn plain_pair(wire: &Wire) -> Result<Vec<Process>, Failure> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let right = wire.right().address();
    let forward = |listen: String, target: String| {
        let mut command = Command::new(&program);
        command.args(["forward", &listen, &target]);
        command
    };
    let near = forward("127.0.0.1:8001".to_owned(), format!("{right}:9001"));
    let far = forward(format!("{right}:9001"), "127.0.0.1:7000".to_owned());
    Ok(vec![
        wire.right().spawn("plain-right", far).map_err(|error| error.to_string())?,
        wire.left().spawn("plain-left", near).map_err(|error| error.to_string())?,
    ])
}

/// The same with nginx stream.
fn nginx_pair(wire: &Wire, folder: &Path) -> Result<Vec<Process>, Failure> {
    let right = wire.right().address();
    let ends = [
        (wire.right(), "nginx-right", format!("{right}:9002"), "127.0.0.1:7000".to_owned()),
        (wire.left(), "nginx-left", "127.0.0.1:8002".to_owned(), format!("{right}:9002")),
    ];
    let mut processes = Vec::new();
    for (host, name, listen, target) in ends {
        let file = folder.join(format!("{name}.conf"));
        let pid = folder.join(format!("{name}.pid"));
        let module = Path::new("/usr/lib/nginx/modules/ngx_stream_module.so");
        let load =
            if module.exists() { format!("load_module {};\n", module.display()) } else { String::new() };
        let text = format!(
            "{load}daemon off; worker_processes 2; pid {}; error_log stderr;\n\
             events {{ worker_connections 4096; }}\n\
             stream {{ proxy_buffer_size 64k; tcp_nodelay on;\n\
             server {{ listen {listen}; proxy_pass {target}; }} }}\n",
            pid.display()
        );
        std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).arg("-c").arg(&file);
        processes.push(host.spawn(name, command).map_err(|error| error.to_string())?);
    }
    Ok(processes)
}

fn print(figures: &BTreeMap<String, Figures>, absent: &[String]) {
    let plain = figures.get("plain").copied().unwrap_or_default();
    let ratio = |value: f64, base: f64| if base > 0.0 { value / base } else { 0.0 };
    println!(
        "{:8} {:>16} {:>16} {:>16} {:>16} {:>8} {:>8}",
        "", "Mbit/s", "p50 µs", "p99 µs", "conn/s", "CPU s/GB", "RSS MB"
    );
    for (name, f) in figures {
        let with = |value: f64, base: f64| format!("{value:.0} ({:.2})", ratio(value, base));
        println!(
            "{name:8} {:>16} {:>16} {:>16} {:>16} {:>8.2} {:>8.1}",
            with(f.mbps, plain.mbps),
            with(f.p50_us, plain.p50_us),
            with(f.p99_us, plain.p99_us),
            with(f.connects_per_second, plain.connects_per_second),
            f.cpu_s_per_gb,
            f.rss_mb
        );
    }
    println!("in brackets: as a ratio to the plain pair; medians of the rounds");
    for line in absent {
        println!("absent: {line}");
    }
}

/// A folder that goes away with this.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("aire-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Scratch(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
