use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::{LinkShape, ShapeError};

/// The shapes of all ways between a fixed set of places, changed at run time from any thread.
///
/// Clones share the same shapes.
#[derive(Clone, Debug)]
pub struct Topology {
    index: Arc<BTreeMap<String, usize>>,
    cells: Arc<Vec<watch::Sender<LinkShape>>>,
    size: usize,
}

/// What was asked of a topology cannot be done.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TopologyError {
    /// No such place.
    #[error("there is no place named '{name}'; there are: {known}")]
    Name {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Two places share a name.
    #[error("two places are named '{0}'")]
    Twice(String),
    /// A shape that makes no sense.
    #[error("{from} → {to}: {source}")]
    Shape {
        /// Where the way begins.
        from: String,
        /// Where it ends.
        to: String,
        /// What is wrong.
        source: ShapeError,
    },
}

impl Topology {
    /// Places joined each with each other by `default`.
    ///
    /// # Errors
    /// A name occurs twice, or the shape makes no sense.
    pub fn new<S: AsRef<str>>(names: &[S], default: LinkShape) -> Result<Self, TopologyError> {
        let mut index = BTreeMap::new();
        for (i, name) in names.iter().enumerate() {
            if index.insert(name.as_ref().to_owned(), i).is_some() {
                return Err(TopologyError::Twice(name.as_ref().to_owned()));
            }
        }
        let every = || "*".to_owned();
        default.check().map_err(|source| TopologyError::Shape { from: every(), to: every(), source })?;
        let size = names.len();
        let cells = (0..size * size).map(|_| watch::Sender::new(default)).collect();
        Ok(Topology { index: Arc::new(index), cells: Arc::new(cells), size })
    }

    /// How many places there are.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The names of the places, in order of name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.index.keys().map(String::as_str)
    }

    /// The number of a place, in the order they were given.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn index(&self, name: &str) -> Result<usize, TopologyError> {
        self.index.get(name).copied().ok_or_else(|| TopologyError::Name {
            name: name.to_owned(),
            known: self.names().collect::<Vec<_>>().join(", "),
        })
    }

    /// The shape of the way `from` → `to`.
    ///
    /// # Errors
    /// Unknown place.
    pub fn get(&self, from: &str, to: &str) -> Result<LinkShape, TopologyError> {
        Ok(self.shape(self.index(from)?, self.index(to)?))
    }

    /// Replaces the shape of the way `from` → `to`; the way back keeps its own.
    ///
    /// # Errors
    /// Unknown place, or the shape makes no sense.
    pub fn set(&self, from: &str, to: &str, shape: LinkShape) -> Result<(), TopologyError> {
        self.change(from, to, |_| shape)
    }

    /// Replaces the shapes of both directions.
    ///
    /// # Errors
    /// Unknown place, or the shape makes no sense.
    pub fn set_both(&self, a: &str, b: &str, shape: LinkShape) -> Result<(), TopologyError> {
        self.set(a, b, shape)?;
        self.set(b, a, shape)
    }

    /// Replaces the shape of one direction by what `change` makes of it.
    ///
    /// # Errors
    /// Unknown place, or the shape makes no sense.
    pub fn change(
        &self,
        from: &str,
        to: &str,
        change: impl FnOnce(LinkShape) -> LinkShape,
    ) -> Result<(), TopologyError> {
        let cell = self.cell(self.index(from)?, self.index(to)?);
        let shape = change(*cell.borrow());
        shape.check().map_err(|source| TopologyError::Shape {
            from: from.to_owned(),
            to: to.to_owned(),
            source,
        })?;
        cell.send_replace(shape);
        Ok(())
    }

    /// Cuts (or mends) every way from and to a place, in both directions.
    ///
    /// # Errors
    /// Unknown place.
    pub fn isolate(&self, name: &str, down: bool) -> Result<(), TopologyError> {
        let place = self.index(name)?;
        for other in 0..self.size {
            self.cell(place, other).send_modify(|shape| shape.down = down);
            self.cell(other, place).send_modify(|shape| shape.down = down);
        }
        Ok(())
    }

    pub(crate) fn shape(&self, from: usize, to: usize) -> LinkShape {
        *self.cell(from, to).borrow()
    }

    /// Follows one direction's shape.
    pub(crate) fn watch(&self, from: usize, to: usize) -> watch::Receiver<LinkShape> {
        self.cell(from, to).subscribe()
    }

    fn cell(&self, from: usize, to: usize) -> &watch::Sender<LinkShape> {
        &self.cells[from * self.size + to]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_independent_and_a_place_can_be_isolated() {
        let places = Topology::new(&["a", "b", "c"], LinkShape::delay(5.0)).unwrap();
        places.set("a", "b", LinkShape::delay(9.0)).unwrap();
        assert_eq!(places.get("a", "b").unwrap().one_way_ms, 9.0);
        assert_eq!(places.get("b", "a").unwrap().one_way_ms, 5.0);
        places.isolate("b", true).unwrap();
        assert!(places.get("a", "b").unwrap().down && places.get("c", "b").unwrap().down);
        assert!(!places.get("a", "c").unwrap().down);
        places.isolate("b", false).unwrap();
        assert_eq!(places.get("a", "b").unwrap(), LinkShape::delay(9.0));
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let places = Topology::new(&["a", "b"], LinkShape::default()).unwrap();
        assert!(places.get("a", "x").unwrap_err().to_string().contains("'x'"));
        let error = places.set("a", "b", LinkShape::default().loss(2.0)).unwrap_err();
        assert!(error.to_string().contains("loss"), "{error}");
        assert!(Topology::new(&["a", "a"], LinkShape::default()).is_err());
    }
}
