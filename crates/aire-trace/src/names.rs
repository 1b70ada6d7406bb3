use std::collections::HashMap;
use std::sync::Arc;

/// A segment has no more names than this.
pub(crate) const MOST: usize = 1 << 16;

/// The names of one segment, each written once and then called by its number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, usize>,
}

impl Names {
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(crate) fn get(&self, number: u64) -> Option<&str> {
        usize::try_from(number).ok().and_then(|number| self.texts.get(number)).map(AsRef::as_ref)
    }

    pub(crate) fn find(&self, text: &str) -> Option<usize> {
        self.numbers.get(text).copied()
    }

    /// Takes the next number; one text may have several where a file says so.
    pub(crate) fn push(&mut self, text: &str) {
        let text: Arc<str> = Arc::from(text);
        self.numbers.entry(Arc::clone(&text)).or_insert(self.texts.len());
        self.texts.push(text);
    }

    /// Forgets all but the first `count`.
    pub(crate) fn truncate(&mut self, count: usize) {
        for text in self.texts.drain(count.min(self.texts.len())..) {
            if self.numbers.get(&text).is_some_and(|number| *number >= count) {
                self.numbers.remove(&text);
            }
        }
    }
}
