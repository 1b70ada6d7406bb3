use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use aire_types::{AppName, AppProfile, Override, Path};

use crate::documents::{AppRow, Diagnosis, Explanation, Peer, PingReport, Route, Status, StreamRow};
use crate::{Events, Log, Metrics, Problem};

/// What an agent will say in a moment.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An answer that is there already.
pub fn ready<'a, T: Send + 'a>(value: T) -> Answer<'a, T> {
    Box::pin(std::future::ready(value))
}

/// What can be read of an agent.
pub trait View: Send + Sync + 'static {
    /// The agent at a glance. Asked at every scrape and every readiness check, so it should be cheap.
    fn status(&self) -> Answer<'_, Status>;

    /// The agents that it knows of.
    fn peers(&self) -> Answer<'_, Vec<Peer>>;

    /// The apps that it knows of.
    fn apps(&self) -> Answer<'_, Vec<AppRow>>;

    /// The ways in use, with the candidates of each.
    fn routes(&self) -> Answer<'_, Vec<Route>>;

    /// The open streams.
    fn streams(&self) -> Answer<'_, Vec<StreamRow>>;

    /// How the ways to an app are chosen; `None` when the app is not known.
    fn explain(&self, app: AppName) -> Answer<'_, Option<Explanation>>;

    /// Measures the way to an app: the path in use, or `via`. May take seconds, and is dropped when nobody waits any more.
    fn ping(&self, app: AppName, via: Option<Path>) -> Answer<'_, Result<PingReport, Problem>>;

    /// The profile that this agent's app has now; `None` for a relay.
    fn app_profile(&self) -> Answer<'_, Option<AppProfile>>;

    /// What the agent finds when it looks at itself, its machine and its network. May take seconds.
    fn diagnosis(&self) -> Answer<'_, Diagnosis>;

    /// The configuration in force, without secrets.
    fn configuration(&self) -> Answer<'_, serde_json::Value>;
}

/// What can be changed about an agent while it runs.
pub trait Control: Send + Sync + 'static {
    /// Replaces the profile of this agent's app. Numbers are finite and not negative.
    fn set_app_profile(&self, profile: AppProfile) -> Answer<'_, Result<(), Problem>>;

    /// Replaces what is ordered for an app; `None` takes it back.
    fn set_override(&self, app: AppName, ordered: Option<Override>) -> Answer<'_, Result<(), Problem>>;

    /// Takes no new streams from now on and stops when the running ones have ended. Answers at once.
    fn drain(&self) -> Answer<'_, Result<(), Problem>>;
}

/// All that the API speaks for.
#[derive(Clone)]
pub struct Desk {
    /// What can be read.
    pub view: Arc<dyn View>,
    /// What can be changed.
    pub control: Arc<dyn Control>,
    /// What happened.
    pub events: Arc<Events>,
    /// What was counted.
    pub metrics: Arc<Metrics>,
    /// What was logged last.
    pub log: Log,
}
