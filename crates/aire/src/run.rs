//! `aire run`.

use std::process::ExitCode;

use aire_admin::Log;
use aire_agent::{Config, ProxyProtocol, RawApp, RawConfig, RawIdentity, RawModel, RawRelay, RawTo};
use aire_types::{AppProfile, Protocol};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::MakeWriterExt;

use crate::args::Run;
use crate::doctor;
use crate::failure::Failure;

pub(crate) fn execute(flags: Run) -> Result<ExitCode, Failure> {
    if let Some(parent) = flags.with_parent {
        end_with(parent)?;
    }
    let check = flags.check;
    let config = resolve(flags)?;
    if check {
        return doctor::check(&config);
    }
    let log = Log::default();
    start_logging(config.log_json, &log);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("aire")
        .build()
        .map_err(|error| Failure::Failed(format!("this machine gives no threads: {error}")))?;
    runtime.block_on(aire_agent::run(config, log)).map_err(Failure::because)?;
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

/// The configuration that file and flags give together.
pub(crate) fn resolve(flags: Run) -> Result<Config, Failure> {
    let file = match &flags.config {
        Some(path) => RawConfig::load(path).map_err(Failure::usage)?,
        None => RawConfig::default(),
    };
    Config::resolve(file.overlay(flags_as_config(flags)?)).map_err(Failure::usage)
}

/// Has the kernel kill this process when its parent ends, however that comes about.
fn end_with(parent: u32) -> Result<(), Failure> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).map_err(
        |error| Failure::Failed(format!("this machine cannot tie the agent to its parent: {error}")),
    )?;
    // It may have ended before the kernel was told.
    if std::os::unix::process::parent_id() == parent {
        Ok(())
    } else {
        Err(Failure::Failed(format!("process {parent}, which started this agent, has ended")))
    }
}

/// Logs go to standard error, and their last lines are kept; `AIRE_LOG` sets what is logged (such as `debug` or `aire_net=trace`).
fn start_logging(json: bool, log: &Log) {
    let filter = EnvFilter::try_from_env("AIRE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = log.clone();
    let both = std::io::stderr.and(move || log.clone());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(both);
    if json { builder.json().init() } else { builder.with_ansi(false).init() }
}

fn flags_as_config(flags: Run) -> Result<RawConfig, Failure> {
    let app = flags.app.as_deref().map(|text| pair("--app", text)).transpose()?;
    let to = |flag: &'static str, protocol| {
        move |text: &String| {
            pair(flag, text).map(|(app, listen)| RawTo { app, listen, class: None, protocol })
        }
    };
    let to_tcp = flags.to.iter().map(to("--to", Protocol::Tcp));
    let to_udp = flags.to_udp.iter().map(to("--to-udp", Protocol::Udp));
    let to = to_tcp.chain(to_udp).collect::<Result<Vec<_>, _>>()?;
    let proxy_protocol = flags.proxy_protocol.map(|_| ProxyProtocol::V2);
    Ok(RawConfig {
        node: flags.node,
        listen: flags.listen,
        advertise: flags.advertise,
        state: flags.state,
        admin: flags.admin,
        join: flags.join,
        authority: flags.authority,
        identity: RawIdentity {
            certificate: flags.identity_cert,
            key: flags.identity_key,
            ca: flags.identity_ca,
            spiffe: flags.spiffe,
        },
        seeds: flags.seed,
        app: app.map(|(name, targets)| served(name, &targets, proxy_protocol)).transpose()?,
        to,
        socks: flags.socks,
        policy: flags.policy,
        zone: flags.zone,
        model: RawModel { file: flags.model, ..RawModel::default() },
        relay: RawRelay { enabled: flags.no_relay.then_some(false), limit_mbps: None },
        multicast: flags.no_multicast.then_some(false),
        log_json: flags.log_json.then_some(true),
        underlay: flags.underlay,
        ..RawConfig::default()
    })
}

/// Reads `HOST:PORT`, `udp://HOST:PORT`, or both with a comma between.
fn served(name: String, targets: &str, proxy_protocol: Option<ProxyProtocol>) -> Result<RawApp, Failure> {
    let (mut target, mut udp_target) = (None, None);
    for text in targets.split(',') {
        let (place, text) = match text.strip_prefix("udp://") {
            Some(text) => (&mut udp_target, text),
            None => (&mut target, text),
        };
        if place.replace(text.to_owned()).is_some() {
            return Err(Failure::Usage(format!("--app '{name}={targets}' has two targets of one protocol")));
        }
    }
    Ok(RawApp { name, target, udp_target, profile: AppProfile::default(), proxy_protocol })
}

