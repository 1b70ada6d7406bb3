//! What peers say about this node, and what that means.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use aire_admin::documents::Finding;
use aire_types::NodeName;

use super::network::Visit;

/// Clocks may differ by this much before anybody is told, milliseconds.
const CLOCK_SLACK_MS: u64 = 2_000;
/// Certificates bear an hour; half of it is close, milliseconds.
const CLOCK_LIMIT_MS: u64 = 30 * 60_000;

/// How a peer sees this node.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    pub(crate) node: NodeName,
    /// This node's address on a QUIC link.
    pub(crate) observed: Option<SocketAddr>,
    pub(crate) reading: Option<Reading>,
}

/// A peer's clock against ours, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Positive when the peer's clock is ahead.
    pub(crate) ahead_ms: i64,
    /// It may be off by this much, as the message was under way.
    pub(crate) within_ms: u64,
}

impl Reading {
    /// What a peer's clock showed when it sent a message, and ours when it arrived, both milliseconds since 1970.
    pub(crate) fn new(theirs: u64, ours: u64, rtt: Duration) -> Self {
        let half = u64::try_from(rtt.as_millis() / 2).unwrap_or(u64::MAX);
        let theirs = theirs.saturating_add(half);
        let ahead = i128::from(theirs) - i128::from(ours);
        let ahead_ms = ahead.clamp(i64::MIN.into(), i64::MAX.into());
        Reading { ahead_ms: i64::try_from(ahead_ms).unwrap_or_default(), within_ms: half.saturating_add(10) }
    }
}

/// One seed, over both protocols.
pub(super) fn seed(visit: &Visit) -> Finding {
    let (check, seed) = ("seed", &visit.seed);
    match (&visit.quic, &visit.tcp) {
        (Ok(sight), Ok(())) => {
            let who = sight.as_ref().map_or_else(String::new, |sight| format!(" ({})", sight.node));
            Finding::ok(check, format!("{seed}{who} answers over QUIC and TCP"))
        }
        (Ok(_), Err(tcp)) => {
            let says = format!("{seed} answers over QUIC and not over TCP: {tcp}");
            Finding::warn(check, says, "streams need TCP: open the port for it on the way, or use relays")
        }
        (Err(quic), Ok(())) => {
            let says = format!("{seed} answers over TCP and not over QUIC: {quic}");
            Finding::warn(check, says, "open the port for UDP on the way; until then links go over TCP")
        }
        (Err(quic), Err(tcp)) => {
            let says = format!("{seed} cannot be reached: over QUIC: {quic}; over TCP: {tcp}");
            let advice = "see that its agent runs, is of this mesh, and that its port is open on the way";
            Finding::fail(check, says, Some(advice.to_owned()))
        }
    }
}

/// Does UDP pass?
pub(super) fn udp(visits: &[Visit]) -> Finding {
    let check = "udp";
    let over_quic = visits.iter().filter(|visit| visit.quic.is_ok()).count();
    let over_tcp_only = visits.iter().filter(|visit| visit.quic.is_err() && visit.tcp.is_ok()).count();
    passes(check, over_quic, over_tcp_only)
}

/// The same from counts of links.
pub(super) fn passes(check: &str, over_quic: usize, over_tcp_only: usize) -> Finding {
    match (over_quic, over_tcp_only) {
        (0, 0) => Finding::not_checked(check, "nobody is reached"),
        (0, some) => {
            let says = format!("it seems to be blocked: {some} reached over TCP and none over QUIC");
            Finding::warn(check, says, "open the port for UDP on the way; until then links go over TCP")
        }
        (some, 0) => Finding::ok(check, format!("it passes to all {some} that are reached")),
        (some, others) => Finding::ok(check, format!("it passes to {some} and not to {others}")),
    }
}

/// Is this clock right, as far as others' are?
pub(super) fn clock(sights: &[Sight]) -> Finding {
    let check = "clock";
    let mut readings: Vec<_> =
        sights.iter().filter_map(|sight| Some((sight.reading?, &sight.node))).collect();
    readings.sort_by_key(|(reading, _)| reading.ahead_ms);
    let Some((reading, node)) = readings.get(readings.len() / 2) else {
        return Finding::not_checked(check, "no peer has told its time");
    };
    let off = reading.ahead_ms.unsigned_abs();
    let (way, within) = (if reading.ahead_ms > 0 { "behind" } else { "ahead of" }, reading.within_ms);
    let says = format!("this clock is {} {way} that of {node} (known within {within} ms)", span(off));
    let whose = if readings.len() > 1 { "set it" } else { "set it, or that of the peer," };
    let advice = format!("{whose} by NTP; certificates bear an hour at most");
    match off.saturating_sub(within) {
        0..=CLOCK_SLACK_MS => {
            let peers = readings.len();
            Finding::ok(check, format!("{off} ms off the clocks of {peers} peers (known within {within} ms)"))
        }
        CLOCK_LIMIT_MS.. => Finding::fail(check, says, Some(advice)),
        _ => Finding::warn(check, says, advice),
    }
}

