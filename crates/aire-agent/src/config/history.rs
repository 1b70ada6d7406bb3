use std::time::Duration;

use serde::Serialize;

use super::{ConfigError, RawHistory, wrong};

const DAY: Duration = Duration::from_secs(86_400);

/// What an agent records of its measurements and decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct History {
    /// Most that is kept, bytes.
    pub bytes: u64,
    /// How long it is kept.
    pub age: Duration,
    /// One record a path in this time.
    pub span: Duration,
}

pub(super) fn resolve(raw: RawHistory) -> Result<Option<History>, ConfigError> {
    let within = |key: &'static str, value: Option<u64>, default: u64, most: u64| match value
        .unwrap_or(default)
    {
        value if (1..=most).contains(&value) => Ok(value),
        other => {
            Err(wrong(key, format!("{other} is not from 1 to {most}; to record nothing, enabled = false")))
        }
    };
    let limit_mib = within("history.limit_mib", raw.limit_mib, 64, 1 << 20)?;
    let days = u32::try_from(within("history.days", raw.days, 30, 3650)?).unwrap_or(u32::MAX);
    let span_s = within("history.span_s", raw.span_s, 30, 3600)?;
    Ok(raw.enabled.unwrap_or(true).then(|| History {
        bytes: limit_mib << 20,
        age: DAY * days,
        span: Duration::from_secs(span_s),
    }))
}
