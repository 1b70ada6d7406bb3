//! Takes secrets out of texts before they leave this machine.

/// What stands in place of a secret.
const REMOVED: &str = "(removed)";

/// The text without tokens and without private keys in PEM.
pub(crate) fn scrub(text: &str) -> String {
    without_keys(&without_tokens(text))
}

/// Tokens begin with `aire`, a version and a point.
fn without_tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("aire") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let version = from["aire".len()..].bytes().take_while(u8::is_ascii_digit).count();
        let head = "aire".len() + version;
        let is_token = version > 0 && from.as_bytes().get(head) == Some(&b'.');
        let body = if is_token { from[head + 1..].bytes().take_while(|b| is_base64(*b)).count() } else { 0 };
        if body > 16 {
            out.push_str(&from[..=head]);
            out.push_str(REMOVED);
            rest = &from[head + 1 + body..];
        } else {
            out.push_str(&from[..head]);
            rest = &from[head..];
        }
    }
    out.push_str(rest);
    out
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_+/=".contains(&byte)
}

fn without_keys(text: &str) -> String {
    const BEGIN: &str = "-----BEGIN ";
    const END: &str = "-----END ";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let label = from[BEGIN.len()..].split("-----").next().unwrap_or_default();
        if !label.contains("PRIVATE KEY") {
            out.push_str(BEGIN);
            rest = &from[BEGIN.len()..];
            continue;
        }
        out.push_str(REMOVED);
        // A key without an end takes the rest of the text with it.
        let end = from.find(END).and_then(|end| {
            let tail = end + END.len();
            from[tail..].find("-----").map(|more| tail + more + "-----".len())
        });
        rest = end.map_or("", |end| &from[end..]);
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_vanish_wherever_they_stand() {
        let token = format!("aire1.{}", "Ab-_9".repeat(10));
        for (text, left) in [
            (format!("join = '{token}'\nnode = 'n'"), "join = 'aire1.(removed)'\nnode = 'n'".to_owned()),
            (format!("{token}{}", " aire run"), "aire1.(removed) aire run".to_owned()),
            (format!("--join={token}"), "--join=aire1.(removed)".to_owned()),
            ("aire1.0 and aire_net=trace, aire".to_owned(), "aire1.0 and aire_net=trace, aire".to_owned()),
        ] {
            assert_eq!(scrub(&text), left);
        }
    }

    #[test]
    fn private_keys_vanish_and_certificates_stay() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n";
        let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        assert_eq!(scrub(&format!("a{key}{certificate}")), format!("a(removed)\n{certificate}"));
        assert_eq!(scrub("x -----BEGIN EC PRIVATE KEY-----\nMIGH"), "x (removed)");
    }
}
