//! `aire run`.

use std::process::ExitCode;

use aire_agent::{Config, ProxyProtocol, RawApp, RawConfig, RawRelay, RawTo};
use aire_types::AppProfile;
use tracing_subscriber::EnvFilter;

use crate::args::Run;
use crate::failure::Failure;

pub(crate) fn execute(flags: Run) -> Result<ExitCode, Failure> {
    start_logging(flags.log_json);
    if let Some(parent) = flags.with_parent {
        end_with(parent)?;
    }
    let file = match &flags.config {
        Some(path) => RawConfig::load(path).map_err(Failure::usage)?,
        None => RawConfig::default(),
    };
    let config = Config::resolve(file.overlay(flags_as_config(flags)?)).map_err(Failure::usage)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("aire")
        .build()
        .map_err(|error| Failure::Failed(format!("this machine gives no threads: {error}")))?;
    runtime.block_on(aire_agent::run(config)).map_err(Failure::because)?;
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
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

/// Logs go to standard error; `AIRE_LOG` sets what is logged (such as `debug` or `aire_net=trace`).
fn start_logging(json: bool) {
    let filter = EnvFilter::try_from_env("AIRE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json { builder.json().init() } else { builder.with_ansi(false).init() }
}

fn flags_as_config(flags: Run) -> Result<RawConfig, Failure> {
    let app = flags.app.as_deref().map(|text| pair("--app", text)).transpose()?;
    let to = flags.to.iter().map(|text| pair("--to", text)).collect::<Result<Vec<_>, _>>()?;
    let proxy_protocol = flags.proxy_protocol.map(|_| ProxyProtocol::V2);
    Ok(RawConfig {
        node: flags.node,
        listen: flags.listen,
        advertise: flags.advertise,
        state: flags.state,
        admin: flags.admin,
        join: flags.join,
        authority: flags.authority,
        seeds: flags.seed,
        app: app.map(|(name, target)| RawApp {
            name,
            target,
            profile: AppProfile::default(),
            proxy_protocol,
        }),
        to: to.into_iter().map(|(app, listen)| RawTo { app, listen, class: None }).collect(),
        socks: flags.socks,
        policy: flags.policy,
        zone: flags.zone,
        relay: RawRelay { enabled: flags.no_relay.then_some(false), limit_mbps: None },
        multicast: flags.no_multicast.then_some(false),
        underlay: flags.underlay,
        ..RawConfig::default()
    })
}

fn pair(flag: &str, text: &str) -> Result<(String, String), Failure> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err(Failure::Usage(format!("{flag} '{text}' is not NAME=ADDRESS:PORT"))),
    }
}
