use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::Api;
use super::read::bad_query;
use crate::documents::Event;
use crate::events::Events;
use crate::{Problem, ProblemKind};

/// How many lines may wait for a follower that does not read; the ring remembers the rest.
const LINES: usize = 64;

#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    since: u64,
    #[serde(default)]
    follow: bool,
}

/// How many events after `since` are no longer remembered.
const MISSED: HeaderName = HeaderName::from_static("aire-missed");

/// Events after `since`, one JSON document per line; with `follow` new ones as they come.
pub(super) async fn events(
    State(api): State<Api>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wanted) = query.map_err(bad_query)?;
    let notes = api.desk.events.since(wanted.since);
    let head = [
        (CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson")),
        (MISSED, HeaderValue::from(notes.missed)),
    ];
    if wanted.follow {
        let (sender, lines) = mpsc::channel(LINES);
        tokio::spawn(follow(Arc::clone(&api.desk.events), wanted.since, sender));
        return Ok((head, Body::new(Lines(lines))).into_response());
    }
    let mut text = Vec::new();
    for event in notes.events {
        text.extend(line(&event).map_err(|error| {
            let error = format!("an event could not be written: {error}");
            Problem::new(ProblemKind::Bug, error, "please report this bug")
        })?);
    }
    Ok((head, text).into_response())
}

fn line(event: &Event) -> Result<Bytes, serde_json::Error> {
    let mut text = serde_json::to_vec(event)?;
    text.push(b'\n');
    Ok(text.into())
}

/// Goes on until the reader is gone. The ring is the truth and the subscription only says when to look: a reader that is
/// slow misses nothing as long as the ring remembers it.
async fn follow(events: Arc<Events>, mut cursor: u64, lines: mpsc::Sender<Bytes>) {
    let mut subscription = events.subscribe();
    loop {
        for event in events.since(cursor).events {
            cursor = event.cursor;
            match line(&event) {
                Ok(line) => {
                    if lines.send(line).await.is_err() {
                        return;
                    }
                }
                Err(error) => tracing::error!(%error, "an event could not be written, which is a bug"),
            }
        }
        tokio::select! {
            () = lines.closed() => return,
            _ = subscription.recv() => {}
        }
    }
}

/// A body that ends when its sender does.
struct Lines(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}
