//! SOCKS5 (RFC 1928).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Malformed, Progress};

/// The version byte.
pub const VERSION: u8 = 5;
/// The method "no authentication required".
pub const NO_AUTHENTICATION: u8 = 0;
/// The answer to a greeting that offers nothing we take.
pub const NO_METHOD: u8 = 0xff;

/// What a client offers first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The client can go without authentication.
    pub no_authentication: bool,
}

/// What a client wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Connect to the host.
    Connect,
    /// Listen for the host.
    Bind,
    /// Relay datagrams.
    UdpAssociate,
    /// Something that RFC 1928 does not know.
    Other(u8),
}

/// Where a client wants to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// By name.
    Name(String),
    /// By address.
    Address(IpAddr),
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub command: Command,
    /// Where.
    pub host: Host,
    /// At which port.
    pub port: u16,
}

/// Reply codes (RFC 1928 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Connected.
    Succeeded = 0,
    /// For reasons that the protocol has no word for.
    GeneralFailure = 1,
    /// Not allowed by the rules.
    NotAllowed = 2,
    /// No way to the network.
    NetworkUnreachable = 3,
    /// No such host.
    HostUnreachable = 4,
    /// The host does not take it.
    ConnectionRefused = 5,
    /// It took too long.
    TtlExpired = 6,
    /// Not done here.
    CommandNotSupported = 7,
    /// Not known here.
    AddressTypeNotSupported = 8,
}

/// The reply with `code`, and no bound address, as there is none that would mean anything to the client.
pub const fn reply(code: Code) -> [u8; 10] {
    [VERSION, code as u8, 0, 1, 0, 0, 0, 0, 0, 0]
}

/// The reply with `code` and the address that the client is to send datagrams to.
pub fn reply_bound(code: Code, bound: SocketAddr) -> Vec<u8> {
    let mut reply = vec![VERSION, code as u8, 0];
    match bound.ip().to_canonical() {
        IpAddr::V4(ip) => {
            reply.push(1);
            reply.extend(ip.octets());
        }
        IpAddr::V6(ip) => {
            reply.push(4);
            reply.extend(ip.octets());
        }
    }
    reply.extend(bound.port().to_be_bytes());
    reply
}

/// What stands before a datagram's bytes (RFC 1928 section 7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatagramHead {
    /// 0 for a whole datagram.
    pub fragment: u8,
    /// Where it goes.
    pub host: Host,
    /// To which port.
    pub port: u16,
}

/// Reads `RSV RSV FRAG ATYP ADDRESS PORT`; the datagram's own bytes follow.
///
/// # Errors
/// An unknown address type, or a name that is not text.
pub fn parse_datagram(bytes: &[u8]) -> Result<Progress<DatagramHead>, Malformed> {
    let Some(&[fragment, kind]) = bytes.get(2..4) else { return Ok(Progress::Incomplete) };
    let Some((host, end)) = parse_host(kind, bytes)? else { return Ok(Progress::Incomplete) };
    let Some(&[high, low]) = bytes.get(end..end + 2) else { return Ok(Progress::Incomplete) };
    let value = DatagramHead { fragment, host, port: u16::from_be_bytes([high, low]) };
    Ok(Progress::Done { value, consumed: end + 2 })
}

/// Reads `VER NMETHODS METHODS`.
///
/// # Errors
/// Another version.
pub fn parse_greeting(bytes: &[u8]) -> Result<Progress<Greeting>, Malformed> {
    match bytes {
        [] => return Ok(Progress::Incomplete),
        [VERSION, ..] => {}
        [other, ..] => return Err(Malformed::Version(*other)),
    }
    let Some(&count) = bytes.get(1) else { return Ok(Progress::Incomplete) };
    let consumed = 2 + usize::from(count);
    let Some(methods) = bytes.get(2..consumed) else { return Ok(Progress::Incomplete) };
    let no_authentication = methods.contains(&NO_AUTHENTICATION);
    Ok(Progress::Done { value: Greeting { no_authentication }, consumed })
}

/// Reads `VER CMD RSV ATYP ADDRESS PORT`.
///
/// # Errors
/// Another version, an unknown address type, or a name that is not text.
pub fn parse_request(bytes: &[u8]) -> Result<Progress<Request>, Malformed> {
    if let Some(&version) = bytes.first()
        && version != VERSION
    {
        return Err(Malformed::Version(version));
    }
    let Some(&kind) = bytes.get(3) else { return Ok(Progress::Incomplete) };
    let Some((host, end)) = parse_host(kind, bytes)? else { return Ok(Progress::Incomplete) };
    let Some(&[high, low]) = bytes.get(end..end + 2) else { return Ok(Progress::Incomplete) };
    let command = match bytes[1] {
        1 => Command::Connect,
        2 => Command::Bind,
        3 => Command::UdpAssociate,
        other => Command::Other(other),
    };
    let value = Request { command, host, port: u16::from_be_bytes([high, low]) };
    Ok(Progress::Done { value, consumed: end + 2 })
}

