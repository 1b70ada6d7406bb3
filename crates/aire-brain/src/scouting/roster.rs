use std::collections::BTreeMap;

use aire_types::NodeName;

/// Names on the outside, small numbers on the inside. Bounded: a full roster takes somebody in for one who is gone, or not at all.
#[derive(Clone, Debug)]
pub(super) struct Roster {
    numbers: BTreeMap<NodeName, usize>,
    names: Vec<NodeName>,
    /// Members of the mesh at this moment; the others are remembered until their room is needed.
    present: Vec<bool>,
    most: usize,
}

/// Somebody was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) number: usize,
    /// The number stood for another node before.
    pub(super) reused: bool,
}

impl Roster {
    /// The node itself has the number 0; there is room for `most` in all.
    pub(super) fn new(own: NodeName, most: usize) -> Self {
        Roster {
            numbers: BTreeMap::from([(own.clone(), 0)]),
            names: vec![own],
            present: vec![true],
            most: most.max(1),
        }
    }

    /// How many numbers are in use, those of nodes that are gone included.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Whoever comes now takes the number of somebody.
    pub(super) fn is_full(&self) -> bool {
        self.names.len() >= self.most
    }

    pub(super) fn number(&self, node: &NodeName) -> Option<usize> {
        self.numbers.get(node).copied()
    }

    pub(super) fn name(&self, number: usize) -> &NodeName {
        &self.names[number]
    }

    pub(super) fn is_present(&self, number: usize) -> bool {
        self.present[number]
    }

    /// All others that are members at this moment, by number.
    pub(super) fn others(&self) -> impl Iterator<Item = (usize, &NodeName)> {
        self.names.iter().enumerate().skip(1).filter(|(number, _)| self.present[*number])
    }

    /// Who is a member at this moment, of those that have numbers.
    pub(super) fn see(&mut self, is_member: impl Fn(&NodeName) -> bool) {
        for (number, name) in self.names.iter().enumerate().skip(1) {
            self.present[number] = is_member(name);
        }
    }

    /// Gives `node` a number, its own where it has one; `None` where all numbers stand for members.
    pub(super) fn enter(&mut self, node: &NodeName) -> Option<Entry> {
        if let Some(number) = self.number(node) {
            self.present[number] = true;
            return Some(Entry { number, reused: false });
        }
        let (number, reused) = if self.names.len() < self.most {
            self.names.push(node.clone());
            self.present.push(true);
            (self.names.len() - 1, false)
        } else {
            let number = self.present.iter().position(|present| !present)?;
            self.numbers.remove(&self.names[number]);
            self.names[number] = node.clone();
            self.present[number] = true;
            (number, true)
        };
        self.numbers.insert(node.clone(), number);
        Some(Entry { number, reused })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(i: usize) -> NodeName {
        NodeName::new(&format!("n{i}")).unwrap()
    }

    #[test]
    fn who_is_gone_is_remembered_until_the_room_is_needed() {
        let mut roster = Roster::new(node(0), 4);
        for i in 1..4 {
            assert_eq!(roster.enter(&node(i)), Some(Entry { number: i, reused: false }));
        }
        assert_eq!(roster.enter(&node(4)), None);
        roster.see(|name| *name != node(2));
        assert_eq!(roster.others().map(|(number, _)| number).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(roster.enter(&node(2)), Some(Entry { number: 2, reused: false }));
        roster.see(|name| *name != node(2));
        assert_eq!(roster.enter(&node(4)), Some(Entry { number: 2, reused: true }));
        assert!(roster.number(&node(2)).is_none() && roster.enter(&node(5)).is_none());
    }
}
