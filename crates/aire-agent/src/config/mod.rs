//! From flags and one file to a checked configuration.

mod history;
mod identity;
mod model;
mod raw;

pub use history::History;
pub use identity::IdentityFrom;
pub use model::ModelFrom;
pub use raw::{ProxyProtocol, RawApp, RawConfig, RawHistory, RawIdentity, RawModel, RawRelay, RawTo};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use aire_types::{AppName, AppProfile, Class, NodeName, Override, Protocol};
use serde::{Serialize, Serializer};

/// Where agents listen when nothing else is said.
pub const DEFAULT_LISTEN: &str = "0.0.0.0:7117";
/// Where the admin API listens when nothing else is said.
pub const DEFAULT_ADMIN: &str = "127.0.0.1:7118";
/// How long streams wait for a path before they are reset.
const DEFAULT_PATIENCE_S: u64 = 60;
/// How long a flow of datagrams lives without one.
const DEFAULT_FLOW_IDLE_S: u64 = 60;
/// How long the certificates of an authority hold.
const DEFAULT_SVID_S: u64 = 86_400;
/// How long a draining agent waits for its streams.
const DEFAULT_DRAIN_S: u64 = 30;

/// What is wrong with a configuration, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("in {}{}: {message}", path.display(), line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Which line, where one is to blame.
        line: Option<usize>,
        /// Which key, and what is wrong with it.
        message: String,
    },
    /// A value is missing or wrong.
    #[error("{key}: {message}")]
    Value {
        /// Which key (flags have the same name).
        key: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

fn wrong(key: &'static str, message: impl Into<String>) -> ConfigError {
    ConfigError::Value { key, message: message.into() }
}

/// The app instance that an agent serves.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Served {
    /// Its name.
    pub name: AppName,
    /// Where its connections go, `HOST:PORT`.
    pub target: Option<String>,
    /// Where its datagrams go, `HOST:PORT`. It has at least one of the two.
    pub udp_target: Option<String>,
    /// What it tells the mesh about itself.
    pub profile: AppProfile,
    /// What it is told about each connection.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// A local port that leads to an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct To {
    /// Which app.
    pub app: AppName,
    /// Where the agent listens for it.
    pub listen: SocketAddr,
    /// Class of its streams; `None` leaves it to the profile.
    pub class: Option<Class>,
    /// What it takes there: connections, or datagrams.
    pub protocol: Protocol,
}

/// A checked configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// The node's name.
    pub node: NodeName,
    /// UDP and TCP address for other agents.
    pub listen: SocketAddr,
    /// Addresses to tell others, where the own interfaces are not enough.
    pub advertise: Vec<SocketAddr>,
    /// Key, certificate and peer cache live here.
    pub state: PathBuf,
    /// The admin API's address.
    pub admin: SocketAddr,
    /// Token to enrol with.
    #[serde(serialize_with = "hidden")]
    pub join: Option<String>,
    /// Folder of the authority that this agent holds.
    pub authority: Option<PathBuf>,
    /// Where its identity comes from, if not from the mesh's own authority.
    pub identity: Option<IdentityFrom>,
    /// How long the certificates of that authority hold.
    pub svid_lifetime: Duration,
    /// More seeds than the token has, `HOST:PORT`.
    pub seeds: Vec<String>,
    /// The app instance that it serves.
    pub app: Option<Served>,
    /// Local ports to apps.
    pub to: Vec<To>,
    /// SOCKS5 and HTTP CONNECT.
    pub proxy: Option<SocketAddr>,
    /// Cedar files.
    pub policy: Vec<PathBuf>,
    /// Where the node stands.
    pub zone: String,
    /// Whether it relays for others.
    pub relay: bool,
    /// Most that it relays, megabits a second; zero is no limit.
    pub relay_limit_mbps: f64,
    /// What it records; `None` for nothing.
    pub history: Option<History>,
    /// Who chooses paths.
    pub model: ModelFrom,
    /// Path orders by destination app.
    pub overrides: BTreeMap<AppName, Override>,
    /// Look for agents on the local network.
    pub multicast: bool,
    /// How long streams wait for a path before they are reset.
    pub patience: Duration,
    /// How long a flow of datagrams lives without one.
    pub flow_idle: Duration,
    /// How long a draining agent waits for its streams.
    pub drain: Duration,
    /// Logs as JSON lines.
    pub log_json: bool,
    /// Table from real to emulated addresses, for tests and the demo.
    pub underlay: Option<PathBuf>,
}

