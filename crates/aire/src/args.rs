//! The command line, as users see it.

use std::path::PathBuf;
use std::time::Duration;

use aire_train::learn::Herd;
use aire_types::{AppName, NodeName, Path};
use aire_wire::Subject;
use clap::{Args, Parser, Subcommand};

/// An application network mesh with learned routing.
#[derive(Debug, Parser)]
#[command(name = "aire", version, about, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A mesh on this machine over an emulated WAN: traffic, a relay failure, a denied app; a summary at the end
    Demo {
        /// Stop after about this many seconds
        #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u64).range(30..=600))]
        seconds: u64,
        /// Print the summary as one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Make a mesh, invite agents to it, set its policy, take members out
    #[command(subcommand)]
    Mesh(Mesh),
    /// Run an agent
    Run(Box<Run>),
    /// What the agent is and does
    Status(Ask),
    /// The other agents
    Peers(Ask),
    /// The apps in the mesh and their instances
    Apps(Ask),
    /// Paths in use, and what was considered
    Routes(Ask),
    /// Application connections
    Streams(Ask),
    /// What happened, newest last
    Events {
        #[command(flatten)]
        ask: Ask,
        /// Go on printing what happens
        #[arg(long)]
        follow: bool,
    },
    /// Why the path to an app is what it is
    Explain {
        /// The app
        app: AppName,
        #[command(flatten)]
        ask: Ask,
    },
    /// Measure the way to an app
    Ping {
        /// The app
        app: AppName,
        /// Over these relays in order, instead of the path in use (empty text: direct)
        #[arg(long, value_name = "NODE,...", value_parser = relays)]
        via: Option<Path>,
        #[command(flatten)]
        ask: Ask,
    },
    /// What is wrong with this node, its machine and its network, and what to do about it
    Doctor(Box<Doctor>),
    /// Pack what a bug report needs into one archive, without secrets
    Bundle(Bundle),
    /// Work with policies
    #[command(subcommand)]
    Policy(Policy),
    /// Describe recorded networks beside synthetic ones, or make a synthetic one
    #[command(subcommand)]
    Traces(Traces),
    /// Train a path model on recorded networks, and sign it
    Train(Box<Train>),
    /// Make the key that signs models, or look at a model
    #[command(subcommand)]
    Model(Model),
    /// Replay recorded networks with all path policies, and say what each is worth
    Eval(Eval),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mesh {
    /// Make a mesh: its certificate authority and a starter policy
    Create {
        /// The mesh's name
        name: String,
        /// Where to keep the authority
        #[arg(long)]
        dir: PathBuf,
    },
    /// Print a token that lets agents join
    Invite {
        /// Where the authority is kept
        #[arg(long)]
        dir: PathBuf,
        #[command(flatten)]
        scope: Scope,
        /// How long the token can be used, such as 30m, 1h or 7d
        #[arg(long, default_value = "1h", value_parser = duration)]
        ttl: Duration,
        /// How many agents may use it
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        uses: u32,
        /// Where an agent of the mesh can be dialled; may be given more than once
        #[arg(long, value_name = "HOST:PORT", value_parser = host_port)]
        seed: Vec<String>,
    },
    /// The policy of the whole mesh, which must permit beside each agent's own files
    #[command(subcommand)]
    Policy(crate::mesh::policy::Policy),
    /// Take a node, or all instances of an app, out of the mesh at once
    Revoke {
        /// Whom
        #[arg(value_name = "node/NAME|app/NAME")]
        subject: Subject,
        /// Where the authority is kept
        #[arg(long)]
        dir: PathBuf,
        /// Why, for other operators
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Take a revocation back
    Reinstate {
        /// Whose
        #[arg(value_name = "node/NAME|app/NAME")]
        subject: Subject,
        /// Where the authority is kept
        #[arg(long)]
        dir: PathBuf,
    },
    /// List who is revoked
    Revoked {
        /// Where the authority is kept
        #[arg(long)]
        dir: PathBuf,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

/// What is done with recordings.
#[derive(Debug, Subcommand)]
pub(crate) enum Traces {
    /// Print what recorded sets are like, side by side with synthetic ones
    Describe {
        /// A folder of recorded sets, or one set
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The synthetic ones come from it
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Write a synthetic set into a new folder, as if it had been recorded
    Make {
        /// planetlab, seattle, cloud or atlas (round trips), or grid (throughput)
        kind: String,
        /// The folder
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// The same seed makes the same set
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
        /// How many nodes, other than the kind has
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=2000))]
        nodes: Option<u16>,
        /// How many frames, other than the kind has
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        frames: Option<u32>,
    },
}

/// What is done with models and their keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    /// Print the public key of FILE, for `trust` in [model]; the key is made where there is none
    Key {
        /// The Ed25519 key that signs (PKCS#8, PEM or DER)
        file: PathBuf,
    },
    /// Write a signed model that has learned nothing, to compare: the rule's figures, with the herd control of choice
    Untrained {
        /// Where it goes
        file: PathBuf,
        /// The key that signs; made where it does not exist
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// How agents behave as ones of many: rule, learned (in the simulator; what trained models have) or greedy
        #[arg(long, value_name = "HOW", default_value = "learned")]
        herd: Herd,
    },
    /// Print what a signed model is
    Show {
        /// The model
        file: PathBuf,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

/// What is trained on, and how.
#[derive(Debug, Args)]
pub(crate) struct Train {
    /// A folder of recorded sets, or one set; may be given more than once. Without any, synthetic meshes alone are used
    #[arg(long, value_name = "DIR")]
    pub(crate) traces: Vec<PathBuf>,
    /// What this mesh's agents recorded: STATE/history of one, or a folder with those of several; may be given more than once.
    /// All of it is used, as one set
    #[arg(long, value_name = "DIR")]
    pub(crate) from: Vec<PathBuf>,
    /// Where the signed model goes; the report goes beside it, as .md
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Everything random comes from it: the same seed gives the same weights
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Go on from the checkpoints that an interrupted run left in DIR (OUT.checkpoints unless it was resumed itself)
    #[arg(long, value_name = "DIR")]
    pub(crate) resume: Option<PathBuf>,
    /// The Ed25519 key that signs (PKCS#8, PEM or DER); made where it does not exist [default: OUT.key]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Use only this share of the frames of each set of --traces, from the first on; what 'aire eval' scores comes after 0.4
    #[arg(long, value_name = "SHARE", default_value_t = 0.4, value_parser = share)]
    pub(crate) until: f64,
    /// Synthetic meshes of each of three kinds that are added
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) synthetic: usize,
    /// Decisions that are looked at in each set, at most about; fewer are faster and teach less
    #[arg(long, value_name = "N", default_value_t = 40_000)]
    pub(crate) questions: usize,
    /// Passes over the data at most
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(crate) epochs: usize,
    /// Features that the network must not see, for comparisons
    #[arg(long, value_name = "FEATURE,...", value_delimiter = ',')]
    pub(crate) without: Vec<String>,
}

/// What a token may be used for.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Scope {
    /// For instances of this app
    #[arg(long)]
    pub(crate) app: Option<String>,
    /// For relays
    #[arg(long)]
    pub(crate) relay: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Say what is wrong with a policy file, if anything is
    Check {
        /// A Cedar file
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Read the configuration from this file; flags win over it
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Enrol with this token
    #[arg(long)]
    pub(crate) join: Option<String>,
    /// Use this SVID of another authority (PEM, leaf first), read again when it changes
    #[arg(long, value_name = "FILE")]
    pub(crate) identity_cert: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "FILE")]
    pub(crate) identity_key: Option<PathBuf>,
    /// Certificates of the authorities to trust
    #[arg(long, value_name = "FILE")]
    pub(crate) identity_ca: Option<PathBuf>,
    /// Take the SVID from this SPIFFE Workload API (env: from SPIFFE_ENDPOINT_SOCKET)
    #[arg(long, value_name = "unix:///SOCKET|env")]
    pub(crate) spiffe: Option<String>,
    /// Name of this node (default: the machine's)
    #[arg(long)]
    pub(crate) node: Option<String>,
    /// UDP and TCP address for other agents [default: 0.0.0.0:7117]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<String>,
    /// Tell others to dial this address too
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) advertise: Vec<String>,
    /// Where to keep key, certificate and peers
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Address of the admin API [default: 127.0.0.1:7118]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) admin: Option<String>,
    /// Serve this app; connections to it go to HOST:PORT, datagrams to udp://HOST:PORT (NAME=HOST:PORT,udp://HOST:PORT for
    /// both)
    #[arg(long, value_name = "NAME=[udp://]HOST:PORT")]
    pub(crate) app: Option<String>,
    /// Tell the app who calls, before each connection's first byte
    #[arg(long, value_name = "VERSION", requires = "app", value_parser = ["v2"])]
    pub(crate) proxy_protocol: Option<String>,
    /// Listen here for connections to an app
    #[arg(long, value_name = "APP=ADDR:PORT")]
    pub(crate) to: Vec<String>,
    /// Listen here for UDP datagrams to an app
    #[arg(long, value_name = "APP=ADDR:PORT")]
    pub(crate) to_udp: Vec<String>,
    /// SOCKS5 (UDP too) and HTTP CONNECT proxy for names like APP.mesh
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) socks: Option<String>,
    /// Cedar policies; read again when they change
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Vec<PathBuf>,
    /// Follow this signed model instead of the built-in one; read again when it changes
    #[arg(long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    /// Hold the authority kept in this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) authority: Option<PathBuf>,
    /// Where this node stands; relays of one zone tend to fail together
    #[arg(long)]
    pub(crate) zone: Option<String>,
    /// Where an agent of the mesh can be dialled
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) seed: Vec<String>,
    /// Do not relay for others
    #[arg(long)]
    pub(crate) no_relay: bool,
    /// Do not look for agents on the local network
    #[arg(long)]
    pub(crate) no_multicast: bool,
    /// Logs as JSON lines
    #[arg(long)]
    pub(crate) log_json: bool,
    /// Say what would be done and whether it would work, and do nothing
    #[arg(long)]
    pub(crate) check: bool,
    /// Table from real to emulated addresses
    #[arg(long, hide = true, value_name = "FILE")]
    pub(crate) underlay: Option<PathBuf>,
    /// End when the process that started this one does
    #[arg(long, hide = true, value_name = "PID")]
    pub(crate) with_parent: Option<u32>,
}

