use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aire_types::{AppProfile, Class, Override, Protocol};
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// The app instance that an agent serves, as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawApp {
    /// Its name.
    pub name: String,
    /// Where its connections go, `HOST:PORT`.
    pub target: Option<String>,
    /// Where its datagrams go, `HOST:PORT`.
    pub udp_target: Option<String>,
    /// What it tells the mesh about itself.
    #[serde(default)]
    pub profile: AppProfile,
    /// What it is told about each connection.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// How an app is told who calls, before a connection's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProxyProtocol {
    /// The PROXY protocol's binary header.
    #[serde(rename = "v2")]
    V2,
}

/// A local port that leads to an app, as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTo {
    /// Which app.
    pub app: String,
    /// Where the agent listens for it.
    pub listen: String,
    /// Class of its streams.
    pub class: Option<Class>,
    /// What it takes there.
    #[serde(default)]
    pub protocol: Protocol,
}

/// What the agent does for others, as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawRelay {
    /// Whether it relays.
    pub enabled: Option<bool>,
    /// Most that it relays, megabits a second.
    pub limit_mbps: Option<f64>,
}

/// What an agent records, as written.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawHistory {
    /// Whether it records what it measures and decides.
    pub enabled: Option<bool>,
    /// Most that is kept, mebibytes.
    pub limit_mib: Option<u64>,
    /// How long it is kept, days.
    pub days: Option<u64>,
    /// One record a path in so many seconds.
    pub span_s: Option<u64>,
}

/// An identity that the mesh's own authority did not issue, as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawIdentity {
    /// The SVID, PEM, leaf first.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// The authorities' certificates, PEM.
    pub ca: Option<PathBuf>,
    /// A SPIFFE Workload API: its address, or `env`.
    pub spiffe: Option<String>,
}

/// Who chooses paths, as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawModel {
    /// A signed model, in place of the built-in one.
    pub file: Option<PathBuf>,
    /// Public keys of those whose models are taken, beside the project's: Ed25519, 64 hexadecimal digits.
    pub trust: Vec<String>,
    /// Whether a model may choose paths at all.
    pub enabled: Option<bool>,
    /// Whether the model has to prove itself in shadow before it decides anything.
    pub shadow: Option<bool>,
}

/// A configuration as written in a file or given by flags.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawConfig {
    /// The node's name.
    pub node: Option<String>,
    /// UDP and TCP address for other agents.
    pub listen: Option<String>,
    /// Addresses to tell others.
    pub advertise: Vec<String>,
    /// State folder.
    pub state: Option<PathBuf>,
    /// The admin API's address.
    pub admin: Option<String>,
    /// Token to enrol with.
    pub join: Option<String>,
    /// Folder of the authority that this agent holds.
    pub authority: Option<PathBuf>,
    /// Seconds that the certificates of this authority hold.
    pub svid_s: Option<u64>,
    /// Identity from elsewhere.
    pub identity: RawIdentity,
    /// More seeds than the token has.
    pub seeds: Vec<String>,
    /// The app instance that it serves.
    pub app: Option<RawApp>,
    /// Local ports to apps.
    pub to: Vec<RawTo>,
    /// SOCKS5 and HTTP CONNECT.
    pub socks: Option<String>,
    /// Cedar files.
    pub policy: Vec<PathBuf>,
    /// Where the node stands.
    pub zone: Option<String>,
    /// What it does for others.
    pub relay: RawRelay,
    /// What it records.
    pub history: RawHistory,
    /// Who chooses paths.
    pub model: RawModel,
    /// Path orders by destination app.
    pub overrides: BTreeMap<String, Override>,
    /// Look for agents on the local network.
    pub multicast: Option<bool>,
    /// Seconds that streams wait for a path.
    pub patience_s: Option<u64>,
    /// Seconds without a datagram after which a flow ends.
    pub flow_idle_s: Option<u64>,
    /// Seconds that a draining agent waits for its streams.
    pub drain_s: Option<u64>,
    /// Logs as JSON lines.
    pub log_json: Option<bool>,
    /// Table from real to emulated addresses.
    pub underlay: Option<PathBuf>,
}

impl RawConfig {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or holds an unknown key or a wrong type (the message names line and key).
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Reads a text; `path` is only for messages.
    ///
    /// # Errors
    /// As [`RawConfig::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .map(|span| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count());
            ConfigError::Malformed { path: path.to_owned(), line, message: error.message().to_owned() }
        })
    }

    /// Lays `flags` over this configuration: what they set wins; lists of flags are added.
    #[must_use]
    pub fn overlay(mut self, flags: RawConfig) -> Self {
        macro_rules! win {
            ($($field:ident),+) => { $( if flags.$field.is_some() { self.$field = flags.$field; } )+ };
        }
        win!(
            node,
            listen,
            state,
            admin,
            join,
            authority,
            socks,
            zone,
            multicast,
            patience_s,
            flow_idle_s,
            drain_s,
            log_json,
            underlay
        );
        if let Some(app) = flags.app {
            let own = self.app.take().filter(|own| own.name == app.name);
            let proxy_protocol = app.proxy_protocol.or(own.as_ref().and_then(|own| own.proxy_protocol));
            let profile = own.map_or(app.profile, |own| own.profile);
            self.app = Some(RawApp { profile, proxy_protocol, ..app });
        }
        self.identity = self.identity.overlay(flags.identity);
        if flags.relay.enabled.is_some() {
            self.relay.enabled = flags.relay.enabled;
        }
        if flags.model.file.is_some() {
            self.model.file = flags.model.file;
        }
        self.advertise.extend(flags.advertise);
        self.seeds.extend(flags.seeds);
        self.to.extend(flags.to);
        self.policy.extend(flags.policy);
        self
    }
}

impl RawIdentity {
    fn overlay(self, flags: RawIdentity) -> Self {
        RawIdentity {
            certificate: flags.certificate.or(self.certificate),
            key: flags.key.or(self.key),
            ca: flags.ca.or(self.ca),
            spiffe: flags.spiffe.or(self.spiffe),
        }
    }
}
