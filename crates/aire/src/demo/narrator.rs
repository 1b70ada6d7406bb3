//! Tells what happens as it happens, and keeps the time.

use std::thread;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::output::say;

/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(50);

/// Tells the story on standard output, or on standard error when standard output is for the summary alone.
pub(super) struct Narrator {
    start: Instant,
    aside: bool,
}

impl Narrator {
    pub(super) fn new(aside: bool) -> Self {
        Narrator { start: Instant::now(), aside }
    }

    /// Time since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// One line, with the time.
    pub(super) fn tell(&self, text: &str) -> Result<(), Failure> {
        let line = format!("[{:5.1} s] {text}\n", self.elapsed().as_secs_f64());
        self.put(&line)
    }

    /// Several lines as they are.
    pub(super) fn put(&self, text: &str) -> Result<(), Failure> {
        if self.aside {
            eprint!("{text}");
            return Ok(());
        }
        say(text)
    }
}

/// Looks until there is something, or until `patience` is over.
pub(super) fn wait_for<T>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            return Err(Failure::Failed(format!(
                "{what} did not come about within {} s",
                patience.as_secs()
            )));
        }
        thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_what_was_waited_for_or_with_its_name() {
        let mut looks = 0;
        let found = wait_for(Duration::from_secs(60), "it", || {
            looks += 1;
            Ok((looks == 2).then_some(7))
        });
        assert_eq!(found.unwrap(), 7);
        let failure = wait_for(Duration::ZERO, "rain", || Ok(None::<()>)).unwrap_err();
        assert!(failure.to_string().starts_with("rain"), "{failure}");
    }
}
