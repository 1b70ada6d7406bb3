use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;

use crate::{Discovery, Next, Own};

/// Several adapters as one.
#[derive(Default)]
pub struct Combined {
    adapters: Vec<Box<dyn Discovery>>,
    /// Which adapter is asked first, so that none that always has something silences the others.
    turn: usize,
}

impl Combined {
    /// No adapter yet.
    pub fn new() -> Self {
        Combined::default()
    }

    /// With one more adapter.
    #[must_use]
    pub fn with(mut self, adapter: impl Discovery + 'static) -> Self {
        self.adapters.push(Box::new(adapter));
        self
    }
}

impl Discovery for Combined {
    fn announce(&mut self, own: &Own) {
        self.adapters.iter_mut().for_each(|adapter| adapter.announce(own));
    }

    fn linked(&mut self, address: SocketAddr) {
        self.adapters.iter_mut().for_each(|adapter| adapter.linked(address));
    }

    fn lost(&mut self, address: SocketAddr) {
        self.adapters.iter_mut().for_each(|adapter| adapter.lost(address));
    }

    fn next(&mut self) -> Next<'_> {
        self.turn = self.turn.wrapping_add(1);
        let turn = self.turn % self.adapters.len().max(1);
        let (before, after) = self.adapters.split_at_mut(turn);
        let mut asked: Vec<Option<Next<'_>>> =
            after.iter_mut().chain(before).map(|adapter| Some(adapter.next())).collect();
        Box::pin(poll_fn(move |context| {
            let mut any = false;
            for slot in &mut asked {
                let Some(next) = slot else { continue };
                match next.as_mut().poll(context) {
                    Poll::Ready(Some(finding)) => return Poll::Ready(Some(finding)),
                    Poll::Ready(None) => *slot = None,
                    Poll::Pending => any = true,
                }
            }
            if any { Poll::Pending } else { Poll::Ready(None) }
        }))
    }
}