/// The agent that runs, or what it would run with.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The configuration, as of `aire run`; with it, the agent that it is of is asked if it runs
    #[command(flatten)]
    pub(crate) run: Run,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Bundle {
    /// The agent's admin address [default: the configuration's, or 127.0.0.1:7118]
    #[arg(long, value_name = "ADDR:PORT", env = "AIRE_ADMIN", value_parser = host_port)]
    pub(crate) admin: Option<String>,
    /// The agent's configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where to write the archive; it must not exist
    #[arg(long, value_name = "FILE", default_value = "aire-bundle.tar.gz")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Eval {
    /// A folder with recordings and the trace.toml that describes them, or a folder of such folders
    #[arg(long, value_name = "DIR")]
    pub(crate) traces: PathBuf,
    /// Compare the network in this file too, as model-network
    #[arg(long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    /// Print one JSON document (for a folder of folders a list of them)
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a page with plots here
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Splits by time and by node that are replayed
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = seeds)]
    pub(crate) seeds: usize,
    /// Probes per destination and round that a policy may send
    #[arg(long, value_name = "P", default_value_t = 1.5)]
    pub(crate) probes: f64,
}

/// Which agent to ask, and how to print.
#[derive(Debug, Args)]
pub(crate) struct Ask {
    /// The agent's admin address
    #[arg(
        long,
        value_name = "ADDR:PORT",
        env = "AIRE_ADMIN",
        default_value = "127.0.0.1:7118",
        value_parser = host_port
    )]
    pub(crate) admin: String,
    /// Print one JSON document (events: one a line)
    #[arg(long)]
    pub(crate) json: bool,
}

