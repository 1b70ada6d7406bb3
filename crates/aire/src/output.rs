//! Standard output, whose reader may leave early (`aire events | head`).

use std::io::{ErrorKind, Write};

use crate::failure::Failure;

/// Prints `text` as it is.
pub(crate) fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::Unread,
        _ => Failure::Failed(format!("standard output cannot be written: {error}")),
    })
}
