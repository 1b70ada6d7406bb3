use std::process::ExitCode;

/// Why a command did not do what it should: one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command was understood and failed.
    #[error("{0}")]
    Failed(String),
    /// The command makes no sense as it was given.
    #[error("{0}")]
    Usage(String),
    /// Whoever read standard output has seen enough.
    #[error("standard output was closed")]
    Unread,
}

impl Failure {
    /// A failure for any error, with its causes where its own text does not hold them.
    pub(crate) fn because(error: impl std::fmt::Display) -> Self {
        Failure::Failed(error.to_string())
    }

    /// A wrong use of the command line.
    pub(crate) fn usage(error: impl std::fmt::Display) -> Self {
        Failure::Usage(error.to_string())
    }

    /// Tells the user, and gives 1 for a failure, 2 for wrong usage.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Failure::Unread => return ExitCode::SUCCESS,
            Failure::Failed(text) | Failure::Usage(text) => eprintln!("aire: {}", one_line(text)),
        }
        if matches!(self, Failure::Usage(_)) { ExitCode::from(2) } else { ExitCode::from(1) }
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_fits_on_one_line() {
        assert_eq!(one_line("a\n  b\n\nc"), "a; b; c");
    }
}
