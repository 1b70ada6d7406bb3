//! A running agent, assembled from its configuration.

mod addresses;
mod agent;
mod allowance;
mod bug;
mod carry;
mod clock;
mod config;
mod control;
mod crypto;
mod ends;
mod gate;
mod handler;
mod happening;
mod history;
mod in_turn;
mod incoming;
mod inspect;
mod joining;
mod ledger;
mod linking;
mod local;
mod machine;
mod membership;
mod model;
mod notices;
mod outgoing;
mod reaching;
mod renewals;
mod run;
mod sources;
mod upkeep;
mod view;

pub use config::{
    Config, ConfigError, DEFAULT_ADMIN, DEFAULT_LISTEN, History, IdentityFrom, ModelFrom, ProxyProtocol,
    RawApp, RawConfig, RawHistory, RawIdentity, RawModel, RawRelay, RawTo, Served, To,
};
pub use gate::GateError;
pub use inspect::{check, diagnose};
pub use membership::MembershipError;
pub use model::{ModelError, open_model};
pub use run::run;

use aire_types::Role;

/// Why an agent could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The policies.
    #[error(transparent)]
    Policy(#[from] GateError),
    /// Certificate, key or token.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// The agent's port.
    #[error(transparent)]
    Net(#[from] aire_net::NetError),
    /// A port for applications.
    #[error(transparent)]
    Listener(#[from] aire_ingress::BindError),
    /// The admin port.
    #[error(transparent)]
    Admin(#[from] aire_admin::BindError),
    /// Seeds that are none.
    #[error("{0}")]
    Seeds(String),
    /// The table of an emulated network.
    #[error("the underlay table {0}")]
    Underlay(String),
    /// The token is for something else than the configuration.
    #[error(
        "the token is for {}, and the configuration for {}; ask for a token with that scope",
        role(granted),
        role(wanted)
    )]
    Scope {
        /// What the token gives.
        granted: Role,
        /// What the configuration asks for.
        wanted: Role,
    },
    /// A notice that an earlier run kept.
    #[error(
        "version {version} of the mesh's {kind}, kept in the state folder, cannot be used: {why}; remove {kind}.notice there, and the next peer that is linked tells the newest one"
    )]
    Notice {
        /// What it is about.
        kind: aire_wire::NoticeKind,
        /// Its version.
        version: u64,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody took this node.
    #[error("this node did not get into the mesh: {0}")]
    NotTaken(String),
    /// A port of the configuration cannot be had.
    #[error("{0}")]
    Port(String),
    /// This machine.
    #[error("this machine does not do what an agent needs: {0}")]
    Machine(String),
}

fn role(role: &Role) -> String {
    match role {
        Role::App(app) => format!("the app {app}"),
        Role::Relay => "a relay (leave out --app)".to_owned(),
    }
}
