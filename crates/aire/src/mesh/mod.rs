//! `aire mesh`: what is done with the authority's folder.

pub(crate) mod policy;
mod revocation;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use aire_identity::{Authority, Scope as Grant};
use aire_types::MeshName;
use aire_wire::Notice;

use crate::args::{Mesh, Scope};
use crate::failure::Failure;
use crate::output::say;

/// The starter policy's place in the authority's folder.
const POLICY_FILE: &str = "policy.cedar";

pub(crate) fn execute(command: Mesh) -> Result<ExitCode, Failure> {
    match command {
        Mesh::Create { name, dir } => create(&name, &dir),
        Mesh::Invite { dir, scope, ttl, uses, seed } => invite(&dir, &scope, ttl, uses, seed),
        Mesh::Policy(command) => policy::execute(command),
        Mesh::Revoke { subject, dir, reason } => revocation::revoke(&subject, &reason, &dir),
        Mesh::Reinstate { subject, dir } => revocation::reinstate(&subject, &dir),
        Mesh::Revoked { dir, json } => revocation::revoked(&dir, json),
    }
}

fn create(name: &str, dir: &Path) -> Result<ExitCode, Failure> {
    let mesh: MeshName = name.parse().map_err(Failure::usage)?;
    Authority::create(dir, mesh, SystemTime::now()).map_err(Failure::because)?;
    let policy = dir.join(POLICY_FILE);
    write_starter_policy(&policy)?;
    let shown = dir.display();
    println!("The mesh '{name}' is made; its authority and a starter policy are in {shown}.");
    println!();
    println!("Next, on this machine (HOST is how others reach it):");
    println!("  aire run --authority {shown} --policy {}", policy.display());
    println!("  aire mesh invite --dir {shown} --app echo --seed HOST:7117");
    println!("and on the machine where the app 'echo' listens on port 8080:");
    println!("  aire run --join TOKEN --app echo=127.0.0.1:8080 --policy FILE");
    println!("Nobody may connect until a policy says so: see the comment in {}.", policy.display());
    Ok(ExitCode::SUCCESS)
}

fn write_starter_policy(path: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Failed(format!("cannot write {}: {error}", path.display()));
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(aire_policy::STARTER.as_bytes()).map_err(failed)
}

fn invite(
    dir: &Path,
    scope: &Scope,
    ttl: Duration,
    uses: u32,
    seeds: Vec<String>,
) -> Result<ExitCode, Failure> {
    let grant = match &scope.app {
        Some(app) => Grant::App(app.parse().map_err(Failure::usage)?),
        None => Grant::Relay,
    };
    let authority = Authority::open(dir).map_err(Failure::because)?;
    if seeds.is_empty() {
        eprintln!(
            "aire: no --seed given; the token works only where multicast finds the mesh, or with --seed on the other side"
        );
    }
    let token = authority.invite(grant, ttl, uses, seeds, SystemTime::now()).map_err(Failure::because)?;
    say(&format!("{}\n", token.reveal()))?;
    Ok(ExitCode::SUCCESS)
}

/// What is said of a notice that was just signed.
fn published(notice: &Notice, what: &str, dir: &Path) -> String {
    format!(
        "{} {}: {what}\nAn agent that runs with --authority {} tells the mesh within a second.\n",
        notice.kind,
        notice.version,
        dir.display()
    )
}

/// How long ago a moment was, given in seconds since 1970.
fn age(unix_s: u64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    crate::figures::span(now.saturating_sub(unix_s) as f64)
}

fn print_json(document: &serde_json::Value) -> Result<(), Failure> {
    say(&format!("{document}\n"))
}
