use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// Pipes in use at a time. Beyond, relaying copies until one is free: a slow receiver holds a pipe as long as bytes
/// are in it, and the kernel's budget of pipe pages per user (16,384) must not run out.
const MAX_IN_USE: usize = 192;
/// Empty pipes that are kept.
const MAX_IDLE: usize = 32;
/// What a pipe may hold. Its budget is counted in pages: 192 of these are 12,288.
const CAPACITY: usize = 256 * 1024;

/// Pipes for splicing, lent only while bytes are in them.
#[derive(Debug)]
pub(crate) struct PipePool {
    idle: Mutex<Vec<Ends>>,
    in_use: AtomicUsize,
}

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

/// A pipe that holds `filled` bytes. Goes back to the pool when dropped empty, and is closed when dropped otherwise.
#[derive(Debug)]
pub(crate) struct Pipe {
    ends: Option<Ends>,
    pub(crate) filled: usize,
    pool: Arc<PipePool>,
}

impl PipePool {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(PipePool { idle: Mutex::default(), in_use: AtomicUsize::new(0) })
    }

    /// An empty pipe; `None` when too many are in use or this machine gives no more.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Pipe> {
        let in_use = self.in_use.fetch_add(1, Ordering::Relaxed) + 1;
        if in_use > MAX_IN_USE {
            self.in_use.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(ends) = idle.or_else(|| make().ok()) else {
            self.in_use.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        Some(Pipe { ends: Some(ends), filled: 0, pool: self.clone() })
    }
}

fn make() -> io::Result<Ends> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // a user beyond the budget gets what the kernel gives
    let _ = fcntl_setpipe_size(&write, CAPACITY);
    Ok(Ends { read, write })
}

impl Pipe {
    /// Where bytes come out.
    pub(crate) fn exit(&self) -> &OwnedFd {
        &self.ends().read
    }

    /// Where bytes go in.
    pub(crate) fn entry(&self) -> &OwnedFd {
        &self.ends().write
    }

    fn ends(&self) -> &Ends {
        self.ends.as_ref().expect("only drop takes the ends")
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.pool.in_use.fetch_sub(1, Ordering::Relaxed);
        if let Some(ends) = self.ends.take().filter(|_| self.filled == 0) {
            let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < MAX_IDLE {
                idle.push(ends);
            }
        }
    }
}
