//! The routes of the HTTP API.

mod change;
mod follow;
mod read;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use aire_types::AppName;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Router, middleware};

use crate::gate;
use crate::{Desk, Problem, ProblemKind};

/// The largest body, bytes.
const MAX_BODY: usize = 64 * 1024;

/// What every route needs.
#[derive(Clone)]
pub(crate) struct Api {
    desk: Desk,
    patience: Duration,
}

/// All routes of an agent that listens on `listen`; the agent has `patience` to answer each.
pub(crate) fn router(desk: Desk, listen: SocketAddr, patience: Duration) -> Router {
    Router::new()
        .route("/", get(read::index))
        .route("/healthz", get(read::healthz))
        .route("/readyz", get(read::readyz))
        .route("/metrics", get(read::metrics))
        .route("/api/v1/status", get(read::status))
        .route("/api/v1/peers", get(read::peers))
        .route("/api/v1/apps", get(read::apps))
        .route("/api/v1/routes", get(read::routes))
        .route("/api/v1/streams", get(read::streams))
        .route("/api/v1/events", get(follow::events))
        .route("/api/v1/explain/{app}", get(read::explain))
        .route("/api/v1/ping/{app}", get(read::ping))
        .route("/api/v1/profile", get(read::profile).put(change::profile))
        .route("/api/v1/apps/{app}/override", put(change::set_override).delete(change::clear_override))
        .route("/api/v1/doctor", get(read::doctor))
        .route("/api/v1/config", get(read::config))
        .route("/api/v1/log", get(read::log))
        .route("/api/v1/drain", post(change::drain))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(patience * 4, deadline))
        .layer(middleware::from_fn_with_state(listen, gate::guard))
        .layer(middleware::map_response(harden))
        .with_state(Api { desk, patience })
}

impl Api {
    /// Waits for the agent, but not for ever.
    async fn wait<T>(&self, times: u32, answer: impl Future<Output = T>) -> Result<T, Problem> {
        let hint = "the machine is overloaded, or this is a bug; see the agent's log";
        tokio::time::timeout(self.patience * times, answer)
            .await
            .map_err(|_| Problem::new(ProblemKind::Unavailable, "the agent does not answer in time", hint))
    }
}

/// Also a client that sends the body of a request byte by byte comes to an end; what is followed has begun by then.
async fn deadline(State(most): State<Duration>, request: Request, next: Next) -> Result<Response, Problem> {
    tokio::time::timeout(most, next.run(request)).await.map_err(|_| {
        let error = "the request took too long to arrive";
        Problem::new(ProblemKind::Unavailable, error, "send the whole body at once")
    })
}

/// Documents are for programs and for one page without scripts: browsers need not guess, frame or keep them.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

/// The app that a path names.
struct App(AppName);

impl<S: Send + Sync> FromRequestParts<S> for App {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let invalid = |error| Problem::new(ProblemKind::Invalid, error, "give the name of an app");
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| invalid(rejection.body_text()))?;
        AppName::new(&text).map(App).map_err(|error| invalid(error.to_string()))
    }
}

fn unknown_app(app: &AppName) -> Problem {
    let hint = "`aire apps` lists the apps that this agent knows";
    Problem::new(ProblemKind::NotFound, format!("no app '{app}' is known here"), hint)
}

async fn unknown_path() -> Problem {
    Problem::new(ProblemKind::NotFound, "there is nothing at this path", "GET / lists what there is")
}

async fn unknown_method() -> Problem {
    let error = "this path does not take this method";
    Problem::new(ProblemKind::Method, error, "GET / lists what there is")
}
