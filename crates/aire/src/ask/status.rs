use aire_admin::documents::{Model, ModelGuard, Status};

use aire_wire::NoticeVersions;

use super::{Done, optional, show};
use crate::args::Ask;
use crate::figures;
use crate::table::fields;

pub(crate) fn status(ask: &Ask) -> Done {
    show(ask, "/api/v1/status", text)
}

fn text(status: &Status) -> String {
    let Status { streams, bytes, model, .. } = status;
    let state = match (status.draining, status.ready) {
        (true, _) => "draining".to_owned(),
        (false, true) => "ready".to_owned(),
        (false, false) => format!("not ready: {}", status.not_ready.join("; ")),
    };
    let listen: Vec<String> = status.listen.iter().map(ToString::to_string).collect();
    let svid = status.svid_expires_s.map(|left| match u32::try_from(left) {
        Ok(left) => format!("expires in {}", figures::span(f64::from(left))),
        Err(_) if left < 0 => "expired".to_owned(),
        Err(_) => "expires in many years".to_owned(),
    });
    let fallback = model.fallback_reason.as_ref().map(|why| format!(" (the rule decides: {why})"));
    fields(&[
        ("node", status.node.to_string()),
        ("mesh", status.mesh.to_string()),
        ("identity", status.id.clone()),
        ("role", status.role.clone()),
        ("app", optional(status.app.as_ref())),
        ("state", state),
        ("revoked", optional(status.revoked.as_ref())),
        ("notices", notices(status.notices)),
        ("peers", format!("{} linked", status.peers)),
        (
            "streams",
            format!(
                "{} open, {} in all, {} moves, {} reset",
                streams.open, streams.total, streams.moved, streams.reset
            ),
        ),
        (
            "bytes",
            format!("{} to the app, {} from it", figures::bytes(bytes.inward), figures::bytes(bytes.outward)),
        ),
        ("paths by", format!("{}{}", model.name, optional(fallback))),
        ("model", optional(model.guard.as_ref().map(|guard| measured(model, guard)))),
        ("model refused", optional(model.refused.clone().filter(|_| model.guard.is_some()))),
        ("certificate", optional(svid)),
        ("renewal", optional(status.identity_trouble.clone())),
        ("listen", listen.join(", ")),
        ("up", figures::span(status.uptime_s as f64)),
        ("version", status.version.clone()),
    ])
}

/// What was measured of the model against the rule.
fn measured(model: &Model, guard: &ModelGuard) -> String {
    format!(
        "{} decisions; priced {}: direct {:.1} ms, rule {:.1} ms, model {:.1} ms; {:+.1} ms against the rule in all; \
         budget {:.2}",
        model.decisions,
        guard.settled,
        guard.direct_ms,
        guard.rule_ms,
        guard.model_ms,
        guard.regret_ms,
        guard.account,
    )
}

/// Which of the authority's notices are in force; nothing where it said none.
fn notices(versions: NoticeVersions) -> String {
    let shown = [("policy", versions.policy), ("revocations", versions.revocations)];
    let shown = shown.iter().filter(|(_, version)| *version > 0);
    shown.map(|(kind, version)| format!("{kind} {version}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_at_a_glance() {
        let document = r#"{"mesh":"m","node":"n1","id":"spiffe://m/relay/n1","role":"relay","app":null,
            "ready":false,"not_ready":["no peers"],"peers":3,"streams":{"open":1,"total":2,"moved":0,"reset":0},
            "bytes":{"in":1500,"out":0},"model":{"name":"rule","active":false,"fallback_reason":null},
            "version":"0.1.0","uptime_s":61,"svid_expires_s":3600,"draining":false,"listen":["127.0.0.1:7117"]}"#;
        let text = text(&serde_json::from_str(document).unwrap());
        for line in [
            "node         n1",
            "state        not ready: no peers",
            "bytes        1.5 kB to the app, 0 B from it",
            "certificate  expires in 1h00m",
            "up           1m01s",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} in\n{text}");
        }
        assert!(!text.contains("\napp "), "{text}");
    }
}
