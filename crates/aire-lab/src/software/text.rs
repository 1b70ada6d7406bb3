//! Reading what programs print for people.

/// The last lines of a log.
pub(super) fn last_lines(log: &str, count: usize) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The first number after `label`, wherever that stands.
pub(super) fn number_after(text: &str, label: &str) -> Option<f64> {
    let rest = text[text.find(label)? + label.len()..].trim_start_matches([' ', '=', ':']);
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// A duration such as `61.05ms`, `1.20s` or `950.00us`, in milliseconds.
pub(super) fn milliseconds(word: &str) -> Option<f64> {
    let unit = word.find(|c: char| c.is_ascii_alphabetic())?;
    let number: f64 = word[..unit].parse().ok()?;
    let scale = match &word[unit..] {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1000.0,
        "m" => 60_000.0,
        _ => return None,
    };
    Some(number * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_are_read() {
        let text = "number of failed transactions: 3 (0.1%)\ntps = 19.25 (without)";
        assert_eq!(number_after(text, "failed transactions"), Some(3.0));
        assert_eq!(number_after(text, "tps"), Some(19.25));
        assert_eq!(number_after(text, "latency"), None);
        assert_eq!(milliseconds("1.20s"), Some(1200.0));
        assert_eq!(milliseconds("250.00us"), Some(0.25));
        assert_eq!(milliseconds("95"), None);
    }
}
