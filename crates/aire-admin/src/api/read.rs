use aire_types::{AppProfile, NodeName, Path as Relays};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use super::{Api, App, unknown_app};
use crate::documents::{AppRow, Diagnosis, Explanation, Peer, PingReport, Route, Status, StreamRow};
use crate::metrics::Scrape;
use crate::{Problem, ProblemKind, page};

type Document<T> = Result<Json<T>, Problem>;

pub(super) async fn index() -> Html<&'static str> {
    Html(page::INDEX)
}

/// The process lives and its runtime turns.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

pub(super) async fn readyz(State(api): State<Api>) -> Result<Response, Problem> {
    let status = api.wait(1, api.desk.view.status()).await?;
    if status.ready {
        return Ok("ready\n".into_response());
    }
    let why = if status.not_ready.is_empty() { "not ready".to_owned() } else { status.not_ready.join("\n") };
    Ok((StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response())
}

pub(super) async fn metrics(State(api): State<Api>) -> Result<Response, Problem> {
    let view = &api.desk.view;
    let scrape = async {
        let (status, peers, routes) = (view.status().await, view.peers().await, view.routes().await);
        Scrape { status, peers, routes, events: api.desk.events.counts() }
    };
    let text = api.desk.metrics.encode(api.wait(1, scrape).await?).map_err(|_| {
        Problem::new(ProblemKind::Bug, "the metrics could not be written", "please report this bug")
    })?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}

pub(super) async fn status(State(api): State<Api>) -> Document<Status> {
    api.wait(1, api.desk.view.status()).await.map(Json)
}

pub(super) async fn peers(State(api): State<Api>) -> Document<Vec<Peer>> {
    api.wait(1, api.desk.view.peers()).await.map(Json)
}

pub(super) async fn apps(State(api): State<Api>) -> Document<Vec<AppRow>> {
    api.wait(1, api.desk.view.apps()).await.map(Json)
}

pub(super) async fn routes(State(api): State<Api>) -> Document<Vec<Route>> {
    api.wait(1, api.desk.view.routes()).await.map(Json)
}

pub(super) async fn streams(State(api): State<Api>) -> Document<Vec<StreamRow>> {
    api.wait(1, api.desk.view.streams()).await.map(Json)
}

pub(super) async fn explain(State(api): State<Api>, App(app): App) -> Document<Explanation> {
    let explanation = api.wait(1, api.desk.view.explain(app.clone())).await?;
    explanation.map(Json).ok_or_else(|| unknown_app(&app))
}

#[derive(Deserialize)]
pub(super) struct Via {
    via: Option<String>,
}

pub(super) async fn ping(
    State(api): State<Api>,
    App(app): App,
    query: Result<Query<Via>, QueryRejection>,
) -> Document<PingReport> {
    let Query(Via { via }) = query.map_err(bad_query)?;
    let via = via.map(|text| relays(&text)).transpose()?;
    api.wait(3, api.desk.view.ping(app, via)).await?.map(Json)
}

/// `a,b` in order; an empty text is the direct path.
fn relays(text: &str) -> Result<Relays, Problem> {
    let invalid = |error: String| {
        let hint = "via is a list of relay nodes such as r1,r2, or empty for direct";
        Problem::new(ProblemKind::Invalid, error, hint)
    };
    let names = text.split(',').filter(|_| !text.is_empty()).map(NodeName::new);
    let nodes = names.collect::<Result<Vec<_>, _>>().map_err(|error| invalid(error.to_string()))?;
    Relays::new(nodes).map_err(|error| invalid(error.to_string()))
}

pub(super) fn bad_query(rejection: QueryRejection) -> Problem {
    Problem::new(ProblemKind::Invalid, rejection.body_text(), "GET / lists the parameters")
}

pub(super) async fn profile(State(api): State<Api>) -> Document<AppProfile> {
    let profile = api.wait(1, api.desk.view.app_profile()).await?;
    profile.map(Json).ok_or_else(|| {
        let hint = "only an agent that runs with --app has a profile";
        Problem::new(ProblemKind::NotFound, "this agent serves no app", hint)
    })
}

pub(super) async fn doctor(State(api): State<Api>) -> Document<Diagnosis> {
    api.wait(4, api.desk.view.diagnosis()).await.map(Json)
}

pub(super) async fn config(State(api): State<Api>) -> Document<serde_json::Value> {
    api.wait(1, api.desk.view.configuration()).await.map(Json)
}

pub(super) async fn log(State(api): State<Api>) -> String {
    api.desk.log.text()
}
