//! As much of IPv4 (RFC 791) as a switch needs.

use std::net::Ipv4Addr;

use crate::pacer::Protocol;

/// Where a packet goes and what it carries; `None` for what is not IPv4.
pub(super) fn parse(packet: &[u8]) -> Option<(Ipv4Addr, Protocol)> {
    let header: &[u8; 20] = packet.first_chunk()?;
    if header[0] >> 4 != 4 {
        return None;
    }
    let protocol = match header[9] {
        6 => Protocol::Tcp,
        17 => Protocol::Udp,
        _ => Protocol::Other,
    };
    Some((Ipv4Addr::new(header[16], header[17], header[18], header[19]), protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_ipv4_headers_are_read() {
        let mut packet = [0u8; 20];
        packet[0] = 0x45;
        packet[9] = 17;
        packet[16..].copy_from_slice(&[10, 77, 0, 2]);
        assert_eq!(parse(&packet), Some((Ipv4Addr::new(10, 77, 0, 2), Protocol::Udp)));
        assert_eq!(parse(&packet[..19]), None);
        packet[0] = 0x60;
        assert_eq!(parse(&packet), None);
    }
}