fn pair(flag: &str, text: &str) -> Result<(String, String), Failure> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err(Failure::Usage(format!("{flag} '{text}' is not NAME=ADDRESS:PORT"))),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::args::{Cli, Command};

    /// Every flag of `aire run`, and the same said in the configuration file.
    const SAME: &[(&[&str], &str)] = &[
        (&["--join", "t"], "join = 't'"),
        (&["--node", "n2"], "node = 'n2'"),
        (&["--listen", "127.0.0.1:9"], "listen = '127.0.0.1:9'"),
        (&["--advertise", "127.0.0.1:9"], "advertise = ['127.0.0.1:9']"),
        (&["--state", "/s"], "state = '/s'"),
        (&["--model", "/m"], "model = { file = '/m' }"),
        (&["--admin", "127.0.0.1:9"], "admin = '127.0.0.1:9'"),
        (&["--app", "a=h:1"], "app = { name = 'a', target = 'h:1' }"),
        (
            &["--proxy-protocol", "v2", "--app", "a=h:1"],
            "app = { name = 'a', target = 'h:1', proxy_protocol = 'v2' }",
        ),
        (&["--app", "a=udp://h:1"], "app = { name = 'a', udp_target = 'h:1' }"),
        (&["--app", "a=h:1,udp://h:2"], "app = { name = 'a', target = 'h:1', udp_target = 'h:2' }"),
        (&["--to", "a=127.0.0.1:9"], "to = [{ app = 'a', listen = '127.0.0.1:9' }]"),
        (&["--to-udp", "a=127.0.0.1:9"], "to = [{ app = 'a', listen = '127.0.0.1:9', protocol = 'udp' }]"),
        (&["--socks", "127.0.0.1:9"], "socks = '127.0.0.1:9'"),
        (&["--policy", "p"], "policy = ['p']"),
        (&["--authority", "d"], "authority = 'd'"),
        (&["--spiffe", "unix:///s"], "identity.spiffe = 'unix:///s'"),
        (IDENTITY, "identity = { certificate = 'c', key = 'k', ca = 'a' }"),
        (KEY_FIRST, "identity = { certificate = 'c', key = 'k', ca = 'a' }"),
        (CA_FIRST, "identity = { certificate = 'c', key = 'k', ca = 'a' }"),
        (&["--zone", "z"], "zone = 'z'"),
        (&["--seed", "h:1"], "seeds = ['h:1']"),
        (&["--no-relay"], "relay.enabled = false"),
        (&["--no-multicast"], "multicast = false"),
        (&["--log-json"], "log_json = true"),
        (&["--underlay", "u"], "underlay = 'u'"),
    ];
    /// Those of an identity go together.
    const IDENTITY: &[&str] = &["--identity-cert", "c", "--identity-key", "k", "--identity-ca", "a"];
    const KEY_FIRST: &[&str] = &["--identity-key", "k", "--identity-ca", "a", "--identity-cert", "c"];
    const CA_FIRST: &[&str] = &["--identity-ca", "a", "--identity-key", "k", "--identity-cert", "c"];
    /// Flags that are no configuration: about this one start.
    const OF_ONE_START: &[&str] = &["--config", "--check", "--with-parent", "--help"];

    /// The configuration of a node by these flags.
    fn by_flags(flags: &[&str]) -> Config {
        let arguments = [&["aire", "run"], flags].concat();
        let Ok(Cli { command: Command::Run(flags) }) = Cli::try_parse_from(arguments) else {
            panic!("{flags:?} are no flags of run")
        };
        let file = RawConfig::parse("node = 'n1'", "flags".as_ref()).unwrap();
        Config::resolve(file.overlay(flags_as_config(*flags).unwrap())).unwrap()
    }

    fn by_file(text: &str) -> Config {
        let node = if text.starts_with("node") { "" } else { "node = 'n1'\n" };
        Config::resolve(RawConfig::parse(&format!("{node}{text}"), "test".as_ref()).unwrap()).unwrap()
    }

    #[test]
    fn whatever_a_flag_does_a_key_of_the_file_does() {
        let plain = by_flags(&[]);
        for (flags, text) in SAME {
            assert_eq!(by_flags(flags), by_file(text), "{flags:?} is not '{text}'");
            assert_ne!(by_flags(flags), plain, "{flags:?} does nothing");
        }
    }

    #[test]
    fn no_flag_is_without_a_key() {
        let mut command = Cli::command();
        command.build();
        let run = command.find_subcommand("run").unwrap();
        for flag in run.get_arguments().filter_map(|argument| argument.get_long()) {
            let flag = format!("--{flag}");
            let known = SAME.iter().any(|(flags, _)| flags[0] == flag) || OF_ONE_START.contains(&&*flag);
            assert!(known, "{flag} needs a key in the configuration file, and a line in this test");
        }
    }

    #[test]
    fn the_documentation_shows_every_key() {
        let document = include_str!("../../../docs/operations.md");
        let example = document.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        Config::resolve(RawConfig::parse(example, "docs/operations.md".as_ref()).unwrap()).unwrap();
        for (table, hidden) in
            [("", &["underlay"][..]), ("[relay]\n", &[]), ("[history]\n", &[]), ("[model]\n", &[])]
        {
            let error = RawConfig::parse(&format!("{table}unknown = 0"), "test".as_ref()).unwrap_err();
            let error = error.to_string();
            let (_, keys) = error.split_once("expected ").unwrap();
            for key in keys.split('`').skip(1).step_by(2).filter(|key| !hidden.contains(key)) {
                let shown = [format!("{key} = "), format!("[{key}"), format!("[[{key}]]")];
                assert!(shown.iter().any(|shown| example.contains(shown)), "'{key}' is not shown");
            }
        }
    }
}
