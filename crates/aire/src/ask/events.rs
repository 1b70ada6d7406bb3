use std::process::ExitCode;

use aire_admin::documents::Event;

use super::Done;
use crate::admin::{Admin, parse};
use crate::args::Ask;
use crate::failure::Failure;
use crate::output::say;

pub(crate) fn events(ask: &Ask, follow: bool) -> Done {
    let path = if follow { "/api/v1/events?follow=true" } else { "/api/v1/events" };
    Admin::at(&ask.admin).lines(path, |line| {
        if line.is_empty() {
            return Ok(());
        }
        if ask.json { say(&format!("{line}\n")) } else { say(&text(&parse(line)?)) }
    })?;
    if follow {
        return Err(Failure::Failed(format!("the agent at {} has stopped", ask.admin)));
    }
    Ok(ExitCode::SUCCESS)
}

fn text(event: &Event) -> String {
    let Event { at, severity, kind, who, what, .. } = event;
    let mut text = format!("{at}  {severity:<7}  {kind:<18}  {who}: {what}");
    if let Some(detail) = &event.detail {
        text.push_str(&format!(" ({detail})"));
    }
    if event.suppressed > 0 {
        text.push_str(&format!(" [{} more before it]", event.suppressed));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_in_one_line() {
        let document = r#"{"cursor":1,"at":"2026-03-01T12:00:00.000Z","kind":"stream-denied",
            "severity":"warning","who":"spiffe://m/app/guest/n","what":"may not connect to web","peer":null,
            "app":"web","detail":"no policy permits it","suppressed":4}"#;
        assert_eq!(
            text(&serde_json::from_str(document).unwrap()),
            "2026-03-01T12:00:00.000Z  warning  stream-denied       spiffe://m/app/guest/n: may not connect to web \
             (no policy permits it) [4 more before it]\n"
        );
    }
}
