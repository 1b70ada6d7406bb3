use std::time::Duration;

use aire_admin::documents::PingReport;
use aire_types::{AppName, Path};

use super::{Done, print};
use crate::admin::Admin;
use crate::args::Ask;
use crate::figures;

/// The agent gives up after three times its usual patience.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn ping(ask: &Ask, app: &AppName, via: Option<&Path>) -> Done {
    let document = Admin::at(&ask.admin).get_within(&path(app, via), PATIENCE)?;
    print(ask, &document, text)
}

fn path(app: &AppName, via: Option<&Path>) -> String {
    let Some(via) = via else { return format!("/api/v1/ping/{app}") };
    let relays: Vec<&str> = via.relays().iter().map(aire_types::NodeName::as_str).collect();
    format!("/api/v1/ping/{app}?via={}", relays.join(","))
}

fn text(report: &PingReport) -> String {
    let PingReport { app, instance, path, sent, received, .. } = report;
    let mut text = format!("{app}@{instance} {path}: {received} of {sent} answered");
    let answered = || report.rtts_ms.iter().copied().flatten();
    let (low, high) = (answered().reduce(f64::min), answered().reduce(f64::max));
    if report.rtt_ms.is_some() {
        let median = figures::ms(report.rtt_ms);
        text.push_str(&format!(", median {median}, from {} to {}", figures::ms(low), figures::ms(high)));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relays_go_into_the_query() {
        let app = AppName::new("web").unwrap();
        let node = |name: &str| name.parse().unwrap();
        assert_eq!(path(&app, None), "/api/v1/ping/web");
        assert_eq!(path(&app, Some(&Path::DIRECT)), "/api/v1/ping/web?via=");
        let two = Path::new(vec![node("a"), node("b")]).unwrap();
        assert_eq!(path(&app, Some(&two)), "/api/v1/ping/web?via=a,b");
    }

    #[test]
    fn a_report_in_one_line() {
        let report =
            |rtts| PingReport::new("web".parse().unwrap(), "n1".parse().unwrap(), Path::DIRECT, rtts);
        let some = text(&report(vec![Some(30.0), None, Some(10.0)]));
        assert_eq!(some, "web@n1 direct: 2 of 3 answered, median 30.0 ms, from 10.0 ms to 30.0 ms\n");
        assert_eq!(text(&report(vec![None])), "web@n1 direct: 0 of 1 answered\n");
    }
}
