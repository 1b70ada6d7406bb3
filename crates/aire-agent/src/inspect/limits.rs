use std::fs;

use aire_admin::documents::Finding;
use aire_net::Congestion;
use rustix::process::{Resource, getrlimit};

/// Descriptors that an agent with some hundred connections needs: two for each, and some.
const FILES: u64 = 4096;
/// Pages of pipes that this agent uses at most for splicing: 192 pipes of 256 KiB.
const PIPE_PAGES: u64 = 12_288;
/// The largest TCP buffer that lets one stream fill a fast and long path.
const TCP_BUFFER: u64 = 4 << 20;

/// What this machine gives to the process that asks.
pub(super) fn check() -> Vec<Finding> {
    vec![files(getrlimit(Resource::Nofile).current), pipes(), buffers(), congestion()]
}

fn files(limit: Option<u64>) -> Finding {
    let check = "files";
    match limit {
        Some(limit) if limit < FILES => {
            let says = format!("this process may open {limit} files; each connection takes two");
            Finding::warn(check, says, "raise it: ulimit -n 65536, or LimitNOFILE=65536 in a systemd unit")
        }
        Some(limit) => Finding::ok(check, format!("this process may open {limit} files")),
        None => Finding::ok(check, "this process may open any number of files"),
    }
}

fn pipes() -> Finding {
    let check = "pipes";
    match number("/proc/sys/fs/pipe-user-pages-soft") {
        Some(0) => Finding::ok(check, "no bound on pipe pages"),
        Some(pages) if pages < PIPE_PAGES => {
            let says = format!("{pages} pages of pipes for this user; a busy relay uses {PIPE_PAGES}");
            Finding::warn(check, says, "raise fs.pipe-user-pages-soft to 16384 or more")
        }
        Some(pages) => Finding::ok(check, format!("{pages} pages of pipes for this user")),
        None => Finding::not_checked(check, "/proc/sys/fs/pipe-user-pages-soft cannot be read"),
    }
}

fn buffers() -> Finding {
    let check = "buffers";
    let most = |file: &str| last_number(&fs::read_to_string(format!("/proc/sys/net/ipv4/{file}")).ok()?);
    match (most("tcp_rmem"), most("tcp_wmem")) {
        (Some(read), Some(write)) if read.min(write) < TCP_BUFFER => {
            let says = format!("TCP buffers grow to {} and {} KiB only", read / 1024, write / 1024);
            Finding::warn(check, says, "raise the last figure of net.ipv4.tcp_rmem and tcp_wmem to 6291456")
        }
        (Some(read), Some(write)) => {
            Finding::ok(check, format!("TCP buffers grow to {} and {} KiB", read / 1024, write / 1024))
        }
        _ => Finding::not_checked(check, "net.ipv4.tcp_rmem and tcp_wmem cannot be read"),
    }
}

fn congestion() -> Finding {
    let check = "congestion";
    match aire_net::congestion() {
        Congestion::Bbr => Finding::ok(check, "BBR is to be had"),
        Congestion::Default => {
            let advice =
                "load the kernel module tcp_bbr and allow it in net.ipv4.tcp_allowed_congestion_control";
            Finding::warn(check, "no BBR: lossy paths will be slow", advice)
        }
    }
}

fn number(path: &str) -> Option<u64> {
    last_number(&fs::read_to_string(path).ok()?)
}

fn last_number(text: &str) -> Option<u64> {
    text.split_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use aire_admin::documents::Verdict;

    use super::*;

    #[test]
    fn few_descriptors_are_a_warning() {
        for (limit, verdict) in
            [(Some(1024), Verdict::Warn), (Some(65_536), Verdict::Ok), (None, Verdict::Ok)]
        {
            assert_eq!(files(limit).verdict, verdict, "{limit:?}");
        }
    }

    #[test]
    fn the_largest_buffer_is_the_last_figure() {
        assert_eq!(last_number("4096\t131072\t6291456\n"), Some(6_291_456));
    }
}