impl Config {
    /// Checks `raw` and fills in what it leaves out.
    ///
    /// # Errors
    /// The first value that is missing or wrong.
    pub fn resolve(raw: RawConfig) -> Result<Self, ConfigError> {
        let node = match &raw.node {
            Some(node) => node.parse().map_err(|error| wrong("node", format!("{error}")))?,
            None => node_from_hostname()?,
        };
        if raw.join.is_some() && raw.authority.is_some() {
            return Err(wrong(
                "join",
                "an agent that holds the authority issues its own certificate; leave out one",
            ));
        }
        Ok(Config {
            listen: address("listen", raw.listen.as_deref().unwrap_or(DEFAULT_LISTEN))?,
            advertise: raw.advertise.iter().map(|a| address("advertise", a)).collect::<Result<_, _>>()?,
            state: raw.state.clone().unwrap_or_else(|| default_state(&node)),
            admin: address("admin", raw.admin.as_deref().unwrap_or(DEFAULT_ADMIN))?,
            join: raw.join.clone(),
            authority: raw.authority.clone(),
            identity: identity::resolve(&raw)?,
            svid_lifetime: svid_lifetime(raw.svid_s)?,
            seeds: raw.seeds.iter().map(|seed| host_port("seeds", seed)).collect::<Result<_, _>>()?,
            app: raw.app.as_ref().map(served).transpose()?,
            to: raw.to.iter().map(to).collect::<Result<_, _>>()?,
            proxy: raw.socks.as_deref().map(|text| address("socks", text)).transpose()?,
            policy: raw.policy.clone(),
            zone: raw.zone.clone().unwrap_or_default(),
            relay: raw.relay.enabled.unwrap_or(true),
            relay_limit_mbps: limit(raw.relay.limit_mbps)?,
            history: history::resolve(raw.history)?,
            model: model::resolve(&raw.model)?,
            overrides: overrides(&raw)?,
            multicast: raw.multicast.unwrap_or(true),
            patience: seconds("patience_s", raw.patience_s.unwrap_or(DEFAULT_PATIENCE_S))?,
            flow_idle: flow_idle(raw.flow_idle_s)?,
            drain: seconds("drain_s", raw.drain_s.unwrap_or(DEFAULT_DRAIN_S))?,
            log_json: raw.log_json.unwrap_or(false),
            underlay: raw.underlay.clone(),
            node,
        })
    }
}

/// Secrets stay here.
fn hidden<S: Serializer>(secret: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|_| "(removed)").serialize(serializer)
}

