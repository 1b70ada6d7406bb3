//! Files that outlive the process: written whole or not at all, readable by their owner only.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// No file of ours comes near this; a larger one is damaged.
const MAX_FILE: u64 = 1 << 20;

/// Why something kept on disk cannot be used. To blame is this machine, or whoever edited the file.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file or directory could not be read.
    #[error("cannot read {}: {source}; check that it exists and belongs to the user that runs this", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or directory could not be written.
    #[error("cannot write {}: {source}; check the directory's owner and the free space", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not there.
    #[error("{} does not exist; {remedy}", path.display())]
    Missing {
        /// Which one.
        path: PathBuf,
        /// What the operator can do.
        remedy: &'static str,
    },
    /// It is there, but not what it should be.
    #[error("{} is damaged ({what}); {remedy}", path.display())]
    Corrupt {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What the operator can do.
        remedy: &'static str,
    },
    /// It is secret, and others on this machine can read it.
    #[error("others on this machine can read {} (mode {mode:o}); chmod 600 it, and replace it if somebody may have read it", path.display())]
    Exposed {
        /// Which one.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Another process has it.
    #[error("{} is used by another agent{}; stop that one, or give this one a --state of its own", path.display(), by.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Which process, where it has said so.
        by: Option<u32>,
    },
    /// A mesh would be created over another one.
    #[error("{} holds the mesh authority already; choose another directory", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// The system gave no random numbers.
    #[error("this machine's random number generator failed; nothing was created")]
    Random,
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}; this is a bug in AIRE")]
    Certificate(String),
}

impl StateError {
    pub(crate) fn corrupt(path: &Path, what: impl ToString, remedy: &'static str) -> Self {
        StateError::Corrupt { path: path.to_owned(), what: what.to_string(), remedy }
    }

    fn write(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| StateError::Write { path: path.to_owned(), source }
    }
}

/// Bytes from the system's generator.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], StateError> {
    use ring::rand::SecureRandom;
    let mut bytes = [0; N];
    ring::rand::SystemRandom::new().fill(&mut bytes).map_err(|_| StateError::Random)?;
    Ok(bytes)
}

/// Makes `dir` (and what leads to it) where it is missing; it alone is closed to others.
pub(crate) fn private_dir(dir: &Path) -> Result<(), StateError> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).map_err(StateError::write(parent))?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(source) => Err(StateError::Write { path: dir.to_owned(), source }),
    }
}

/// As [`private_dir`], and closes a directory that was there before.
pub(crate) fn close_dir(dir: &Path) -> Result<(), StateError> {
    private_dir(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(StateError::write(dir))
}

/// Replaces `path` (mode 0600) with `bytes`: after a crash it holds the old content or the new, never a part.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = dir.join(format!(".{name}.{}.tmp", hex::encode(random::<8>()?)));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(dir)?.sync_all()
    })();
    written.map_err(|source| {
        // Best effort: the temporary file may not exist, and the first error is the one to report.
        let _ = fs::remove_file(&temporary);
        StateError::Write { path: path.to_owned(), source }
    })
}

/// The content of `path`, or `None` where there is no such file.
pub(crate) fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    let read = |source| StateError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(read(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(read)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(StateError::corrupt(path, "larger than a mebibyte", "move it away and try again"));
    }
    Ok(Some(bytes))
}

/// The content of `path`.
pub(crate) fn read(path: &Path, remedy: &'static str) -> Result<Vec<u8>, StateError> {
    read_optional(path)?.ok_or_else(|| StateError::Missing { path: path.to_owned(), remedy })
}

/// Fails where others can read `path`, which holds a secret; a file that is not there is no matter.
pub(crate) fn closed(path: &Path) -> Result<(), StateError> {
    let mode = fs::metadata(path).map_or(0, |file| file.permissions().mode() & 0o777);
    if mode & 0o077 == 0 { Ok(()) } else { Err(StateError::Exposed { path: path.to_owned(), mode }) }
}

/// A state directory in use, by one agent at a time; freed on drop and when the process dies.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes `dir`, which is made where it is missing.
    ///
    /// # Errors
    /// It cannot be written, or another agent has it.
    pub fn acquire(dir: &Path) -> Result<Self, StateError> {
        private_dir(dir)?;
        let path = dir.join("agent.lock");
        let mut open = OpenOptions::new();
        open.create(true).truncate(false).read(true).write(true).mode(0o600);
        let mut file = open.open(&path).map_err(StateError::write(&path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                let _ = (&file).take(16).read_to_string(&mut pid);
                return Err(StateError::InUse { path: dir.to_owned(), by: pid.trim().parse().ok() });
            }
            Err(error) => return Err(StateError::write(&path)(error.into())),
        }
        // Only for the message of whoever comes second.
        let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(StateLock { _file: file })
    }
}

/// Held by one owner at a time, across threads and processes; freed on drop and when the process dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    pub(crate) fn acquire(path: &Path) -> Result<Self, StateError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)
            .map_err(StateError::write(path))?;
        loop {
            match flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(StateError::write(path)(error.into())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_private_and_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(read_optional(&path).unwrap().unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn one_agent_has_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let held = StateLock::acquire(dir.path()).unwrap();
        let second = StateLock::acquire(dir.path());
        let own = std::process::id();
        assert!(matches!(second, Err(StateError::InUse { by: Some(pid), .. }) if pid == own), "{second:?}");
        drop(held);
        StateLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(matches!(write_atomic(&path, b"x"), Err(StateError::Write { .. })));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_absent_file_is_no_error_but_a_huge_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        assert_eq!(read_optional(&path).unwrap(), None);
        fs::write(&path, vec![0; MAX_FILE as usize + 1]).unwrap();
        assert!(matches!(read_optional(&path), Err(StateError::Corrupt { .. })));
    }
}
