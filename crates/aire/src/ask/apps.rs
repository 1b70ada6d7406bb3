use aire_admin::documents::AppRow;
use aire_types::Override;

use super::{Done, optional, show};
use crate::args::Ask;
use crate::figures;
use crate::table::Table;

pub(crate) fn apps(ask: &Ask) -> Done {
    show(ask, "/api/v1/apps", |apps: &Vec<AppRow>| text(apps))
}

fn text(apps: &[AppRow]) -> String {
    let mut table = Table::new(&["APP", "INSTANCE", "PATH", ">RTT", "CLASS", ">PRIORITY", "ORDERED"]);
    for app in apps {
        let ordered = optional(app.ordered.as_ref().map(ordered));
        if app.instances.is_empty() {
            let none = || "-".to_owned();
            table.row([
                app.app.to_string(),
                "none".to_owned(),
                none(),
                none(),
                none(),
                none(),
                ordered.clone(),
            ]);
        }
        for instance in &app.instances {
            table.row([
                app.app.to_string(),
                instance.node.to_string(),
                instance.path.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
                figures::ms(instance.rtt_ms),
                instance.profile.class.to_string(),
                instance.profile.priority.get().to_string(),
                ordered.clone(),
            ]);
        }
    }
    table.text("no app is known yet")
}

/// An operator's order in words.
pub(super) fn ordered(order: &Override) -> String {
    let names =
        |nodes: &[aire_types::NodeName]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let mut words = Vec::new();
    words.extend(order.pin.as_ref().map(|path| format!("pinned {path}")));
    words.extend(order.direct_only.then(|| "direct only".to_owned()));
    words.extend((!order.avoid.is_empty()).then(|| format!("avoid {}", names(&order.avoid))));
    words.extend((!order.prefer.is_empty()).then(|| format!("prefer {}", names(&order.prefer))));
    words.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_has_a_row_for_each_instance() {
        let document = r#"[{"app":"web","instances":[{"node":"n1","path":["r1"],"rtt_ms":30.0,"profile":{}},
            {"node":"n2","path":null,"rtt_ms":null,"profile":{}}],"override":{"avoid":["r2","r3"]}},
            {"app":"db","instances":[]}]"#;
        let text = text(&serde_json::from_str::<Vec<AppRow>>(document).unwrap());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "web  n1        via r1  30.0 ms  interactive         4  avoid r2,r3");
        assert_eq!(lines.len(), 4);
        assert!(lines[3].starts_with("db   none"), "{text}");
    }
}
