use aire_types::{AppProfile, Override};
use axum::extract::State;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::http::StatusCode;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{Api, App, MAX_BODY};
use crate::{Problem, ProblemKind};

type Body = Result<Bytes, BytesRejection>;

/// Nothing to say but that it is done.
type Done = Result<StatusCode, Problem>;

/// The JSON text of a body; what is wrong with it is said with line and column.
fn parse<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let body = body.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            let error = format!("the body is larger than {MAX_BODY} bytes");
            Problem::new(ProblemKind::TooLarge, error, "send less")
        }
        other => Problem::new(ProblemKind::Invalid, other.body_text(), "send the whole body"),
    })?;
    serde_json::from_slice(&body)
        .map_err(|error| Problem::new(ProblemKind::Invalid, error.to_string(), "correct the JSON document"))
}

pub(super) async fn profile(State(api): State<Api>, body: Body) -> Done {
    let profile: AppProfile = parse(body)?;
    check(&profile)?;
    api.wait(1, api.desk.control.set_app_profile(profile)).await??;
    Ok(StatusCode::NO_CONTENT)
}

fn check(profile: &AppProfile) -> Result<(), Problem> {
    let needs = [
        ("needs.bandwidth_mbps".to_owned(), profile.needs.bandwidth_mbps),
        ("needs.latency_ms".to_owned(), profile.needs.latency_ms),
        ("needs.cpu".to_owned(), profile.needs.cpu),
    ];
    let destinations =
        profile.destinations.iter().map(|(app, volume)| (format!("destinations.{app}"), *volume));
    match needs.into_iter().chain(destinations).find(|(_, value)| !value.is_finite() || *value < 0.0) {
        None => Ok(()),
        Some((name, value)) => {
            let error = format!("{name} is {value}");
            Err(Problem::new(ProblemKind::Invalid, error, "give a number from 0 up; 0 means nothing is said"))
        }
    }
}

pub(super) async fn set_override(State(api): State<Api>, App(app): App, body: Body) -> Done {
    let ordered: Override = parse(body)?;
    if ordered.direct_only && ordered.pin.as_ref().is_some_and(|pin| !pin.is_direct()) {
        let error = "the pinned path has relays, and direct-only forbids them";
        return Err(Problem::new(ProblemKind::Invalid, error, "give one of the two"));
    }
    api.wait(1, api.desk.control.set_override(app, Some(ordered))).await??;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn clear_override(State(api): State<Api>, App(app): App) -> Done {
    api.wait(1, api.desk.control.set_override(app, None)).await??;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn drain(State(api): State<Api>) -> Done {
    api.wait(1, api.desk.control.drain()).await??;
    Ok(StatusCode::ACCEPTED)
}
