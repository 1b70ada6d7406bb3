use std::time::Duration;

use aire_admin::documents::Finding;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::Config;

const CHECK: &str = "target";
const DEADLINE: Duration = Duration::from_secs(5);

/// Has the app's target an address?
pub(super) async fn resolve(config: &Config) -> Option<Finding> {
    let served = config.app.as_ref()?;
    Some(match super::seeds::lookup(&served.target).await {
        Ok(addresses) => {
            Finding::ok(CHECK, format!("{} goes to {} ({})", served.name, served.target, addresses[0]))
        }
        Err(why) => unresolved(&served.target, &why),
    })
}

/// Does the app take a connection?
pub(super) async fn connect(config: &Config) -> Option<Finding> {
    let served = config.app.as_ref()?;
    let (app, target) = (&served.name, &served.target);
    if let Err(why) = super::seeds::lookup(target).await {
        return Some(unresolved(target, &why));
    }
    let advice = || Some("see that the app runs and listens there, or correct --app".to_owned());
    Some(match timeout(DEADLINE, TcpStream::connect(target)).await {
        Ok(Ok(_)) => Finding::ok(CHECK, format!("{app} at {target} takes connections")),
        Ok(Err(error)) => Finding::fail(CHECK, format!("{app} at {target} refuses: {error}"), advice()),
        Err(_) => {
            Finding::fail(CHECK, format!("{app} at {target} did not answer within {DEADLINE:?}"), advice())
        }
    })
}

fn unresolved(target: &str, why: &str) -> Finding {
    Finding::fail(
        CHECK,
        format!("{target} has no address: {why}"),
        Some("correct --app, or the resolver".to_owned()),
    )
}
