//! `aire bundle`: one archive for a bug report.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aire_agent::{Config, RawConfig};
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

use crate::admin::Admin;
use crate::args::Bundle;
use crate::doctor::block_on;
use crate::failure::Failure;
use crate::output::say;
use crate::scrub::scrub;

/// The folder in the archive.
const FOLDER: &str = "aire-bundle";
/// To answer one question.
const PATIENCE: Duration = Duration::from_secs(30);
/// More of one document is of no use to anybody.
const MAX_FILE: usize = 16 << 20;
/// What a running agent is asked.
const DOCUMENTS: [(&str, &str); 10] = [
    ("status.json", "/api/v1/status"),
    ("peers.json", "/api/v1/peers"),
    ("apps.json", "/api/v1/apps"),
    ("routes.json", "/api/v1/routes"),
    ("streams.json", "/api/v1/streams"),
    ("events.jsonl", "/api/v1/events"),
    ("metrics.txt", "/metrics"),
    ("config.json", "/api/v1/config"),
    ("doctor.json", "/api/v1/doctor"),
    ("log.txt", "/api/v1/log"),
];
/// What the kernel says of this machine.
const FACTS: [&str; 12] = [
    "/etc/os-release",
    "/proc/version",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/net/dev",
    "/proc/sys/fs/file-nr",
    "/proc/sys/fs/pipe-user-pages-soft",
    "/proc/sys/net/ipv4/tcp_rmem",
    "/proc/sys/net/ipv4/tcp_wmem",
    "/proc/sys/net/ipv4/tcp_available_congestion_control",
    "/proc/sys/net/ipv4/ip_local_port_range",
];

pub(crate) fn execute(asked: &Bundle) -> Result<ExitCode, Failure> {
    let config = asked.config.as_deref().map(read_config);
    let resolved = match &config {
        Some((_, Ok(config))) => Some(config.clone()),
        _ => None,
    };
    let admin = asked.admin.clone().or_else(|| resolved.as_ref().map(|config| config.admin.to_string()));
    let admin = admin.unwrap_or_else(|| aire_agent::DEFAULT_ADMIN.to_owned());
    let mut archive = Archive::create(&asked.out)?;
    archive.add("version.txt", &format!("aire {}\n", env!("CARGO_PKG_VERSION")))?;
    archive.add("system.txt", &system())?;
    if let Some((shown, outcome)) = config {
        archive.add("config.toml", &shown)?;
        if let Err(error) = outcome {
            archive.add("config-error.txt", &format!("{error}\n"))?;
        }
    }
    let running = documents(&mut archive, &admin)?;
    if let Some(config) = resolved.filter(|_| !running) {
        let diagnosis = block_on(aire_agent::diagnose(&config))?;
        archive.add("doctor.json", &serde_json::to_string_pretty(&diagnosis).map_err(Failure::because)?)?;
    }
    archive.finish()?;
    let asked_agent =
        if running { format!("of the agent at {admin}") } else { format!("no agent answers at {admin}") };
    let out = asked.out.display();
    say(&format!("{out} is written ({asked_agent}); look through it before you give it away\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// What the agent at `admin` answers; false where none does.
fn documents(archive: &mut Archive, admin: &str) -> Result<bool, Failure> {
    let agent = Admin::at(admin);
    let mut missing = String::new();
    for (at, (name, path)) in DOCUMENTS.into_iter().enumerate() {
        match agent.get_within(path, PATIENCE) {
            Ok(text) => archive.add(name, &text)?,
            Err(error) => {
                let _ = writeln!(missing, "{name}: {error}");
                if at == 0 {
                    break;
                }
            }
        }
    }
    let running = !missing.starts_with(DOCUMENTS[0].0);
    if !missing.is_empty() {
        archive.add("missing.txt", &missing)?;
    }
    Ok(running)
}

/// The file without its secrets, and what it comes to. A file that is no TOML is left out, as nobody knows where its
/// secrets are.
fn read_config(path: &Path) -> (String, Result<Config, Failure>) {
    let failed = |error: &dyn std::fmt::Display| {
        let why = Failure::Failed(error.to_string());
        (format!("# {} is left out: it cannot be read\n", path.display()), Err(why))
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return failed(&error),
    };
    let raw = match RawConfig::parse(&text, path) {
        Ok(raw) => raw,
        Err(error) => return failed(&error),
    };
    let join = raw.join.clone();
    let resolved = Config::resolve(raw).map_err(Failure::because);
    let shown =
        join.filter(|join| !join.is_empty()).map_or(text.clone(), |join| text.replace(&join, "(removed)"));
    (shown, resolved)
}

fn system() -> String {
    let mut text = String::new();
    let uname = rustix::system::uname();
    let _ = writeln!(
        text,
        "{} {} {}",
        uname.sysname().to_string_lossy(),
        uname.release().to_string_lossy(),
        uname.machine().to_string_lossy()
    );
    let _ = writeln!(text, "{} cores", std::thread::available_parallelism().map_or(0, |n| n.get()));
    for path in FACTS {
        let fact = fs::read_to_string(path).unwrap_or_else(|error| format!("{error}\n"));
        let _ = writeln!(text, "\n{path}:\n{}", fact.trim_end());
    }
    text
}

/// A compressed archive that is whole or not there.
struct Archive {
    builder: Builder<GzEncoder<File>>,
    out: std::path::PathBuf,
    whole: bool,
}

impl Archive {
    fn create(out: &Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(out);
        let file = file.map_err(|error| {
            Failure::Failed(format!("cannot write {}: {error}; choose another with --out", out.display()))
        })?;
        let builder = Builder::new(GzEncoder::new(file, Compression::default()));
        Ok(Archive { builder, out: out.to_owned(), whole: false })
    }

    /// Adds a text without its secrets.
    fn add(&mut self, name: &str, text: &str) -> Result<(), Failure> {
        let text = scrub(text);
        let bytes = &text.as_bytes()[..text.len().min(MAX_FILE)];
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()));
        let path = format!("{FOLDER}/{name}");
        self.builder.append_data(&mut header, path, bytes).map_err(|error| self.failed(&error))
    }

    fn finish(mut self) -> Result<(), Failure> {
        let written = self.builder.finish().and_then(|()| self.builder.get_mut().try_finish());
        written.map_err(|error| self.failed(&error))?;
        self.whole = true;
        Ok(())
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        Failure::Failed(format!("cannot write {}: {error}; choose another with --out", self.out.display()))
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        if !self.whole {
            // Half an archive is of no use to anybody.
            let _ = fs::remove_file(&self.out);
        }
    }
}
