use std::collections::BTreeMap;

use aire_wire::StreamId;

/// Which streams have ended: a low-water mark and, above it, ranges. Ids rise, so there are about as many
/// ranges as streams still live.
#[derive(Debug)]
pub(crate) struct Ended {
    /// All below ended.
    low_water: u64,
    /// Ranges above, first to last, neither adjacent nor overlapping.
    above: BTreeMap<u64, u64>,
}

impl Ended {
    pub(crate) fn new() -> Self {
        Ended { low_water: 1, above: BTreeMap::new() }
    }

    pub(crate) fn contains(&self, stream: StreamId) -> bool {
        stream.0 < self.low_water
            || self.above.range(..=stream.0).next_back().is_some_and(|(_, last)| stream.0 <= *last)
    }

    pub(crate) fn insert(&mut self, stream: StreamId) {
        let id = stream.0;
        if self.contains(stream) {
            return;
        }
        let mut first = id;
        let mut last = id;
        if let Some((&start, &end)) = self.above.range(..id).next_back()
            && end + 1 == id
        {
            first = start;
        }
        if let Some(end) = self.above.remove(&(id + 1)) {
            last = end;
        }
        if first == self.low_water {
            self.above.remove(&first);
            self.low_water = last + 1;
        } else {
            self.above.insert(first, last);
        }
    }

    /// How many ranges are remembered above the mark.
    pub(crate) fn ranges(&self) -> usize {
        self.above.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_order_ends_in_a_low_water_mark() {
        for order in [[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], [2, 4, 6, 5, 3, 1], [3, 1, 2, 6, 4, 5]] {
            let mut ended = Ended::new();
            for (done, id) in order.iter().enumerate() {
                ended.insert(StreamId(*id));
                for other in 1..=6 {
                    assert_eq!(ended.contains(StreamId(other)), order[..=done].contains(&other));
                }
            }
            assert_eq!((ended.low_water, ended.ranges()), (7, 0));
        }
    }
}