/// Reads `90s`, `30m`, `1h` or `7d`.
fn duration(text: &str) -> Result<Duration, String> {
    let form = || format!("'{text}' is not a duration such as 90s, 30m, 1h or 7d");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(form)?;
    let scale = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(form()),
    };
    let seconds = number.parse::<u64>().ok().and_then(|n| n.checked_mul(scale)).ok_or_else(form)?;
    if seconds == 0 { Err(form()) } else { Ok(Duration::from_secs(seconds)) }
}

/// Above 0, at most 1.
fn share(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| *value > 0.0 && *value <= 1.0);
    value.ok_or_else(|| format!("'{text}' is no share: a number above 0 and at most 1, such as 0.4"))
}

/// Reads a number of splits.
fn seeds(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(seeds @ 1..=100) => Ok(seeds),
        _ => Err(format!("'{text}' is not a number from 1 to 100")),
    }
}

/// Checks `HOST:PORT`, without asking whether there is such a host.
fn host_port(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err(format!("'{text}' is not HOST:PORT")),
    }
}

/// Reads `a,b`; an empty text is the direct path.
fn relays(text: &str) -> Result<Path, String> {
    let names = text.split(',').filter(|_| !text.is_empty()).map(NodeName::new);
    let nodes = names.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    Path::new(nodes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for bad in ["", "1", "h", "0s", "1w", "-1s", "é"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
    #[test]
    fn relays_are_names_in_order() {
        assert_eq!(relays(""), Ok(Path::DIRECT));
        assert_eq!(relays("r2,r1").unwrap().relays().len(), 2);
        for bad in ["r1,", ",", "R1", "r1,r1", "a,b,c"] {
            assert!(relays(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_seed_has_a_host_and_a_port() {
        assert!(host_port("h:1").is_ok() && host_port("[::1]:7117").is_ok());
        for bad in ["", "h", ":1", "h:", "h:65536"] {
            assert!(host_port(bad).is_err(), "{bad}");
        }
    }
}
