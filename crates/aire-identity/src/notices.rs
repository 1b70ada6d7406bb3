//! Notices of the authority as members keep them.

use std::path::{Path, PathBuf};

use aire_wire::{Notice, NoticeKind};

use crate::state::{self, StateError};
use crate::trust::TrustBundle;

const REMEDY: &str = "remove it: the next peer that is linked tells it again";

fn path(dir: &Path, kind: NoticeKind) -> PathBuf {
    dir.join(format!("{kind}.notice"))
}

/// The notices kept in the state directory `dir`, their signatures checked.
///
/// # Errors
/// One cannot be read, is damaged or is not of this mesh's authority; each names the file. Going on without what was
/// revoked or forbidden would be worse than not to start.
pub fn load_notices(dir: &Path, trust: &TrustBundle) -> Result<Vec<Notice>, StateError> {
    let mut notices = Vec::new();
    for kind in NoticeKind::ALL {
        let path = path(dir, kind);
        let Some(bytes) = state::read_optional(&path)? else { continue };
        let corrupt = |what: String| StateError::corrupt(&path, what, REMEDY);
        let notice = Notice::decode(&bytes).map_err(|error| corrupt(error.to_string()))?;
        if notice.kind != kind {
            return Err(corrupt(format!("it is about {}", notice.kind)));
        }
        trust.verify_notice(&notice).map_err(|error| corrupt(error.to_string()))?;
        notices.push(notice);
    }
    Ok(notices)
}

/// Keeps a notice in `dir` (mode 0600), in place of the one before.
///
/// # Errors
/// It cannot be written.
pub fn keep_notice(dir: &Path, notice: &Notice) -> Result<(), StateError> {
    state::private_dir(dir)?;
    state::write_atomic(&path(dir, notice.kind), &notice.encode())
}
