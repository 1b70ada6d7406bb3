//! Numbers as people read them. What was not measured is a dash.

const UNKNOWN: &str = "-";

fn or_unknown(value: Option<f64>, format: impl FnOnce(f64) -> String) -> String {
    value.filter(|value| value.is_finite()).map_or_else(|| UNKNOWN.to_owned(), format)
}

/// Milliseconds.
pub(crate) fn ms(value: Option<f64>) -> String {
    or_unknown(value, |ms| if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.1} ms") })
}

/// A share as percents.
pub(crate) fn percent(share: Option<f64>) -> String {
    or_unknown(share, |share| format!("{:.1} %", share * 100.0))
}

/// Megabits a second.
pub(crate) fn mbps(value: Option<f64>) -> String {
    or_unknown(value, |mbps| format!("{mbps:.1} Mbit/s"))
}

/// A number without a unit.
pub(crate) fn plain(value: Option<f64>) -> String {
    or_unknown(value, |value| format!("{value:.1}"))
}

/// Bytes in decimal units.
pub(crate) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// A length of time in its two largest units.
pub(crate) fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    let (minutes, hours, days) = (whole / 60, whole / 3600, whole / 86_400);
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{minutes}m{:02}s", whole % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!(
            (ms(Some(1.234)), ms(Some(176.04)), ms(None)),
            ("1.23 ms".into(), "176.0 ms".into(), "-".into())
        );
        assert_eq!((percent(Some(0.002)), plain(Some(f64::NAN))), ("0.2 %".into(), "-".into()));
        assert_eq!(
            (bytes(999), bytes(1000), bytes(16_777_216)),
            ("999 B".into(), "1.0 kB".into(), "16.8 MB".into())
        );
        assert_eq!(bytes(u64::MAX), "18446744.1 TB");
        for (seconds, text) in
            [(0.9, "0s"), (61.0, "1m01s"), (7322.0, "2h02m"), (90_000.0, "1d01h"), (-5.0, "0s")]
        {
            assert_eq!(span(seconds), text);
        }
    }
}
