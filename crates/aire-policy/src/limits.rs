//! Bounds on the shape of a text, checked before Cedar sees it: its parser and its syntax trees recurse, so that some
//! kilobytes of `(` would overflow the stack of the thread that parses them.

/// Bytes in one text.
const MAX_TEXT: usize = 1 << 20;
/// Brackets within brackets.
const MAX_DEPTH: usize = 40;
/// Operators in one policy; list elements are not counted.
const MAX_OPERATORS: usize = 400;

/// The first bound that `text` breaks: where, and what to do about it.
pub(crate) fn exceeded(text: &str) -> Option<(usize, String)> {
    if text.len() > MAX_TEXT {
        return Some((MAX_TEXT, format!("a policy text has at most {MAX_TEXT} bytes; divide it")));
    }
    let (mut depth, mut operators, mut at) = (0usize, 0usize, 0usize);
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'/') => at = end_of_line(bytes, at),
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'.' | b'&' | b'|' | b'+' | b'-' | b'*' | b'!' | b'=' | b'<' | b'>' => operators += 1,
            b'i' if bytes[at..].starts_with(b"if") => operators += 1,
            b';' => operators = 0,
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Some((at, format!("brackets stand more than {MAX_DEPTH} deep; write it flatter")));
        }
        if operators > MAX_OPERATORS {
            let message = format!("a policy has at most {MAX_OPERATORS} operators; divide it or use a list");
            return Some((at, message));
        }
        at += 1;
    }
    None
}

/// The closing quote of the string that opens at `start`, or the end of the text.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_line(bytes: &[u8], start: usize) -> usize {
    bytes[start..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| start + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_do_not_count() {
        let brackets = "(".repeat(MAX_DEPTH + 1);
        assert!(exceeded(&brackets).is_some());
        for text in [
            format!("\"{brackets}\""),
            format!("// {brackets}\n"),
            format!("\"\\\"{brackets}"),
            "()".repeat(1000),
        ] {
            assert_eq!(exceeded(&text), None, "{text}");
        }
    }

    #[test]
    fn each_policy_has_its_own_operators() {
        let half = "&& ".repeat(MAX_OPERATORS / 2);
        assert_eq!(exceeded(&format!("{half};{half};")), None);
        assert!(exceeded(&format!("{half}&&;")).is_some());
    }
}
