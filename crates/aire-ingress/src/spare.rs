use std::fs::File;
use std::task::{Context, Poll, Waker};

use tokio::net::TcpListener;

/// The most connections that are refused in one go.
const MOST: usize = 256;

/// A descriptor for hard times: with it, connections that cannot be served are reset instead of left in the kernel's
/// queue, where their clients would wait for an answer.
pub(crate) struct Spare(Option<File>);

impl Spare {
    pub(crate) fn new() -> Self {
        Spare(File::open("/dev/null").ok())
    }

    /// Resets the connections that wait at `listener`, and takes a descriptor for the next time.
    pub(crate) fn refuse(&mut self, listener: &TcpListener) {
        if self.0.take().is_some() {
            // Nobody is to be woken: the next accept waits by itself.
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..MOST {
                let Poll::Ready(Ok((socket, _))) = listener.poll_accept(&mut context) else { break };
                let _ = socket.set_zero_linger();
            }
        }
        *self = Spare::new();
    }
}
