use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::documents::Failure;

/// Who is to blame when the API does not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// The request is wrong: 400.
    Invalid,
    /// It is understood and not allowed: 403.
    Forbidden,
    /// What it names does not exist: 404.
    NotFound,
    /// The method does not fit the path: 405.
    Method,
    /// The body is too large: 413.
    TooLarge,
    /// The body is not JSON, or does not say so: 415.
    NotJson,
    /// Somebody else did not answer in time: 504.
    TimedOut,
    /// The agent cannot do it now: 503.
    Unavailable,
    /// A bug in the agent: 500.
    Bug,
}

/// An answer that says what went wrong and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Problem {
    /// Who is to blame.
    pub kind: ProblemKind,
    /// What went wrong.
    pub error: String,
    /// What to do about it.
    pub hint: String,
}

impl Problem {
    /// A problem with what to do about it.
    pub fn new(kind: ProblemKind, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Problem { kind, error: error.into(), hint: hint.into() }
    }

    fn status(&self) -> StatusCode {
        match self.kind {
            ProblemKind::Invalid => StatusCode::BAD_REQUEST,
            ProblemKind::Forbidden => StatusCode::FORBIDDEN,
            ProblemKind::NotFound => StatusCode::NOT_FOUND,
            ProblemKind::Method => StatusCode::METHOD_NOT_ALLOWED,
            ProblemKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ProblemKind::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ProblemKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            ProblemKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ProblemKind::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        (status, Json(Failure { error: self.error, hint: self.hint })).into_response()
    }
}
