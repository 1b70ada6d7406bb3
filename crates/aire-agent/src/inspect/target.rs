use std::time::Duration;

use aire_admin::documents::Finding;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::Config;

const CHECK: &str = "target";
const DEADLINE: Duration = Duration::from_secs(5);

/// Have the app's targets addresses?
pub(super) async fn resolve(config: &Config) -> Vec<Finding> {
    let Some(served) = &config.app else { return Vec::new() };
    let mut findings = Vec::new();
    for (target, what) in [(&served.target, ""), (&served.udp_target, "udp://")] {
        let Some(target) = target else { continue };
        findings.push(match super::seeds::lookup(target).await {
            Ok(addresses) => {
                Finding::ok(CHECK, format!("{} goes to {what}{target} ({})", served.name, addresses[0]))
            }
            Err(why) => unresolved(target, &why),
        });
    }
    findings
}

/// Does the app take a connection? Of datagrams nobody can tell without knowing what they mean to it.
pub(super) async fn connect(config: &Config) -> Vec<Finding> {
    let Some((served, target)) = config.app.as_ref().and_then(|app| Some((app, app.target.as_ref()?))) else {
        return resolve(config).await;
    };
    let app = &served.name;
    if let Err(why) = super::seeds::lookup(target).await {
        return vec![unresolved(target, &why)];
    }
    let advice = || Some("see that the app runs and listens there, or correct --app".to_owned());
    vec![match timeout(DEADLINE, TcpStream::connect(target)).await {
        Ok(Ok(_)) => Finding::ok(CHECK, format!("{app} at {target} takes connections")),
        Ok(Err(error)) => Finding::fail(CHECK, format!("{app} at {target} refuses: {error}"), advice()),
        Err(_) => {
            Finding::fail(CHECK, format!("{app} at {target} did not answer within {DEADLINE:?}"), advice())
        }
    }]
}

fn unresolved(target: &str, why: &str) -> Finding {
    Finding::fail(
        CHECK,
        format!("{target} has no address: {why}"),
        Some("correct --app, or the resolver".to_owned()),
    )
}
