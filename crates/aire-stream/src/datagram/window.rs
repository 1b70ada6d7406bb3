/// Counters behind the highest that are still told apart.
const WIDTH: u64 = 1024;
const WORDS: usize = (WIDTH / 64) as usize;

/// Which counters of one key were seen, so that none counts twice (as RFC 6479 does it, with whole words cleared).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayWindow {
    /// One above the highest counter seen; 0 before any.
    next: u64,
    /// The bit of a counter is at its remainder by the width.
    seen: [u64; WORDS],
}

impl Default for ReplayWindow {
    fn default() -> Self {
        ReplayWindow { next: 0, seen: [0; WORDS] }
    }
}

impl ReplayWindow {
    /// Neither seen nor so old that nobody can tell.
    pub fn is_fresh(&self, counter: u64) -> bool {
        if counter >= self.next {
            return true;
        }
        // One word of the ring is being filled, so the window is a word narrower than the ring.
        let oldest = (self.next / 64 * 64).saturating_sub(WIDTH - 64);
        counter >= oldest && self.seen[word(counter)] & bit(counter) == 0
    }

    /// Notes an authentic counter; false when it is not fresh.
    pub fn take(&mut self, counter: u64) -> bool {
        if !self.is_fresh(counter) {
            return false;
        }
        if counter >= self.next {
            let (from, to) = (self.next / 64, counter / 64);
            // Words that the window enters now; the one that it ends in is entered with its first counter.
            let entered = if self.next.is_multiple_of(64) { from..=to } else { from + 1..=to };
            for at in entered.take(WORDS) {
                self.seen[(at % WORDS as u64) as usize] = 0;
            }
            if to - from >= WORDS as u64 {
                self.seen = [0; WORDS];
            }
            self.next = counter + 1;
        }
        self.seen[word(counter)] |= bit(counter);
        true
    }
}

const fn word(counter: u64) -> usize {
    (counter / 64 % WORDS as u64) as usize
}

const fn bit(counter: u64) -> u64 {
    1 << (counter % 64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_counter_counts_once_in_any_order() {
        let mut window = ReplayWindow::default();
        for counter in [0, 5, 3, 70, 64, 63, 900, 1, 901, 1000] {
            assert!(window.take(counter), "{counter}");
            assert!(!window.is_fresh(counter) && !window.take(counter), "{counter} again");
        }
        assert!(window.take(2), "late");
        assert!(window.take(100_000));
        assert!(!window.take(1001), "far too old");
    }

    #[test]
    fn agrees_with_a_set_within_its_width() {
        let (mut window, mut seen, mut highest) = (ReplayWindow::default(), BTreeSet::new(), 0u64);
        let mut state = 0x2545_f491_4f6c_dd1du64;
        for _ in 0..200_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let jump = if state.is_multiple_of(997) { 5000 } else { 40 };
            let counter = (highest + state % jump).saturating_sub(state % 900);
            let expected = !seen.contains(&counter);
            if counter + WIDTH - 128 > highest {
                assert_eq!(window.take(counter), expected, "{counter} with {highest}");
                seen.insert(counter);
                highest = highest.max(counter);
            } else if window.take(counter) {
                assert!(seen.insert(counter), "{counter} twice");
            }
        }
    }
}
