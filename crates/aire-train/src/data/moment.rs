//! Points in time as recordings write them.

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime, format_description::well_known::Rfc3339};

/// Forms of a date without a zone, taken for UTC.
const FORMS: [&[BorrowedFormatItem<'_>]; 8] = [
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond]"),
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond]"),
    format_description!("[year]-[month]-[day] [hour]:[minute]"),
    format_description!("[year]-[month]-[day]T[hour]:[minute]"),
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]"),
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]"),
    format_description!("[day]/[month]/[year] [hour]:[minute]:[second]"),
    format_description!("[day]/[month]/[year] [hour]:[minute]"),
];

/// Reads seconds, RFC 3339, `2022-01-31 23:59`, `2022-01-31 23:59:00.25` or `31/01/2022 23:59`, as seconds.
pub(super) fn parse(text: &str) -> Option<f64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds.is_finite().then_some(seconds);
    }
    if let Ok(moment) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(seconds(moment));
    }
    let plain = FORMS.iter().find_map(|form| PrimitiveDateTime::parse(text, form).ok())?;
    Some(seconds(plain.assume_utc()))
}

fn seconds(moment: OffsetDateTime) -> f64 {
    moment.unix_timestamp() as f64 + f64::from(moment.nanosecond()) / 1e9
}

/// What to say where [`parse`] gives nothing.
pub(super) fn fault(text: &str) -> String {
    format!("`{text}` is no time: use seconds, 2022-01-31T23:59:00Z, 2022-01-31 23:59:00 or 31/01/2022 23:59")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds() {
        assert_eq!(parse("12.5"), Some(12.5));
        assert_eq!(parse("1970-01-02T00:00:01Z"), Some(86_401.0));
        assert_eq!(parse("1970-01-01 00:01:00"), Some(60.0));
        assert_eq!(parse("02/01/1970 00:01"), Some(86_460.0));
        for (text, seconds) in [("1970-01-01 00:01:00.25", 60.25), ("1970-01-01T00:01:00.250000", 60.25)] {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
        assert_eq!((parse("1970-01-01 00:02"), parse("1970-01-01T00:02")), (Some(120.0), Some(120.0)));
        for bad in ["", "soon", "nan", "13/13/1970 00:00"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
