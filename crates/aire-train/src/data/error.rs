use std::fmt;
use std::path::{Path, PathBuf};

/// Why recorded data cannot be read: where, what is wrong there, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// The file or folder.
    pub file: PathBuf,
    /// The line in it, from 1, where one is to blame.
    pub line: Option<usize>,
    /// What is wrong and what to do.
    pub message: String,
}

impl Error {
    /// Something about a whole file or folder.
    pub fn in_file(file: &Path, message: impl Into<String>) -> Self {
        Error { file: file.to_owned(), line: None, message: message.into() }
    }

    /// Something in one line, counted from 1.
    pub fn in_line(file: &Path, line: usize, message: impl Into<String>) -> Self {
        Error { file: file.to_owned(), line: Some(line), message: message.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// The text of a file.
pub(super) fn read_text(file: &Path) -> Result<String, Error> {
    std::fs::read_to_string(file).map_err(|error| Error::in_file(file, format!("cannot be read: {error}")))
}
