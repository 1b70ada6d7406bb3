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

    /// 1 for a failure, 2 for wrong usage.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Failed(_) => ExitCode::from(1),
            Failure::Usage(_) => ExitCode::from(2),
        }
    }
}
