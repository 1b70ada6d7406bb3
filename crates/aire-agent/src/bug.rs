//! Panics that must not take more with them than what they happened in.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::happening::{Happening, Kind};

/// Does something; a panic in it ends here, and becomes something to tell the operator. Locks are released on the way, and
/// what they guard is as far as it came: the rest of the agent goes on with it rather than not at all.
pub(crate) fn contained<R>(what: &str, act: impl FnOnce() -> R) -> Result<R, Happening> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it does not say why");
        tracing::error!(what, said, "a bug in AIRE");
        let text = format!("a bug in AIRE: {what} failed ({said}); the rest goes on; please report it with what 'aire bundle' writes");
        Happening::new(Kind::Bug, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_and_what_comes_after_it_happens() {
        let lock = parking_lot::Mutex::new(0);
        let act = |number: i32| {
            contained("a number", || {
                let mut held = lock.lock();
                assert_ne!(number, 2, "two is bad");
                *held += number;
            })
        };
        let told: Vec<Happening> = (1..=3).filter_map(|number| act(number).err()).collect();
        assert_eq!(*lock.lock(), 4);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].kind, Kind::Bug);
        assert!(told[0].text.contains("a number failed") && told[0].text.contains("two is bad"));
    }
}
