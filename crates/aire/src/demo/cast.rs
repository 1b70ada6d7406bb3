//! Who takes part, where they stand, and the wide-area network between them.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use aire_identity::{Authority, Scope};
use aire_lab::emulate::{Emulator, Place, free_addresses};
use aire_lab::{LinkShape, world};

use super::stage::Stage;
use crate::failure::Failure;

/// What an agent is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Holds the authority, and relays.
    Authority,
    /// Relays.
    Relay,
    /// Runs the app that the others call.
    Web,
    /// An app that calls it.
    Caller(&'static str),
}

/// An agent of the demo.
#[derive(Clone, Debug)]
pub(super) struct Actor {
    /// The node's name.
    pub(super) node: &'static str,
    /// Its place on the map.
    place: &'static str,
    pub(super) part: Part,
    /// Where it takes links and carriers.
    pub(super) listen: SocketAddr,
    /// Its admin API.
    pub(super) admin: SocketAddr,
    /// The local port that leads to the app.
    pub(super) door: SocketAddr,
}

/// The node of the caller that policy permits.
pub(super) const CLIENT: &str = "frankfurt";
/// The node of the app.
pub(super) const WEB: &str = "singapore";
/// The node of the caller that no policy permits.
pub(super) const GUEST: &str = "saopaulo";
/// The node of the authority.
const AUTHORITY: &str = "virginia";
/// The app that is called.
pub(super) const APP: &str = "web";

/// Frankfurt and Singapore are nearer to each other over Mumbai than directly.
const ACTORS: [(&str, &str, Part); 7] = [
    (AUTHORITY, "virginia", Part::Authority),
    (CLIENT, "frankfurt", Part::Caller("client")),
    (WEB, "singapore", Part::Web),
    ("mumbai-1", "mumbai", Part::Relay),
    ("mumbai-2", "mumbai", Part::Relay),
    ("oregon", "oregon", Part::Relay),
    (GUEST, "saopaulo", Part::Caller("guest")),
];

/// The two ends of the same way without a mesh on it.
const PLAIN: (&str, &str) = ("plain-client", "plain-web");

const POLICY: &str = r#"
permit(principal, action == Action::"relay", resource);
permit(principal == App::"client", action == Action::"connect", resource == App::"web");
"#;

/// Everybody, and the network between them.
pub(super) struct Cast {
    pub(super) actors: Vec<Actor>,
    pub(super) network: Emulator,
    /// The app's service over the direct way, without a mesh.
    pub(super) plain: SocketAddr,
    service: SocketAddr,
}

impl Cast {
    /// Finds addresses for everybody and joins their places; `service` is where the app listens.
    pub(super) fn assemble(service: SocketAddr) -> Result<Self, Failure> {
        let addresses = free_addresses(3 * ACTORS.len() + 1)
            .map_err(|error| Failure::Failed(format!("this machine has no ports left: {error}")))?;
        let (nobody, addresses) =
            addresses.split_first().ok_or_else(|| Failure::Failed("no ports".to_owned()))?;
        let actors: Vec<Actor> = ACTORS
            .into_iter()
            .zip(addresses.chunks_exact(3))
            .map(|((node, place, part), own)| Actor {
                node,
                place,
                part,
                listen: own[0],
                admin: own[1],
                door: own[2],
            })
            .collect();
        let mut places: Vec<Place> =
            actors.iter().map(|actor| Place { name: actor.node.to_owned(), address: actor.listen }).collect();
        places.push(Place { name: PLAIN.0.to_owned(), address: *nobody });
        places.push(Place { name: PLAIN.1.to_owned(), address: service });
        let network = Emulator::start(places, neighbours()).map_err(Failure::because)?;
        for (i, a) in actors.iter().enumerate() {
            for b in &actors[i + 1..] {
                let shape = world::shape(a.place, b.place).unwrap_or_else(neighbours);
                network.set_both(a.node, b.node, shape).map_err(Failure::because)?;
            }
        }
        let direct = network.get(CLIENT, WEB).map_err(Failure::because)?;
        network.set_both(PLAIN.0, PLAIN.1, direct).map_err(Failure::because)?;
        let plain = network.address(PLAIN.0, PLAIN.1).map_err(Failure::because)?;
        Ok(Cast { actors, network, plain, service })
    }

