//! An identity in files that somebody else writes: an own PKI, a certificate manager, a secret mounted by an orchestrator.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls_pki_types::CertificateDer;
use serde::Serialize;

use crate::issued::{Issued, IssuedError};
use crate::key::{KeyError, NodeKey};
use crate::pem;
use crate::state::{self, StateError};

const REMEDY: &str = "check the path, and that whoever writes it has done so";

/// Why files make no identity. Each message names the file.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// One cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// One holds no certificates.
    #[error("{} holds no certificates in PEM: {what}; whoever writes it is to blame", path.display())]
    Certificates {
        /// Which one.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The key.
    #[error("{}: {source}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: KeyError,
    },
    /// They do not belong together.
    #[error("{} with {} and {}: {source}", files.certificate.display(), files.key.display(), files.ca.display())]
    Issued {
        /// Which ones.
        files: Box<Files>,
        /// What is wrong.
        source: IssuedError,
    },
}

/// The three files of an identity, PEM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Files {
    /// The SVID, leaf first, intermediate certificates behind it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities' certificates.
    pub ca: PathBuf,
}

/// What tells one state of the files from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp([Option<FileStamp>; 3]);

#[derive(Clone, Debug, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds.
    changed: (i64, i64),
}

impl Files {
    /// Reads and checks them.
    ///
    /// # Errors
    /// See [`FilesError`].
    pub fn load(&self, now: SystemTime) -> Result<Issued, FilesError> {
        let chain = certificates(&self.certificate)?;
        let key = NodeKey::from_pem(&state::read(&self.key, REMEDY)?)
            .map_err(|source| FilesError::Key { path: self.key.clone(), source })?;
        let roots = certificates(&self.ca)?;
        Issued::new(chain, key, roots, now)
            .map_err(|source| FilesError::Issued { files: Box::new(self.clone()), source })
    }

    /// What differs once one of them was written or replaced, also through symbolic links.
    pub fn stamp(&self) -> Stamp {
        Stamp([&self.certificate, &self.key, &self.ca].map(|path| {
            let of = std::fs::metadata(path).ok()?;
            Some(FileStamp {
                device: of.dev(),
                inode: of.ino(),
                length: of.len(),
                changed: (of.mtime(), of.mtime_nsec()),
            })
        }))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FilesError> {
    let text = state::read(path, REMEDY)?;
    pem::decode_certificates(&text).map_err(|what| FilesError::Certificates { path: path.to_owned(), what })
}
