//! Events, resolved once into what is to be done.

use std::fmt;

use super::file::{Event, Reach, Scenario};
use crate::{ShapeChange, Topology, TopologyError};

/// What an event does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Changes ways, each from a host to another.
    Change { ways: Vec<(String, String)>, set: ShapeChange },
    /// Cuts or mends all ways of a host.
    Isolate { host: String, down: bool },
    /// Does something to the agent of a host.
    Agent { host: String, what: AgentAction },
    /// Kills the first relay between a host and an app.
    KillRelay(Reach),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AgentAction {
    Kill,
    Terminate,
    Stop,
    Continue,
    Start,
}

impl Action {
    pub(super) fn of(event: &Event, scenario: &Scenario) -> Result<Action, String> {
        let mut actions = Vec::new();
        if let Some(link) = &event.link {
            let set = event.set.ok_or("'link' needs 'set'")?;
            let ways = ways(link)?;
            ways.iter().flat_map(|(a, b)| [a, b]).try_for_each(|host| scenario.known(host))?;
            set.apply(scenario.shape).check().map_err(|error| error.to_string())?;
            actions.push(Action::Change { ways, set });
        } else if event.set.is_some() {
            return Err("'set' needs 'link'".to_owned());
        }
        for (host, down) in [(&event.isolate, true), (&event.mend, false)] {
            if let Some(host) = host {
                scenario.known(host)?;
                actions.push(Action::Isolate { host: host.clone(), down });
            }
        }
        let agents = [
            (&event.kill, AgentAction::Kill),
            (&event.terminate, AgentAction::Terminate),
            (&event.stop, AgentAction::Stop),
            (&event.resume, AgentAction::Continue),
            (&event.start, AgentAction::Start),
        ];
        for (host, what) in agents {
            if let Some(host) = host {
                scenario.agent_of(host)?;
                actions.push(Action::Agent { host: host.clone(), what });
            }
        }
        if let Some(reach) = &event.kill_relay {
            scenario.agent_of(&reach.host)?;
            actions.push(Action::KillRelay(reach.clone()));
        }
        match <[Action; 1]>::try_from(actions) {
            Ok([action]) => Ok(action),
            Err(actions) => Err(format!("it must have exactly one action, not {}", actions.len())),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Change { ways, set } => {
                let ways: Vec<String> = ways.iter().map(|(from, to)| format!("{from}->{to}")).collect();
                write!(
                    f,
                    "{}: {}",
                    ways.join(" "),
                    toml::to_string(set).unwrap_or_default().trim().replace('\n', ", ")
                )
            }
            Action::Isolate { host, down: true } => write!(f, "isolate {host}"),
            Action::Isolate { host, down: false } => write!(f, "mend {host}"),
            Action::KillRelay(reach) => write!(f, "kill the relay from {} to {}", reach.host, reach.app),
            Action::Agent { host, what } => write!(f, "{} {host}", format!("{what:?}").to_lowercase()),
        }
    }
}

/// `A->B` or `A<->B`.
fn ways(link: &str) -> Result<Vec<(String, String)>, String> {
    let pair = |a: &str, b: &str| (a.trim().to_owned(), b.trim().to_owned());
    if let Some((a, b)) = link.split_once("<->") {
        return Ok(vec![pair(a, b), pair(b, a)]);
    }
    let (a, b) = link.split_once("->").ok_or_else(|| format!("link '{link}' is not A->B or A<->B"))?;
    Ok(vec![pair(a, b)])
}

/// Makes a change to ways.
pub(super) fn change(
    topology: &Topology,
    ways: &[(String, String)],
    set: &ShapeChange,
) -> Result<(), TopologyError> {
    ways.iter().try_for_each(|(from, to)| topology.change(from, to, |shape| set.apply(shape)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_one_or_two_directions() {
        let way = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(ways("a->b"), Ok(vec![way("a", "b")]));
        assert_eq!(ways("a <-> b"), Ok(vec![way("a", "b"), way("b", "a")]));
        assert!(ways("a-b").is_err());
    }
}
