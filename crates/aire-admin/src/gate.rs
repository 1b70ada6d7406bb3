//! Who may ask. The API has no passwords: what protects it is that it listens on loopback, and that browsers on this
//! machine cannot be used against it.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::{Problem, ProblemKind};

/// Refuses what a hostile page could make a browser send: foreign host names (DNS rebinding) and state changes from
/// other origins (CSRF). State changes are taken from this machine only.
pub(crate) async fn guard(State(listen): State<SocketAddr>, request: Request, next: Next) -> Response {
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let problem = check_host(listen, request.headers())
        .and_then(|()| check_change(request.method(), request.headers(), client));
    match problem {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check_host(listen: SocketAddr, headers: &HeaderMap) -> Result<(), Problem> {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Problem::new(ProblemKind::Invalid, "not exactly one Host header", "send one"));
    };
    if !listen.ip().is_loopback() {
        return Ok(());
    }
    let name = host.to_str().ok().and_then(host_name).unwrap_or_default();
    let ip = name.parse::<IpAddr>().ok();
    if name.eq_ignore_ascii_case("localhost") || ip.is_some_and(|ip| ip.is_loopback()) {
        return Ok(());
    }
    let hint = format!("ask http://{listen}/ or localhost; other names are refused because of DNS rebinding");
    Err(Problem::new(ProblemKind::Forbidden, "the Host header names another machine", hint))
}

/// The host without its port, and an IPv6 address without its brackets.
fn host_name(host: &str) -> Option<&str> {
    match host.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']')?;
            (port.is_empty() || port.starts_with(':')).then_some(name)
        }
        None => Some(host.split_once(':').map_or(host, |(name, _)| name)),
    }
}

fn check_change(method: &Method, headers: &HeaderMap, client: Option<IpAddr>) -> Result<(), Problem> {
    if method.is_safe() {
        return Ok(());
    }
    let forbid = |error, hint| Err(Problem::new(ProblemKind::Forbidden, error, hint));
    if !client.is_some_and(|ip| ip.to_canonical().is_loopback()) {
        return forbid("changes are taken from this machine only", "run the command where the agent runs");
    }
    // No page of ours changes anything, so whatever comes with an origin comes from somebody else's page.
    let own_fetch = headers.get("sec-fetch-site").is_none_or(|site| site == "none");
    if headers.contains_key(ORIGIN) || !own_fetch {
        return forbid("changes are not taken from web pages", "use `aire` or curl");
    }
    // Needed even without a body: a form cannot send it, and a script only after asking, which is never granted.
    let json = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(is_json);
    if !json {
        let hint = "send the header Content-Type: application/json, with DELETE and POST too";
        return Err(Problem::new(ProblemKind::NotJson, "the content type is not application/json", hint));
    }
    Ok(())
}

fn is_json(value: &str) -> bool {
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (host, name) in [
            ("localhost:80", Some("localhost")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("[::1]:80", Some("::1")),
            ("[::1]", Some("::1")),
            ("[::1", None),
            ("[::1]x", None),
            ("", Some("")),
        ] {
            assert_eq!(host_name(host), name, "{host}");
        }
    }
}
