//! What process groups use, from /proc.

use std::fs;

/// Of all processes of some groups together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Processor time so far, seconds.
    pub(super) cpu_s: f64,
    /// Resident memory now, megabytes.
    pub(super) rss_mb: f64,
}

/// Linux counts processor time in hundredths for user space, and pages have 4096 bytes on the machines we measure on.
const TICKS: f64 = 100.0;
const PAGE: f64 = 4096.0;

pub(super) fn of(groups: &[u32]) -> Usage {
    let mut sum = Usage::default();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some((_, usage)) = parse(&stat).filter(|(group, _)| groups.contains(group)) {
            sum.cpu_s += usage.cpu_s;
            sum.rss_mb += usage.rss_mb;
        }
    }
    sum
}

/// Process group and usage from a line of /proc/PID/stat (proc_pid_stat(5)).
fn parse(stat: &str) -> Option<(u32, Usage)> {
    // The name, in brackets, may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<f64>().ok());
    let group = fields.get(5 - 3)?.parse().ok()?;
    let cpu_s = (number(14)? + number(15)?) / TICKS;
    Some((group, Usage { cpu_s, rss_mb: number(24)? * PAGE / 1e6 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_stat_is_read() {
        let stat = "42 (a (b) c) S 1 77 77 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 12345 1000000 512 0";
        let (group, usage) = parse(stat).unwrap();
        assert_eq!((group, usage.cpu_s), (77, 3.0));
        assert!((usage.rss_mb - 2.097_152).abs() < 1e-9);
    }
}
