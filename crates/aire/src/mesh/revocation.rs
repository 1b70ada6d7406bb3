//! `aire mesh revoke`, `reinstate` and `revoked`.

use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use aire_identity::Authority;
use aire_wire::Subject;
use serde_json::json;

use super::{age, print_json, published};
use crate::failure::Failure;
use crate::output::say;
use crate::table::Table;

pub(crate) fn revoke(subject: &Subject, reason: &str, dir: &Path) -> Result<ExitCode, Failure> {
    let authority = Authority::open(dir).map_err(Failure::because)?;
    match authority.revoke(subject, reason, SystemTime::now()).map_err(Failure::because)? {
        Some(notice) => say(&published(&notice, &format!("{subject} is out of the mesh"), dir))?,
        None => say(&format!("{subject} is revoked already\n"))?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn reinstate(subject: &Subject, dir: &Path) -> Result<ExitCode, Failure> {
    let authority = Authority::open(dir).map_err(Failure::because)?;
    let notice = authority.reinstate(subject, SystemTime::now()).map_err(Failure::because)?;
    say(&published(&notice, &format!("{subject} is a member again"), dir))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn revoked(dir: &Path, json: bool) -> Result<ExitCode, Failure> {
    let authority = Authority::open(dir).map_err(Failure::because)?;
    let list = authority.revocations().map_err(Failure::because)?;
    if json {
        print_json(&json!(list.revoked))?;
    } else {
        let mut table = Table::new(&["REVOKED", "SINCE", "REASON"]);
        for revocation in list.revoked {
            let since = format!("{} ago", age(revocation.since));
            table.row([revocation.subject.to_string(), since, revocation.reason]);
        }
        say(&table.text("nobody is revoked"))?;
    }
    Ok(ExitCode::SUCCESS)
}
