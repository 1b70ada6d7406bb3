use aire_admin::documents::{CandidateRow, Explanation, Route};
use aire_types::AppName;

use super::{Done, apps, show};
use crate::args::Ask;
use crate::figures;
use crate::table::Table;

pub(crate) fn routes(ask: &Ask) -> Done {
    show(ask, "/api/v1/routes", |routes: &Vec<Route>| routes_text(routes))
}

pub(crate) fn explain(ask: &Ask, app: &AppName) -> Done {
    show(ask, &format!("/api/v1/explain/{app}"), explain_text)
}

fn routes_text(routes: &[Route]) -> String {
    let columns =
        ["APP", "INSTANCE", "CLASS", "PATH", ">RTT", ">LOSS", ">BANDWIDTH", ">RISK", ">COST", "REASON"];
    let mut table = Table::new(&columns);
    for route in routes {
        table.row([
            route.app.to_string(),
            route.instance.to_string(),
            route.class.to_string(),
            route.path.to_string(),
            figures::ms(route.rtt_ms),
            figures::percent(route.loss),
            figures::mbps(route.bandwidth_mbps),
            format!("{:.2}", route.risk),
            figures::plain(route.cost),
            route.reason.clone(),
        ]);
    }
    table.text("no path is in use; the first connection to an app makes one")
}

fn explain_text(explanation: &Explanation) -> String {
    let app = &explanation.app;
    let level = match explanation.security {
        aire_types::SecurityLevel::Low => "low",
        aire_types::SecurityLevel::Normal => "normal",
        aire_types::SecurityLevel::High => "high",
    };
    let mut text = format!("app {app}, security level {level}\n");
    if let Some(order) = &explanation.ordered {
        text.push_str(&format!("ordered: {}\n", apps::ordered(order)));
    }
    for note in &explanation.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    if explanation.routes.is_empty() {
        text.push_str("no path was chosen yet; the first connection to the app makes one\n");
    }
    for route in &explanation.routes {
        let by = if route.by.is_empty() { String::new() } else { format!(", chosen by {}", route.by) };
        text.push_str(&format!("\n{}: {app}@{} {}{by}\n", route.class, route.instance, route.path));
        text.push_str(&format!("why: {}\n", route.reason));
        text.push_str(&candidates(route));
    }
    text
}

/// The candidates of a decision, the one in use marked.
pub(crate) fn candidates(route: &Route) -> String {
    let predicted = route.candidates.iter().any(|candidate| candidate.gain_ms.is_some());
    let mut columns = vec!["INSTANCE", "PATH", ">RTT", ">LOSS", ">BANDWIDTH", ">RISK", ">COST", "STATE"];
    if predicted {
        columns.insert(7, ">GAIN (80 %)");
    }
    let mut table = Table::new(&columns);
    for candidate in &route.candidates {
        let mut row = vec![
            candidate.instance.to_string(),
            candidate.path.to_string(),
            figures::ms(candidate.rtt_ms),
            figures::percent(candidate.loss),
            figures::mbps(candidate.bandwidth_mbps),
            format!("{:.2}", candidate.risk),
            figures::plain(candidate.cost),
            state(route, candidate),
        ];
        if predicted {
            row.insert(7, gain(candidate));
        }
        table.row(row);
    }
    table.text("nothing was considered")
}

/// What the model predicts over direct, with its interval.
fn gain(candidate: &CandidateRow) -> String {
    let shown =
        |gain: aire_types::Gains| format!("{:+.0} ms ({:+.0} to {:+.0})", gain.mid, gain.low, gain.high);
    candidate.gain_ms.map_or_else(|| "-".to_owned(), shown)
}

fn state(route: &Route, candidate: &CandidateRow) -> String {
    let used = candidate.instance == route.instance && candidate.path == route.path;
    match (&candidate.why_not, used) {
        (None, true) => "in use".to_owned(),
        (None, false) if candidate.eligible => "eligible".to_owned(),
        (None, false) => "not eligible".to_owned(),
        (Some(why), true) => format!("in use; {why}"),
        (Some(why), false) => why.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{"app":"web","security":"high","override":{"direct-only":true},"routes":[
        {"app":"web","instance":"n1","class":"interactive","path":["r1"],"rtt_ms":60.0,"loss":0.0,
         "bandwidth_mbps":null,"risk":0.1,"cost":66.0,"reason":"r1 saves 40 ms","by":"rule","candidates":[
         {"instance":"n1","path":["r1"],"rtt_ms":60.0,"loss":0.0,"bandwidth_mbps":null,"risk":0.1,"cost":66.0,
          "eligible":true,"why_not":null},
         {"instance":"n1","path":[],"rtt_ms":100.0,"loss":0.01,"bandwidth_mbps":80.0,"risk":0.0,"cost":104.5,
          "eligible":true,"why_not":null},
         {"instance":"n1","path":["r2"],"rtt_ms":null,"loss":null,"bandwidth_mbps":null,"risk":0.0,"cost":null,
          "eligible":false,"why_not":"not measured yet"}]}],"notes":["policy denies the app"]}"#;

    #[test]
    fn the_choice_its_reason_and_what_else_there_was() {
        let text = explain_text(&serde_json::from_str(DOCUMENT).unwrap());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "app web, security level high");
        assert_eq!(lines[1..3], ["ordered: direct only", "note: policy denies the app"]);
        assert_eq!(lines[4..6], ["interactive: web@n1 via r1, chosen by rule", "why: r1 saves 40 ms"]);
        assert_eq!(lines[7], "n1        via r1   60.0 ms  0.0 %            -  0.10   66.0  in use");
        assert_eq!(lines[8], "n1        direct  100.0 ms  1.0 %  80.0 Mbit/s  0.00  104.5  eligible");
        assert!(lines[9].ends_with("-  not measured yet"), "{text}");
    }

    #[test]
    fn a_models_prediction_stands_beside_the_cost() {
        let with = DOCUMENT.replace(
            r#""cost":66.0,
          "eligible""#,
            r#""cost":66.0,"gain_ms":{"low":-3.0,"mid":40.4,"high":61.0},
          "eligible""#,
        );
        let text = explain_text(&serde_json::from_str(&with).unwrap());
        assert!(text.contains("66.0  +40 ms (-3 to +61)  in use"), "{text}");
        assert!(text.contains("104.5                   -  eligible"), "{text}");
    }

    #[test]
    fn no_route_says_what_makes_one() {
        assert!(routes_text(&[]).contains("first connection"));
    }
}
