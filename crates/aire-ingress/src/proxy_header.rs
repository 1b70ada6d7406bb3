//! What an application is told about a connection before its first byte: the PROXY protocol, version 2
//! (HAProxy, `doc/proxy-protocol.txt`, section 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aire_types::{AppName, Identity};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command PROXY.
const PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

const TYPE_AUTHORITY: u8 = 0x02;
const TYPE_UNIQUE_ID: u8 = 0x05;
const TYPE_SSL: u8 = 0x20;
const SUBTYPE_SSL_VERSION: u8 = 0x21;
const SUBTYPE_SSL_CN: u8 = 0x22;
/// PP2_CLIENT_SSL, PP2_CLIENT_CERT_CONN, PP2_CLIENT_CERT_SESS: TLS, with a client certificate, here and now.
const CLIENT: u8 = 0x07;
/// The certificate was verified.
const VERIFIED: u32 = 0;

/// The TLV with the caller's SPIFFE id and nothing else. Of the types for applications (0xE0 to 0xEF), cloud providers
/// have taken 0xE0 (Google), 0xEA (Amazon) and 0xEE (Microsoft).
pub const TYPE_SPIFFE_ID: u8 = 0xE5;

/// Where a connection comes from, for the application that it ends at.
#[derive(Clone, Debug)]
pub struct ProxyHeader<'a> {
    /// The address of the caller's machine, where it is known from more than the caller's own word.
    pub source: Option<IpAddr>,
    /// The application's address.
    pub destination: SocketAddr,
    /// Who calls.
    pub caller: &'a Identity,
    /// Which app was called.
    pub app: &'a AppName,
    /// The stream's id, as operators see it.
    pub id: &'a str,
}

impl ProxyHeader<'_> {
    /// The bytes that go before the connection's own.
    pub fn encode(&self) -> Vec<u8> {
        let (family, mut body) = self.addresses();
        let caller = self.caller.to_string();
        put(&mut body, TYPE_AUTHORITY, format!("{}.mesh", self.app).as_bytes());
        put(&mut body, TYPE_UNIQUE_ID, self.id.as_bytes());
        let mut tls = vec![CLIENT];
        tls.extend(VERIFIED.to_be_bytes());
        put(&mut tls, SUBTYPE_SSL_VERSION, b"TLSv1.3");
        put(&mut tls, SUBTYPE_SSL_CN, caller.as_bytes());
        put(&mut body, TYPE_SSL, &tls);
        put(&mut body, TYPE_SPIFFE_ID, caller.as_bytes());
        let mut header = SIGNATURE.to_vec();
        header.extend([PROXY, family]);
        header.extend(length(&body));
        header.extend(body);
        header
    }

    /// The port of the caller's application is not known; 0 says so. So does the unspecified address, because many readers
    /// skip the TLVs of a header of family UNSPEC. Both addresses must be of one family.
    fn addresses(&self) -> (u8, Vec<u8>) {
        let ports = [[0, 0], self.destination.port().to_be_bytes()].concat();
        let unknown = match self.destination {
            SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        match (self.source.unwrap_or(unknown), self.destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => (TCP4, [&from.octets()[..], &to.octets(), &ports].concat()),
            (from, to) => (TCP6, [&mapped(from).octets()[..], &mapped(to).octets(), &ports].concat()),
        }
    }
}

fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

fn put(to: &mut Vec<u8>, kind: u8, value: &[u8]) {
    to.push(kind);
    to.extend(length(value));
    to.extend(value);
}

fn length(value: &[u8]) -> [u8; 2] {
    u16::try_from(value.len()).expect("names and ids are short").to_be_bytes()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails may panic")]
mod tests {
    use ppp::v2::{Addresses, Header, IPv4, IPv6};

    use super::*;

    fn encode(source: Option<&str>, destination: &str) -> Vec<u8> {
        let header = ProxyHeader {
            source: source.map(|text| text.parse().unwrap()),
            destination: destination.parse().unwrap(),
            caller: &"spiffe://prod/app/client/n1".parse().unwrap(),
            app: &"echo".parse().unwrap(),
            id: "00ff-1",
        };
        header.encode()
    }

    fn value(header: &Header<'_>, kind: u8) -> Vec<u8> {
        let mut found = header.tlvs().map(Result::unwrap).filter(|tlv| tlv.kind == kind);
        let value = found.next().unwrap().value.into_owned();
        assert!(found.next().is_none());
        value
    }

    #[test]
    fn another_implementation_reads_it() {
        let bytes = encode(Some("192.0.2.7"), "127.0.0.1:8080");
        let header = Header::try_from(&bytes[..]).unwrap();
        assert_eq!(header.len(), bytes.len());
        assert_eq!(header.addresses, Addresses::IPv4(IPv4::new([192, 0, 2, 7], [127, 0, 0, 1], 0, 8080)));
        assert_eq!(value(&header, TYPE_AUTHORITY), b"echo.mesh");
        assert_eq!(value(&header, TYPE_UNIQUE_ID), b"00ff-1");
        assert_eq!(value(&header, TYPE_SPIFFE_ID), b"spiffe://prod/app/client/n1");
        let tls = value(&header, TYPE_SSL);
        assert_eq!(tls[..5], [7, 0, 0, 0, 0]);
        assert_eq!(tls[5..], *b"\x21\x00\x07TLSv1.3\x22\x00\x1bspiffe://prod/app/client/n1");
    }

    #[test]
    fn families_are_not_mixed_and_an_unknown_source_is_said_to_be_unknown() {
        let bytes = encode(Some("192.0.2.7"), "[::1]:8080");
        let mapped: Ipv6Addr = "::ffff:192.0.2.7".parse().unwrap();
        let expected = Addresses::IPv6(IPv6::new(mapped, Ipv6Addr::LOCALHOST, 0, 8080));
        assert_eq!(Header::try_from(&bytes[..]).unwrap().addresses, expected);
        let bytes = encode(None, "127.0.0.1:8080");
        let header = Header::try_from(&bytes[..]).unwrap();
        assert_eq!(header.addresses, Addresses::IPv4(IPv4::new([0; 4], [127, 0, 0, 1], 0, 8080)));
        assert_eq!(value(&header, TYPE_SPIFFE_ID), b"spiffe://prod/app/client/n1");
    }
}
