//! A client of the agent's admin API.

use std::io::{self, BufRead, BufReader};
use std::time::Duration;

use aire_admin::documents::Failure as Refusal;
use serde::de::DeserializeOwned;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::failure::Failure;

/// To connect, and to answer where no more is needed.
const PATIENCE: Duration = Duration::from_secs(10);
/// A document is smaller, even in a large mesh.
const MAX_DOCUMENT: u64 = 256 << 20;

/// One agent's API.
pub(crate) struct Admin {
    address: String,
    agent: Agent,
}

impl Admin {
    /// The API at `ADDR:PORT`.
    pub(crate) fn at(address: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // An agent is asked directly, whatever the environment says about the Web.
            .proxy(None)
            .timeout_connect(Some(PATIENCE))
            .build();
        Admin { address: address.to_owned(), agent: config.into() }
    }

    /// The text of the document at `path`.
    pub(crate) fn get(&self, path: &str) -> Result<String, Failure> {
        self.get_within(path, PATIENCE)
    }

    /// The same with more patience.
    pub(crate) fn get_within(&self, path: &str, patience: Duration) -> Result<String, Failure> {
        let request = self.agent.get(self.url(path)).config().timeout_global(Some(patience)).build();
        let response = request.call().map_err(|error| self.unanswered(&error))?;
        let mut response = accepted(response)?;
        self.text(&mut response)
    }

    /// The document at `path`.
    pub(crate) fn document<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        parse(&self.get(path)?)
    }

    /// The lines at `path` as they come, for as long as `each` wants them.
    pub(crate) fn lines(
        &self,
        path: &str,
        mut each: impl FnMut(&str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let request = self.agent.get(self.url(path)).config().timeout_recv_response(Some(PATIENCE)).build();
        let response = accepted(request.call().map_err(|error| self.unanswered(&error))?)?;
        for line in BufReader::new(response.into_body().into_reader()).lines() {
            each(&line.map_err(|error| self.broken(&error))?)?;
        }
        Ok(())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn text(&self, response: &mut Response<Body>) -> Result<String, Failure> {
        let body = response.body_mut().with_config().limit(MAX_DOCUMENT).read_to_string();
        body.map_err(|error| self.unanswered(&error))
    }

    fn unanswered(&self, error: &ureq::Error) -> Failure {
        let at = &self.address;
        Failure::Failed(match error {
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                format!(
                    "no agent answers at {at}: start one with 'aire run', or give its address with --admin"
                )
            }
            ureq::Error::Timeout(_) => {
                format!(
                    "the agent at {at} does not answer in time: is it that of an agent, and is its machine well?"
                )
            }
            other => format!("the agent at {at} cannot be asked: {other}; give its address with --admin"),
        })
    }

    fn broken(&self, error: &io::Error) -> Failure {
        Failure::Failed(format!("the agent at {} stopped answering: {error}", self.address))
    }
}

/// Reads a document.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::Failed(format!("what answers is no agent, or one of another version: {error}; see --json"))
    })
}

/// Turns an answer that says no into a failure.
fn accepted(mut response: Response<Body>) -> Result<Response<Body>, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = response.body_mut().with_config().limit(64 * 1024).read_to_string().unwrap_or_default();
    Err(Failure::Failed(match serde_json::from_str::<Refusal>(&text) {
        Ok(Refusal { error, hint }) => format!("{error}: {hint}"),
        Err(_) => {
            format!("what answers is no agent (HTTP status {status}); give an agent's address with --admin")
        }
    }))
}
