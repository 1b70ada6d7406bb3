//! `aire mesh policy`: the policies of the whole mesh.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use aire_identity::Authority;
use aire_policy::{PolicySet, Severity};
use aire_wire::{Notice, NoticeKind, PolicyBody, PolicyText};
use clap::Subcommand;
use serde_json::json;

use super::{age, print_json};
use crate::failure::Failure;
use crate::output::say;
use crate::table::Table;

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Check Cedar files and make them the mesh's next policy
    Publish {
        /// Cedar files; together they are the whole policy
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Where the authority is kept
        #[arg(long)]
        dir: PathBuf,
    },
    /// Print the policy in force, or an earlier one
    Show {
        /// Which version
        version: Option<u64>,
        /// Where the authority is kept
        #[arg(long)]
        dir: PathBuf,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// List the versions, newest last
    History {
        /// Where the authority is kept
        #[arg(long)]
        dir: PathBuf,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Publish an earlier version's content once more, as the next version
    Rollback {
        /// Which version's (default: that before the current)
        version: Option<u64>,
        /// Where the authority is kept
        #[arg(long)]
        dir: PathBuf,
    },
    /// Publish that the mesh has no policy of its own: each agent's files decide alone
    Withdraw {
        /// Where the authority is kept
        #[arg(long)]
        dir: PathBuf,
    },
}

pub(crate) fn execute(command: Policy) -> Result<ExitCode, Failure> {
    match command {
        Policy::Publish { files, dir } => publish(&files, &dir)?,
        Policy::Show { version, dir, json } => show(&open(&dir)?, version, json)?,
        Policy::History { dir, json } => history(&open(&dir)?, json)?,
        Policy::Rollback { version, dir } => {
            let (notice, of) =
                open(&dir)?.roll_policy_back(version, SystemTime::now()).map_err(Failure::because)?;
            let what = format!("with the content of version {of}");
            say(&super::published(&notice, &what, &dir))?;
        }
        Policy::Withdraw { dir } => {
            let notice = open(&dir)?.publish_policy(None, SystemTime::now()).map_err(Failure::because)?;
            let what =
                "empty: what agents' own files say holds alone, and agents without files deny everything";
            say(&super::published(&notice, what, &dir))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn open(dir: &Path) -> Result<Authority, Failure> {
    Authority::open(dir).map_err(Failure::because)
}

fn publish(files: &[PathBuf], dir: &Path) -> Result<(), Failure> {
    let authority = open(dir)?;
    let mut texts: Vec<PolicyText> = Vec::new();
    let mut errors = 0;
    for file in files {
        let shown = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::Failed(format!("cannot read {shown}: {error}")))?;
        for finding in aire_policy::check(&shown, &text) {
            errors += usize::from(finding.severity == Severity::Error);
            say(&format!("{finding}\n"))?;
        }
        // A path on this machine says nothing elsewhere.
        let name = file.file_name().map_or(shown, |name| name.to_string_lossy().into_owned());
        if texts.iter().any(|before| before.name == name) {
            return Err(Failure::Usage(format!(
                "two files are called {name}; verdicts name them, so rename one"
            )));
        }
        texts.push(PolicyText { name, text });
    }
    if errors > 0 {
        return Err(Failure::Failed(format!("{errors} errors; nothing was published")));
    }
    let pairs: Vec<_> = texts.iter().map(|text| (text.name.clone(), text.text.clone())).collect();
    let set = PolicySet::parse(&pairs).map_err(Failure::because)?;
    let notice = authority.publish_policy(Some(texts), SystemTime::now()).map_err(Failure::because)?;
    let what = format!("with {} policies from {} files", set.len(), files.len());
    say(&super::published(&notice, &what, dir))
}

fn body(notice: &Notice) -> Result<PolicyBody, Failure> {
    notice.policy().map_err(Failure::because)
}

fn show(authority: &Authority, version: Option<u64>, json: bool) -> Result<(), Failure> {
    let notice = match version {
        Some(version) => authority.notice_of(NoticeKind::Policy, version),
        None => authority.notice(NoticeKind::Policy),
    };
    let Some(notice) = notice.map_err(Failure::because)? else {
        return Err(Failure::Failed(match version {
            Some(version) => {
                format!("version {version} is not kept; 'aire mesh policy history' lists those that are")
            }
            None => "no policy was published yet; 'aire mesh policy publish FILE' does that".to_owned(),
        }));
    };
    let texts = body(&notice)?.texts;
    if json {
        return print_json(&json!({"version": notice.version, "issued": notice.issued, "texts": texts}));
    }
    say(&format!("// version {}, published {} ago\n", notice.version, age(notice.issued)))?;
    let Some(texts) = texts else { return say("// withdrawn: the mesh has no policy of its own\n") };
    texts.iter().try_for_each(|text| say(&format!("// {}\n{}\n", text.name, text.text.trim_end())))
}

fn history(authority: &Authority, json: bool) -> Result<(), Failure> {
    let mut table = Table::new(&[">VERSION", "PUBLISHED", "FILES"]);
    let mut rows = Vec::new();
    for version in authority.versions(NoticeKind::Policy).map_err(Failure::because)? {
        let notice = authority.notice_of(NoticeKind::Policy, version).map_err(Failure::because)?;
        let Some(notice) = notice else { continue };
        let texts = body(&notice)?.texts;
        let names: Option<Vec<String>> = texts.map(|texts| texts.into_iter().map(|text| text.name).collect());
        let shown = names.as_ref().map_or("(withdrawn)".to_owned(), |names| names.join(", "));
        table.row([version.to_string(), format!("{} ago", age(notice.issued)), shown]);
        rows.push(json!({"version": version, "issued": notice.issued, "files": names}));
    }
    if json { print_json(&json!(rows)) } else { say(&table.text("no policy was published yet")) }
}
