//! The commands that ask a running agent.

mod apps;
mod events;
mod peers;
mod ping;
mod routes;
mod status;
mod streams;

use std::process::ExitCode;

use serde::de::DeserializeOwned;

use crate::admin::{Admin, parse};
use crate::args::Ask;
use crate::failure::Failure;
use crate::output::say;

pub(crate) use apps::apps;
pub(crate) use events::events;
pub(crate) use peers::peers;
pub(crate) use ping::ping;
pub(crate) use routes::{candidates, explain, routes};
pub(crate) use status::status;
pub(crate) use streams::streams;

type Done = Result<ExitCode, Failure>;

/// Gets the document at `path` and prints it: as it is, or as what `text` makes of it.
fn show<T: DeserializeOwned>(ask: &Ask, path: &str, text: impl FnOnce(&T) -> String) -> Done {
    print(ask, &Admin::at(&ask.admin).get(path)?, text)
}

fn print<T: DeserializeOwned>(ask: &Ask, document: &str, text: impl FnOnce(&T) -> String) -> Done {
    if ask.json {
        say(&format!("{}\n", document.trim_end()))?;
    } else {
        say(&text(&parse(document)?))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Text for something that may be missing.
fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
