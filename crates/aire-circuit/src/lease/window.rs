/// Which preamble counters were seen: a window of 64 below the highest (RFC 4303 §3.4.3).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReplayWindow {
    highest: u64,
    seen: u64,
}

impl ReplayWindow {
    /// Takes the counter, or tells that it was used or is too old.
    pub(crate) fn take(&mut self, counter: u64) -> bool {
        if counter > self.highest {
            let ahead = counter - self.highest;
            self.seen = if ahead >= 64 { 0 } else { self.seen << ahead };
            self.seen |= 1;
            self.highest = counter;
            return true;
        }
        let behind = self.highest - counter;
        if behind >= 64 || counter == 0 || self.seen >> behind & 1 == 1 {
            return false;
        }
        self.seen |= 1 << behind;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_once_and_none_from_before_the_window() {
        let mut window = ReplayWindow::default();
        assert!(window.take(1) && window.take(3) && window.take(2));
        assert!(!window.take(1) && !window.take(2) && !window.take(3) && !window.take(0));
        assert!(window.take(66) && !window.take(2) && !window.take(3));
        assert!(window.take(4) && !window.take(4));
        assert!(window.take(u64::MAX) && !window.take(u64::MAX) && window.take(u64::MAX - 63));
        assert!(!window.take(u64::MAX - 64));
    }

    #[test]
    fn agrees_with_a_set_of_all_counters() {
        let mut state = 7_u64;
        let mut window = ReplayWindow::default();
        let mut used = std::collections::BTreeSet::new();
        let mut highest = 0;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let counter = (highest + 10_u64).saturating_sub((state >> 33) % 100);
            let expected = counter > 0 && counter + 64 > highest && !used.contains(&counter);
            assert_eq!(window.take(counter), expected, "{counter} after {highest}");
            if expected {
                used.insert(counter);
                highest = highest.max(counter);
            }
        }
    }
}
