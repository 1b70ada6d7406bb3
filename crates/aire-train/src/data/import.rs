//! From a folder to what it holds.

use std::path::{Path, PathBuf};

use super::description::{Description, FILE};
use super::error::Error;
use super::series::{self, Series};
use super::{Frames, Matrix, frames, pairs, records};

/// A described folder that was not read yet.
#[derive(Clone, Debug)]
pub struct Source {
    /// The folder.
    pub dir: PathBuf,
    /// Its name.
    pub name: String,
    /// What it holds.
    pub description: Description,
}

/// What a folder held.
#[derive(Clone, Debug)]
pub enum Recording {
    /// Measurements between all pairs.
    Frames(Frames),
    /// Single pairs or links, among which there is nothing to choose.
    Series(Vec<Series>),
}

/// The folders with a `trace.toml` at `dir`: itself, else those right below it, by name.
///
/// # Errors
/// Where there is none.
pub fn folders(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    if dir.join(FILE).is_file() {
        return Ok(vec![dir.to_owned()]);
    }
    let unreadable = |error: std::io::Error| Error::in_file(dir, format!("cannot be read: {error}"));
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let folder = entry.map_err(unreadable)?.path();
        if folder.join(FILE).is_file() {
            folders.push(folder);
        }
    }
    if folders.is_empty() {
        let message =
            format!("has no {FILE}, and no folder in it has one: write one that says what the files hold");
        return Err(Error::in_file(dir, message));
    }
    folders.sort();
    Ok(folders)
}

/// The [`folders`] at `dir` with their descriptions.
///
/// # Errors
/// Where there is none, or a description is wrong.
pub fn sources(dir: &Path) -> Result<Vec<Source>, Error> {
    folders(dir)?.iter().map(|folder| Source::open(folder)).collect()
}

/// What the set in a folder is called: as the folder.
pub fn name(dir: &Path) -> String {
    let full = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    full.file_name().map_or_else(|| "traces".into(), |name| name.to_string_lossy()).into_owned()
}

impl Source {
    /// Reads the description of one folder.
    ///
    /// # Errors
    /// Where it is missing or wrong.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let description = Description::read(dir)?;
        Ok(Source { dir: dir.to_owned(), name: name(dir), description })
    }

    /// Reads what the folder holds.
    ///
    /// # Errors
    /// Where a file cannot be read or is not what the description says.
    pub fn read(&self) -> Result<Recording, Error> {
        Ok(match &self.description {
            Description::Frames(described) => {
                Recording::Frames(frames::read(&self.dir, &self.name, described)?)
            }
            Description::Pairs(described) => {
                Recording::Frames(pairs::read(&self.dir, &self.name, described)?)
            }
            Description::Records(described) => {
                Recording::Frames(records::read(&self.dir, &self.name, described)?)
            }
            Description::Series(described) => Recording::Series(series::read(&self.dir, described)?),
            Description::Capacity(described) => {
                Recording::Series(series::read_capacity(&self.dir, described)?)
            }
        })
    }

    /// What was measured between all pairs; `None`, and nothing is read, where there are single links.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn read_pairs(&self) -> Result<Option<Frames>, Error> {
        if self.description.is_single_links() {
            return Ok(None);
        }
        Ok(match self.read()? {
            Recording::Frames(frames) => Some(frames),
            Recording::Series(_) => None,
        })
    }

    /// Shares of answers and packets that were lost on direct paths, 0 to 1: as many matrices of the same nodes as
    /// [`Source::read`] has, or none where the kind of recording holds no loss.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn read_losses(&self) -> Result<Vec<Matrix>, Error> {
        match &self.description {
            Description::Records(described) => records::read_losses(&self.dir, described),
            _ => Ok(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests;