impl Config {
    /// The configuration without its secrets, for people.
    pub fn shown(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

fn svid_lifetime(seconds: Option<u64>) -> Result<Duration, ConfigError> {
    match seconds.unwrap_or(DEFAULT_SVID_S) {
        seconds @ 10..=DEFAULT_SVID_S => Ok(Duration::from_secs(seconds)),
        other => Err(wrong("svid_s", format!("{other} is not from 10 to {DEFAULT_SVID_S}"))),
    }
}

fn limit(mbps: Option<f64>) -> Result<f64, ConfigError> {
    let mbps = mbps.unwrap_or(0.0);
    let sensible = mbps.is_finite() && (0.0..=1e7).contains(&mbps);
    if sensible { Ok(mbps) } else { Err(wrong("limit_mbps", format!("{mbps} is not from 0 to 10000000"))) }
}

fn seconds(key: &'static str, seconds: u64) -> Result<Duration, ConfigError> {
    if seconds <= 86_400 {
        Ok(Duration::from_secs(seconds))
    } else {
        Err(wrong(key, format!("{seconds} is more than a day")))
    }
}

fn flow_idle(idle: Option<u64>) -> Result<Duration, ConfigError> {
    match idle {
        Some(0) => Err(wrong("flow_idle_s", "0 would end every flow at once; give 1 or more")),
        idle => seconds("flow_idle_s", idle.unwrap_or(DEFAULT_FLOW_IDLE_S)),
    }
}

fn address(key: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| wrong(key, format!("'{text}' is not ADDRESS:PORT, such as 127.0.0.1:7117")))
}

fn host_port(key: &'static str, text: &str) -> Result<String, ConfigError> {
    let valid =
        text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if valid { Ok(text.to_owned()) } else { Err(wrong(key, format!("'{text}' is not HOST:PORT"))) }
}

fn served(raw: &RawApp) -> Result<Served, ConfigError> {
    let target = |text: &Option<String>| text.as_deref().map(|text| host_port("app", text)).transpose();
    if raw.target.is_none() && raw.udp_target.is_none() {
        return Err(wrong("app", format!("{} has no target; give target, udp_target or both", raw.name)));
    }
    Ok(Served {
        name: raw.name.parse().map_err(|error| wrong("app", format!("{error}")))?,
        target: target(&raw.target)?,
        udp_target: target(&raw.udp_target)?,
        profile: raw.profile.clone(),
        proxy_protocol: raw.proxy_protocol,
    })
}

fn to(raw: &RawTo) -> Result<To, ConfigError> {
    Ok(To {
        app: raw.app.parse().map_err(|error| wrong("to", format!("{error}")))?,
        listen: address("to", &raw.listen)?,
        class: raw.class,
        protocol: raw.protocol,
    })
}

fn overrides(raw: &RawConfig) -> Result<BTreeMap<AppName, Override>, ConfigError> {
    raw.overrides
        .iter()
        .map(|(app, order)| {
            let app = app.parse().map_err(|error| wrong("overrides", format!("{error}")))?;
            Ok((app, order.clone()))
        })
        .collect()
}

/// A host's name is often no DNS label: its first label, lower case, other characters as hyphens.
fn node_from_hostname() -> Result<NodeName, ConfigError> {
    let host = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let first = host.split('.').next().unwrap_or_default();
    let label: String = first.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    label.trim_matches('-').parse().map_err(|_| {
        wrong("node", format!("this machine's name '{host}' cannot serve as one; give --node NAME"))
    })
}

fn default_state(node: &NodeName) -> PathBuf {
    let base = if rustix::process::geteuid().is_root() {
        PathBuf::from("/var/lib/aire")
    } else if let Some(state) = std::env::var_os("XDG_STATE_HOME") {
        PathBuf::from(state).join("aire")
    } else {
        let home = std::env::var_os("HOME").unwrap_or_else(|| ".".into());
        PathBuf::from(home).join(".local/state/aire")
    };
    base.join(node.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::resolve(RawConfig::parse(text, "test.toml".as_ref())?)
    }

    #[test]
    fn a_whole_file() {
        let config = parse(
            r#"
            node = "n1"
            listen = "127.0.0.1:9000"
            policy = ["p.cedar"]
            [app]
            name = "echo"
            target = "localhost:8080"
            udp_target = "localhost:53"
            profile = { priority = 6, class = "bulk" }
            proxy_protocol = "v2"
            [[to]]
            app = "db"
            listen = "127.0.0.1:5432"
            [[to]]
            app = "dns"
            listen = "127.0.0.1:53"
            protocol = "udp"
            [overrides.db]
            avoid = ["r1"]
            direct-only = false
            "#,
        )
        .unwrap();
        assert_eq!(config.node.as_str(), "n1");
        let app = config.app.unwrap();
        assert_eq!((app.profile.priority.get(), app.proxy_protocol), (6, Some(ProxyProtocol::V2)));
        assert_eq!((config.to[0].listen.port(), config.to[0].protocol), (5432, Protocol::Tcp));
        assert_eq!(config.to[1].protocol, Protocol::Udp);
        assert_eq!(config.overrides.len(), 1);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = parse("node = \"n1\"\n\nlisten_on = \"x\"\n").unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("listen_on"), "{error}");
    }

    #[test]
    fn wrong_values_name_their_key() {
        for (text, key) in [
            ("node = \"N1\"", "node"),
            ("node = \"n\"\nlisten = \"7117\"", "listen"),
            ("node = \"n\"\nseeds = [\"nohost\"]", "seeds"),
            ("node = \"n\"\n[app]\nname = \"a b\"\ntarget = \"x:1\"", "app"),
            ("node = \"n\"\n[app]\nname = \"a\"\ntarget = \"x\"", "app"),
            ("node = \"n\"\n[app]\nname = \"a\"", "app"),
            ("node = \"n\"\nflow_idle_s = 0", "flow_idle_s"),
            ("node = \"n\"\n[relay]\nlimit_mbps = -1.0", "limit_mbps"),
            ("node = \"n\"\ndrain_s = 9000000000000000000", "drain_s"),
            ("node = \"n\"\njoin = \"t\"\nauthority = \"d\"", "join"),
            ("node = \"n\"\n[identity]\ncertificate = \"c\"\nca = \"a\"", "identity.key"),
            ("node = \"n\"\n[identity]\nspiffe = \"here\"", "identity.spiffe"),
            ("node = \"n\"\n[model]\ntrust = [\"abc\"]", "model.trust"),
            ("node = \"n\"\n[identity]\nspiffe = \"unix:///s\"\nca = \"a\"", "identity.spiffe"),
            (
                "node = \"n\"\njoin = \"t\"\n[identity]\ncertificate = \"c\"\nkey = \"k\"\nca = \"a\"",
                "identity",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(matches!(&error, ConfigError::Value { key: k, .. } if *k == key), "{text}: {error}");
        }
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = RawConfig::parse("node = \"n1\"\nzone = \"a\"", "f".as_ref()).unwrap();
        let flags = RawConfig { zone: Some("b".into()), ..RawConfig::default() };
        let config = Config::resolve(file.overlay(flags)).unwrap();
        assert_eq!((config.node.as_str(), config.zone.as_str()), ("n1", "b"));
    }
}
