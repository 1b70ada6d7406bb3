//! `aire model`.

use std::path::Path;
use std::process::ExitCode;

use aire_train::learn::{SigningKey, hexadecimal, inspect, write_untrained};

use crate::args::Model;
use crate::failure::Failure;
use crate::output::say;

pub(crate) fn execute(asked: &Model) -> Result<ExitCode, Failure> {
    match asked {
        Model::Key { file } => key(file)?,
        Model::Untrained { file, key, herd } => {
            write_untrained(file, key, *herd).map_err(Failure::because)?;
        }
        Model::Show { file, json } => show(file, *json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints nothing but the public key, so that it can go into a configuration.
fn key(file: &Path) -> Result<(), Failure> {
    let (key, _) = SigningKey::load_or_create(file).map_err(Failure::because)?;
    say(&format!("{}\n", hexadecimal(key.public_key())))
}

fn show(file: &Path, json: bool) -> Result<(), Failure> {
    let (artefact, signer) = inspect(file).map_err(Failure::because)?;
    let (name, trained, signer) = (&artefact.name, &artefact.summary, hexadecimal(&signer));
    if json {
        let document = serde_json::json!({ "name": name, "trained": trained, "signed_by": signer });
        return say(&format!("{document}\n"));
    }
    say(&format!("model {name}\ntrained on {trained}\nsigned by {signer}\n"))
}
