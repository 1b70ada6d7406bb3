use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aire_admin::documents::Finding;
use rustix::fs::{Access, AtFlags, CWD, accessat, statvfs};

const CHECK: &str = "state";
/// What the files of a state folder may take, with their successors beside them.
const ROOM: u64 = 2 << 20;

/// Can the state folder be written, and is it closed to others?
pub(super) fn check(folder: &Path) -> Vec<Finding> {
    let Some(existing) = folder.ancestors().find(|path| path.exists()) else {
        return vec![Finding::not_checked(CHECK, format!("{} has no folder above it", folder.display()))];
    };
    let mut findings = vec![writable(folder, existing)];
    findings.extend(exposed(folder));
    findings
}

fn writable(folder: &Path, existing: &Path) -> Finding {
    let shown = existing.display();
    if !existing.is_dir() {
        let advice = "move it away, or choose another with --state".to_owned();
        return Finding::fail(CHECK, format!("{shown} is no folder"), Some(advice));
    }
    if let Err(error) = accessat(CWD, existing, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
        let advice = "check its owner and how it is mounted, or choose another with --state".to_owned();
        return Finding::fail(CHECK, format!("{shown} cannot be written: {error}"), Some(advice));
    }
    let room = statvfs(existing).map(|disk| (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_ffree));
    match room {
        Ok((bytes, files)) if bytes < ROOM || files == 0 => {
            let says = format!("{shown} has {} KiB and {files} files left", bytes / 1024);
            Finding::fail(CHECK, says, Some("make room: certificates cannot be kept".to_owned()))
        }
        Ok((bytes, _)) if folder == existing => {
            Finding::ok(CHECK, format!("{shown} can be written, {} MiB are free", bytes >> 20))
        }
        Ok(_) => Finding::ok(CHECK, format!("{} would be made in {shown}", folder.display())),
        Err(error) => Finding::not_checked(CHECK, format!("the room in {shown} is not known: {error}")),
    }
}

/// Secrets that others on this machine can read.
fn exposed(folder: &Path) -> Option<Finding> {
    let key = folder.join("node.key");
    let mode = fs::metadata(&key).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        let advice = format!("chmod 600 {}", key.display());
        Finding::fail(CHECK, format!("others can read {} (mode {mode:o})", key.display()), Some(advice))
    })
}
