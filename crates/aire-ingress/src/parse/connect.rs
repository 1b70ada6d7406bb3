//! HTTP CONNECT (RFC 9110 section 9.3.6, RFC 9112 section 3.2.3).

use aire_types::Class;

use super::{Malformed, Progress};

/// The header with which an application may name the class of its stream.
pub const CLASS_HEADER: &str = "aire-class";

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// `CONNECT HOST:PORT`.
    Connect {
        /// Host as written, an IPv6 address without its brackets.
        host: String,
        /// The port.
        port: u16,
        /// From the class header.
        class: Option<Class>,
    },
    /// Another method, which a tunnel does not do.
    OtherMethod,
}

/// Reads a request up to and including the empty line.
///
/// # Errors
/// Not an HTTP/1 request of strict form: lines end with CR LF, fields are `NAME: VALUE`.
pub fn parse_head(bytes: &[u8]) -> Result<Progress<Head>, Malformed> {
    let Some((request, mut at)) = line(bytes, 0)? else { return Ok(Progress::Incomplete) };
    let mut head = parse_request_line(request)?;
    loop {
        let Some((field, next)) = line(bytes, at)? else { return Ok(Progress::Incomplete) };
        at = next;
        if field.is_empty() {
            return Ok(Progress::Done { value: head, consumed: at });
        }
        let (name, value) = field.split_once(':').ok_or(Malformed::Http("a header field without ':'"))?;
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(Malformed::Http("a header field without a proper name"));
        }
        if let Head::Connect { class, .. } = &mut head
            && name.eq_ignore_ascii_case(CLASS_HEADER)
        {
            let wanted = value.trim().parse();
            *class =
                Some(wanted.map_err(|_| Malformed::Http("aire-class is interactive, bulk or critical"))?);
        }
    }
}

/// The line that starts at `at`, without its end, and where the next one starts.
fn line(bytes: &[u8], at: usize) -> Result<Option<(&str, usize)>, Malformed> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(length) = rest.iter().position(|&b| b == b'\n') else {
        return match rest.iter().find(|&&b| b < b' ' && b != b'\r' && b != b'\t') {
            Some(_) => Err(Malformed::Http("a control character")),
            None => Ok(None),
        };
    };
    let text = rest[..length].strip_suffix(b"\r").ok_or(Malformed::Http("a line ends with CR LF"))?;
    if text.iter().any(|&b| (b < b' ' && b != b'\t') || b == 0x7f) {
        return Err(Malformed::Http("a control character"));
    }
    let text = std::str::from_utf8(text).map_err(|_| Malformed::Http("not text"))?;
    Ok(Some((text, at + length + 1)))
}

fn parse_request_line(line: &str) -> Result<Head, Malformed> {
    let parts: Vec<&str> = line.split(' ').collect();
    let &[method, target, version] = parts.as_slice() else {
        return Err(Malformed::Http("a request line is METHOD TARGET VERSION"));
    };
    if version != "HTTP/1.1" && version != "HTTP/1.0" {
        return Err(Malformed::Http("only HTTP/1.0 and HTTP/1.1"));
    }
    if method.is_empty() || !method.bytes().all(is_token) {
        return Err(Malformed::Http("not a method"));
    }
    if method != "CONNECT" {
        return Ok(Head::OtherMethod);
    }
    let (host, port) = target.rsplit_once(':').ok_or(Malformed::Http("CONNECT wants HOST:PORT"))?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port = port.parse().ok().filter(|_| digits).ok_or(Malformed::Http("CONNECT wants HOST:PORT"))?;
    if host.is_empty() {
        return Err(Malformed::Http("CONNECT wants HOST:PORT"));
    }
    Ok(Head::Connect { host: host.to_owned(), port, class: None })
}

/// A `tchar` of RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(host: &str, port: u16, class: Option<Class>) -> Head {
        Head::Connect { host: host.into(), port, class }
    }

    fn whole(text: &str) -> Result<Head, Malformed> {
        match parse_head(text.as_bytes())? {
            Progress::Done { value, consumed } => {
                assert_eq!(consumed, text.len());
                Ok(value)
            }
            Progress::Incomplete => panic!("incomplete: {text:?}"),
        }
    }

    #[test]
    fn heads() {
        assert_eq!(
            whole("CONNECT echo.mesh:80 HTTP/1.1\r\nHost: echo.mesh:80\r\n\r\n"),
            Ok(connect("echo.mesh", 80, None))
        );
        assert_eq!(
            whole("CONNECT echo:1 HTTP/1.0\r\nAIRE-Class:  bulk \r\n\r\n"),
            Ok(connect("echo", 1, Some(Class::Bulk)))
        );
        assert_eq!(whole("CONNECT [::1]:1 HTTP/1.1\r\n\r\n"), Ok(connect("::1", 1, None)));
        assert_eq!(whole("GET http://echo.mesh/ HTTP/1.1\r\n\r\n"), Ok(Head::OtherMethod));
    }

    #[test]
    fn early_data_is_not_consumed() {
        let head = "CONNECT echo:1 HTTP/1.1\r\n\r\n";
        let with_data = format!("{head}\r\nhello");
        assert_eq!(
            parse_head(with_data.as_bytes()),
            Ok(Progress::Done { value: connect("echo", 1, None), consumed: head.len() })
        );
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "CONNECT echo HTTP/1.1\r\n\r\n",
            "CONNECT echo:x HTTP/1.1\r\n\r\n",
            "CONNECT echo:+80 HTTP/1.1\r\n\r\n",
            "CONNECT echo:70000 HTTP/1.1\r\n\r\n",
            "CONNECT :80 HTTP/1.1\r\n\r\n",
            "CONNECT echo:80 HTTP/2\r\n\r\n",
            "CONNECT  echo:80 HTTP/1.1\r\n\r\n",
            "CONNECT echo:80 HTTP/1.1\n\n",
            "CONNECT echo:80 HTTP/1.1\r\nno colon\r\n\r\n",
            "CONNECT echo:80 HTTP/1.1\r\nna me: x\r\n\r\n",
            "CONNECT echo:80 HTTP/1.1\r\nAire-Class: fast\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert!(parse_head(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(parse_head(b"CONN\0").is_err(), "garbage is known as such at once");
    }
}
