use serde::{Deserialize, Serialize};

/// What the API answers when it does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What went wrong.
    pub error: String,
    /// What to do about it.
    pub hint: String,
}
