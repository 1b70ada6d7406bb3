use std::time::{Duration, SystemTime};

use aire_admin::documents::Finding;
use aire_identity::{Authority, Token};
use aire_types::Role;

use crate::config::Config;
use crate::membership::{Membership, MembershipError, Source};
use crate::sources;

const CERTIFICATE: &str = "certificate";
const TOKEN: &str = "token";
const AUTHORITY: &str = "authority";

/// Who would this node be, and by what right?
pub(super) async fn check(config: &Config) -> Vec<Finding> {
    let now = SystemTime::now();
    if let Some(folder) = &config.authority {
        return vec![match Authority::open(folder) {
            Ok(_) => {
                let says =
                    format!("{} can be used; {} is issued a certificate", folder.display(), config.node);
                Finding::ok(AUTHORITY, says)
            }
            Err(error) => Finding::fail(AUTHORITY, error.to_string(), None),
        }];
    }
    if let Some(from) = &config.identity {
        return vec![match sources::obtain(config, from).await {
            Ok(membership) => member(config, &membership, now),
            Err(error) => Finding::fail(CERTIFICATE, error.to_string(), None),
        }];
    }
    let held = Membership::load(&config.state, now);
    let token = config.join.as_deref().map(Token::parse);
    match (held, token) {
        (Ok(Some(membership)), token) => {
            let mut findings = vec![member(config, &membership, now)];
            findings.extend(token.and_then(|token| unused(&membership, token.ok()?)));
            findings
        }
        (Ok(None) | Err(MembershipError::Expired), Some(token)) => {
            vec![match token {
                Ok(token) => invited(config, &token, now),
                Err(error) => Finding::fail(TOKEN, error.to_string(), None),
            }]
        }
        (Ok(None), None) => {
            let error = MembershipError::NotJoined(config.state.clone());
            vec![Finding::fail(CERTIFICATE, error.to_string(), None)]
        }
        (Err(error), _) => vec![Finding::fail(CERTIFICATE, error.to_string(), None)],
    }
}

fn member(config: &Config, membership: &Membership, now: SystemTime) -> Finding {
    let wanted = config.app.as_ref().map(|served| Role::App(served.name.clone()));
    if let Err(error) = membership.check_role(&config.node, wanted.as_ref()) {
        return Finding::fail(CERTIFICATE, error.to_string(), None);
    }
    certificate(membership, now)
}

/// Is the certificate in force near its end?
pub(super) fn certificate(membership: &Membership, now: SystemTime) -> Finding {
    let svid = &membership.current().svid;
    let life = svid.not_after().duration_since(svid.not_before()).unwrap_or_default();
    remaining(&svid.identity().to_string(), membership.remaining(now), life, membership.source())
}

/// It is renewed at half of its life, so a quarter left means that this did not work.
fn remaining(identity: &str, left: Duration, life: Duration, source: &Source) -> Finding {
    let says = format!("{identity}, for {} more", span(left));
    if left.is_zero() {
        let advice = match source {
            Source::Authority(_) => "join again with a new token ('aire mesh invite')",
            Source::Files(_) => "have a new certificate issued and put in its place; it is read at once",
            Source::WorkloadApi(_) => "see that the Workload API runs and that this node is registered there",
        };
        Finding::fail(CERTIFICATE, format!("{identity} has expired"), Some(advice.to_owned()))
    } else if left < life / 4 {
        let advice = match source {
            Source::Authority(_) => "see that the authority runs and is linked",
            Source::Files(_) => "see that whoever issues it writes a new one in time",
            Source::WorkloadApi(_) => "see that the Workload API runs and gives new ones",
        };
        Finding::warn(CERTIFICATE, says, format!("it is past the usual time of its renewal: {advice}"))
    } else {
        Finding::ok(CERTIFICATE, says)
    }
}

fn span(left: Duration) -> String {
    match left.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

fn unused(membership: &Membership, token: Token) -> Option<Finding> {
    let held = membership.identity().mesh;
    (*token.mesh() != held).then(|| {
        let says = format!("it is for mesh {}, and this node is a member of {held} already", token.mesh());
        Finding::warn(TOKEN, says, "it is not used; choose another --state to join that mesh")
    })
}

fn invited(config: &Config, token: &Token, now: SystemTime) -> Finding {
    if let Err(error) = token.check(now) {
        return Finding::fail(TOKEN, error.to_string(), None);
    }
    let granted = token.scope().identity(token.mesh(), &config.node).role;
    let wanted = config.app.as_ref().map(|served| Role::App(served.name.clone()));
    if let Some(wanted) = wanted.filter(|wanted| *wanted != granted) {
        return Finding::fail(TOKEN, crate::RunError::Scope { granted, wanted }.to_string(), None);
    }
    let left = token.expires().duration_since(now).unwrap_or_default();
    let says =
        format!("{} would join mesh {}; the token holds for {}", config.node, token.mesh(), span(left));
    Finding::ok(TOKEN, says)
}

#[cfg(test)]
mod tests {
    use aire_admin::documents::Verdict;

    use super::*;

    #[test]
    fn a_certificate_that_was_not_renewed_in_time_is_a_warning() {
        let day = Duration::from_secs(86_400);
        let source = Source::Authority("state".into());
        for (left, verdict) in
            [(day / 2, Verdict::Ok), (day / 5, Verdict::Warn), (Duration::ZERO, Verdict::Fail)]
        {
            assert_eq!(remaining("spiffe://m/relay/n1", left, day, &source).verdict, verdict, "{left:?}");
        }
    }

    #[test]
    fn tokens_are_advised_where_tokens_help() {
        let files = || aire_identity::Files {
            certificate: "svid.pem".into(),
            key: "svid.key".into(),
            ca: "ca.pem".into(),
        };
        for (source, helps) in [(Source::Authority("state".into()), true), (Source::Files(files()), false)] {
            let found = remaining("spiffe://m/relay/n1", Duration::ZERO, Duration::from_secs(60), &source);
            assert_eq!(found.advice.unwrap().contains("token"), helps, "{source:?}");
        }
    }
}
