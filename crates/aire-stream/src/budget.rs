use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Memory that the streams of an agent borrow beyond their guarantees. Clones share it.
#[derive(Clone, Debug)]
pub struct Budget {
    limit: usize,
    used: Arc<AtomicUsize>,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Budget { limit, used: Arc::new(AtomicUsize::new(0)) }
    }

    /// Bytes on loan.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes in all.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Little is left: those who can give back should.
    pub(crate) fn pressed(&self) -> bool {
        self.used() >= self.limit - self.limit / 8
    }

    fn take(&self, bytes: usize) -> bool {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.limit)
            })
            .is_ok()
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What one association has borrowed; returned when it goes.
#[derive(Debug)]
pub(crate) struct Ledger {
    budget: Budget,
    borrowed: usize,
}

impl Ledger {
    pub(crate) fn new(budget: Budget) -> Self {
        Ledger { budget, borrowed: 0 }
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(crate) fn borrowed(&self) -> usize {
        self.borrowed
    }

    /// Changes one loan to `to` bytes; false, and nothing changes, when the budget has no more.
    pub(crate) fn resize(&mut self, loan: &mut usize, to: usize) -> bool {
        if to > *loan {
            if !self.budget.take(to - *loan) {
                return false;
            }
            self.borrowed += to - *loan;
        } else {
            self.budget.give(*loan - to);
            self.borrowed -= *loan - to;
        }
        *loan = to;
        true
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.budget.give(self.borrowed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loans_end_with_their_association() {
        let budget = Budget::new(100);
        let (mut one, mut other) = (Ledger::new(budget.clone()), Ledger::new(budget.clone()));
        let (mut a, mut b) = (0, 0);
        assert!(one.resize(&mut a, 80));
        assert!(!other.resize(&mut b, 21));
        assert!(other.resize(&mut b, 20));
        drop(one);
        assert_eq!(budget.used(), 20);
        assert!(other.resize(&mut b, 0));
        assert_eq!((budget.used(), b), (0, 0));
    }
}