    pub(super) fn actor(&self, node: &str) -> Result<&Actor, Failure> {
        let found = self.actors.iter().find(|actor| actor.node == node);
        found.ok_or_else(|| Failure::Failed(format!("nobody is named {node}")))
    }

    /// Makes the mesh and gives everybody the arguments for `aire run`, the authority first.
    pub(super) fn invitations(&self, stage: &Stage) -> Result<Vec<(&'static str, Vec<String>)>, Failure> {
        let mesh = "demo".parse().map_err(Failure::because)?;
        let now = SystemTime::now();
        let folder = stage.folder().join("authority");
        let authority = Authority::create(&folder, mesh, now).map_err(Failure::because)?;
        let policy = stage.folder().join("policy.cedar");
        std::fs::write(&policy, POLICY)
            .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", policy.display())))?;
        let seed = self.actor(AUTHORITY)?.listen.to_string();
        let mut invited = Vec::new();
        for actor in &self.actors {
            let map = stage.folder().join(format!("{}.map", actor.node));
            let addresses = self.network.map_for(actor.node).map_err(Failure::because)?;
            addresses
                .write(&map)
                .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", map.display())))?;
            let mut arguments = Arguments::of(actor, stage);
            arguments.flag("policy", policy.display());
            arguments.flag("underlay", map.display());
            let scope = match actor.part {
                Part::Authority => None,
                Part::Relay => Some(Scope::Relay),
                Part::Web => Some(Scope::App(APP.parse().map_err(Failure::because)?)),
                Part::Caller(app) => Some(Scope::App(app.parse().map_err(Failure::because)?)),
            };
            match scope {
                None => arguments.flag("authority", folder.display()),
                Some(scope) => {
                    let token = authority
                        .invite(scope, Duration::from_secs(600), 1, vec![seed.clone()], now)
                        .map_err(Failure::because)?;
                    arguments.flag("join", token.reveal());
                }
            }
            match actor.part {
                Part::Authority | Part::Relay => {}
                Part::Web => arguments.flag("app", format!("{APP}={}", self.service)),
                Part::Caller(app) => {
                    // A caller takes no connections; its app has an address all the same.
                    arguments.flag("app", format!("{app}={}", actor.door));
                    arguments.flag("to", format!("{APP}={}", actor.door));
                }
            }
            invited.push((actor.node, arguments.0));
        }
        Ok(invited)
    }
}

/// Between two machines of one place.
fn neighbours() -> LinkShape {
    LinkShape::delay(0.5).mbps(1000.0)
}

/// Arguments of `aire run`.
pub(super) struct Arguments(pub(super) Vec<String>);

impl Arguments {
    fn of(actor: &Actor, stage: &Stage) -> Self {
        let mut arguments = Arguments::agent(actor.node, actor.listen, actor.admin, stage);
        arguments.flag("zone", actor.node);
        if matches!(actor.part, Part::Web | Part::Caller(_)) {
            arguments.0.push("--no-relay".to_owned());
        }
        arguments
    }

    /// What every agent needs that knows others by seeds only.
    pub(super) fn agent(node: &str, listen: SocketAddr, admin: SocketAddr, stage: &Stage) -> Self {
        let mut arguments = Arguments(vec!["--no-multicast".to_owned()]);
        arguments.flag("node", node);
        arguments.flag("listen", listen);
        arguments.flag("admin", admin);
        arguments.flag("state", stage.folder().join(format!("{node}.state")).display());
        arguments
    }

    pub(super) fn flag(&mut self, name: &str, value: impl ToString) {
        self.0.extend([format!("--{name}"), value.to_string()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_over_mumbai_is_shorter_than_the_direct_one() {
        let place =
            |node| ACTORS.iter().find(|(name, ..)| *name == node).map(|(_, place, _)| *place).unwrap();
        let (relay, _) = world::best_relay(place(CLIENT), place(WEB)).unwrap();
        assert_eq!(
            ACTORS.iter().filter(|(_, place, part)| *place == relay && *part == Part::Relay).count(),
            2
        );
        assert!(ACTORS.len() >= 6);
    }

    #[test]
    fn the_policy_is_one() {
        let findings = aire_policy::check("demo", POLICY);
        assert!(findings.is_empty(), "{findings:?}");
    }
}