fn span(ms: u64) -> String {
    match ms / 1000 {
        0..120 => format!("{:.1} s", ms as f64 / 1000.0),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// Which NAT is this node behind, that listens on `port`? One answer for each family of addresses that peers saw.
pub(super) fn nat(sights: &[Sight], port: u16, is_own: impl Fn(IpAddr) -> bool) -> Vec<Finding> {
    let seen = |v4: bool| -> Vec<SocketAddr> {
        sights.iter().filter_map(|sight| sight.observed).filter(|at| at.is_ipv4() == v4).collect()
    };
    let families = [seen(true), seen(false)];
    if families.iter().all(Vec::is_empty) {
        return vec![Finding::not_checked("nat", "no peer has said, over QUIC, how it sees this node")];
    }
    let some = families.iter().filter(|seen| !seen.is_empty());
    some.map(|seen| mapping(seen, port, &is_own)).collect()
}

fn mapping(seen: &[SocketAddr], port: u16, is_own: &impl Fn(IpAddr) -> bool) -> Finding {
    let check = "nat";
    // Peers of the same network see the address itself; those beyond a NAT say what it makes of it.
    let mut outside: Vec<SocketAddr> =
        seen.iter().copied().filter(|at| !is_own(at.ip()) || at.port() != port).collect();
    let peers = outside.len();
    outside.sort_unstable();
    outside.dedup();
    let forward = |at: SocketAddr| {
        format!("forward port {port} (UDP and TCP) to this machine and give --advertise {}:{port}", at.ip())
    };
    match (&outside[..], peers) {
        ([], _) => Finding::ok(check, format!("none: {} peers see this node's own address", seen.len())),
        ([one], 1) => {
            let says = format!("there is one, seen as {one}; of which kind is not known with one peer");
            Finding::warn(check, says, forward(*one))
        }
        ([one], peers) => {
            let says = format!("one mapping for all: {peers} peers see {one}");
            Finding::warn(check, says, forward(*one))
        }
        ([first, second, ..], _) => {
            let says = format!(
                "differing mappings, such as {first} and {second}: nobody can find this node through it"
            );
            Finding::warn(check, says, forward(*first))
        }
    }
}

/// Has this machine the address?
pub(super) fn is_own(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use aire_admin::documents::Verdict;

    use super::*;

    fn sights(observed: &[&str]) -> Vec<Sight> {
        let sight = |at: &&str| Sight {
            node: "n2".parse().unwrap(),
            observed: Some(at.parse().unwrap()),
            reading: None,
        };
        observed.iter().map(sight).collect()
    }

    #[test]
    fn a_nat_is_told_by_what_peers_see() {
        let own: IpAddr = "10.0.0.5".parse().unwrap();
        for (observed, verdict, says) in [
            (&[][..], Verdict::NotChecked, "no peer"),
            (&["10.0.0.5:7117", "10.0.0.5:7117"], Verdict::Ok, "none"),
            (&["198.51.100.1:7117"], Verdict::Warn, "not known with one peer"),
            (&["198.51.100.1:40000", "198.51.100.1:40000"], Verdict::Warn, "one mapping for all"),
            (&["198.51.100.1:40000", "198.51.100.1:40001"], Verdict::Warn, "differing mappings"),
            (&["10.0.0.5:7117", "198.51.100.1:40000"], Verdict::Warn, "not known with one peer"),
        ] {
            let findings = nat(&sights(observed), 7117, |ip| ip == own);
            assert_eq!(findings.len(), 1);
            assert_eq!(findings[0].verdict, verdict, "{observed:?}");
            assert!(findings[0].says.contains(says), "{}", findings[0].says);
        }
    }

    #[test]
    fn each_family_of_addresses_has_its_own_mapping() {
        let findings = nat(&sights(&["10.0.0.5:7117", "[2001:db8::1]:7117"]), 7117, |_| true);
        assert_eq!(findings.iter().filter(|finding| finding.verdict == Verdict::Ok).count(), 2);
    }

    #[test]
    fn a_clock_is_judged_by_the_median_of_others() {
        let with = |offsets: &[i64]| {
            let sight = |&ahead_ms: &i64| Sight {
                node: "n2".parse().unwrap(),
                observed: None,
                reading: Some(Reading { ahead_ms, within_ms: 20 }),
            };
            clock(&offsets.iter().map(sight).collect::<Vec<_>>())
        };
        assert_eq!(with(&[]).verdict, Verdict::NotChecked);
        assert_eq!(with(&[100]).verdict, Verdict::Ok);
        assert_eq!(with(&[3_600_000, 15, -20]).verdict, Verdict::Ok, "one liar does not count");
        assert!(with(&[60_000]).says.contains("60.0 s behind"), "{}", with(&[60_000]).says);
        assert_eq!(with(&[60_000]).verdict, Verdict::Warn);
        assert_eq!(with(&[-3_600_000]).verdict, Verdict::Fail);
        assert!(with(&[-3_600_000]).says.contains("60 min ahead of"));
    }

    #[test]
    fn a_reading_counts_half_a_round_trip() {
        let reading = Reading::new(1_000, 1_050, Duration::from_millis(100));
        assert_eq!(reading, Reading { ahead_ms: 0, within_ms: 60 });
        // No clock of a peer overflows ours.
        assert_eq!(Reading::new(u64::MAX, 0, Duration::ZERO).ahead_ms, i64::MAX);
    }

    #[test]
    fn udp_is_blocked_where_only_tcp_reaches_anybody() {
        assert_eq!(passes("udp", 0, 0).verdict, Verdict::NotChecked);
        assert_eq!(passes("udp", 0, 2).verdict, Verdict::Warn);
        assert_eq!(passes("udp", 1, 1).verdict, Verdict::Ok);
    }
}
