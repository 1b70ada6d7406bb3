//! The options that all runs of the built agent in the lab have in common.

use std::path::PathBuf;

use crate::Failure;
use crate::workspace::Workspace;

#[derive(Default)]
pub(crate) struct RunOptions {
    /// One document in place of text.
    pub(crate) json: bool,
    release: bool,
    /// Where the files of the run stay.
    pub(crate) keep: Option<PathBuf>,
    /// This binary in place of one built from the sources.
    binary: Option<PathBuf>,
}

impl RunOptions {
    /// Takes `word`, and its value from `more`; false where it is none of these options.
    pub(crate) fn take<'a>(
        &mut self,
        word: &str,
        more: &mut impl Iterator<Item = &'a str>,
    ) -> Result<bool, Failure> {
        match word {
            "--json" => self.json = true,
            "--release" => self.release = true,
            "--keep" => self.keep = Some(more.next().ok_or("--keep needs a folder")?.into()),
            "--binary" => self.binary = Some(more.next().ok_or("--binary needs a file")?.into()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The agent to run.
    pub(crate) fn agent(&self, workspace: &Workspace) -> Result<PathBuf, Failure> {
        match &self.binary {
            Some(binary) => Ok(binary.clone()),
            None => workspace.build("aire", self.release),
        }
    }
}

/// The value of an option that counts something.
pub(crate) fn count<'a>(option: &str, more: &mut impl Iterator<Item = &'a str>) -> Result<u32, Failure> {
    let given = more.next().and_then(|number| number.parse().ok());
    given.filter(|number| *number > 0).ok_or_else(|| format!("{option} needs a number from 1"))
}