/// The host that starts at byte 4, and where it ends; `None` while bytes are missing.
fn parse_host(kind: u8, bytes: &[u8]) -> Result<Option<(Host, usize)>, Malformed> {
    let address = |ip: IpAddr, end| Some((Host::Address(ip), end));
    match kind {
        1 => Ok(bytes
            .get(4..8)
            .and_then(|b| <[u8; 4]>::try_from(b).ok())
            .and_then(|b| address(Ipv4Addr::from(b).into(), 8))),
        4 => Ok(bytes
            .get(4..20)
            .and_then(|b| <[u8; 16]>::try_from(b).ok())
            .and_then(|b| address(Ipv6Addr::from(b).into(), 20))),
        3 => {
            let Some(&length) = bytes.get(4) else { return Ok(None) };
            let end = 5 + usize::from(length);
            let Some(name) = bytes.get(5..end) else { return Ok(None) };
            let name = std::str::from_utf8(name).map_err(|_| Malformed::HostNotText)?;
            Ok(Some((Host::Name(name.to_owned()), end)))
        }
        other => Err(Malformed::AddressType(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings() {
        assert_eq!(
            parse_greeting(&[5, 2, 2, 0, 9]),
            Ok(Progress::Done { value: Greeting { no_authentication: true }, consumed: 4 })
        );
        assert_eq!(
            parse_greeting(&[5, 1, 2]),
            Ok(Progress::Done { value: Greeting { no_authentication: false }, consumed: 3 })
        );
        assert_eq!(
            parse_greeting(&[5, 0]),
            Ok(Progress::Done { value: Greeting { no_authentication: false }, consumed: 2 })
        );
        assert_eq!(parse_greeting(&[5, 3, 0]), Ok(Progress::Incomplete));
        assert_eq!(parse_greeting(&[4, 1]), Err(Malformed::Version(4)));
    }

    #[test]
    fn datagrams_and_the_address_for_them() {
        let datagram = [&[0, 0, 0, 3, 8][..], b"dns.mesh", &[0, 53], b"query"].concat();
        let value = DatagramHead { fragment: 0, host: Host::Name("dns.mesh".into()), port: 53 };
        assert_eq!(parse_datagram(&datagram), Ok(Progress::Done { value, consumed: 15 }));
        assert_eq!(parse_datagram(&datagram[..14]), Ok(Progress::Incomplete));
        assert_eq!(parse_datagram(&[0, 0, 0, 9]), Err(Malformed::AddressType(9)));
        let bound = reply_bound(Code::Succeeded, "127.0.0.1:258".parse().unwrap());
        assert_eq!(bound, [5, 0, 0, 1, 127, 0, 0, 1, 1, 2]);
        assert_eq!(reply_bound(Code::Succeeded, "[::1]:1".parse().unwrap()).len(), 22);
    }

    #[test]
    fn requests() {
        let name = [&[5, 1, 0, 3, 9][..], b"echo.mesh", &[0, 80, b'x']].concat();
        let value = Request { command: Command::Connect, host: Host::Name("echo.mesh".into()), port: 80 };
        assert_eq!(parse_request(&name), Ok(Progress::Done { value, consumed: name.len() - 1 }));
        let v4 = [5, 3, 0, 1, 10, 0, 0, 1, 1, 0];
        let value = Request {
            command: Command::UdpAssociate,
            host: Host::Address(Ipv4Addr::new(10, 0, 0, 1).into()),
            port: 256,
        };
        assert_eq!(parse_request(&v4), Ok(Progress::Done { value, consumed: 10 }));
        let mut v6 = vec![5, 2, 0, 4];
        v6.extend(Ipv6Addr::LOCALHOST.octets());
        v6.extend([0, 1]);
        assert!(matches!(parse_request(&v6), Ok(Progress::Done { consumed: 22, .. })));
        assert_eq!(parse_request(&[5, 1, 0, 2]), Err(Malformed::AddressType(2)));
        assert_eq!(parse_request(&[5, 1, 0, 3, 1, 0xff, 0, 0]), Err(Malformed::HostNotText));
        assert_eq!(parse_request(&[0]), Err(Malformed::Version(0)));
    }
}
