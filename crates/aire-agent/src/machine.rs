//! What this machine has and does: the measured part of the node profile.

use std::fs;
use std::process::Stdio;

use aire_types::Posture;
use tokio::process::Command;

/// Share of the cores in use and memory, read from `/proc`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Load {
    /// Cores that this machine has.
    pub(crate) cpus: f64,
    /// Share of them in use since the last reading, 0 to 1.
    pub(crate) cpu_load: f64,
    /// Mebibytes that programs can still take.
    pub(crate) memory_free_mib: u64,
    /// Mebibytes in all.
    pub(crate) memory_mib: u64,
}

/// Reads the machine's load; keeps the counters between readings.
#[derive(Debug, Default)]
pub(crate) struct LoadMeter {
    busy: u64,
    total: u64,
}

impl LoadMeter {
    /// A reading since the one before. Values that cannot be read stay zero.
    pub(crate) fn read(&mut self) -> Load {
        let (memory_free_mib, memory_mib) =
            fs::read_to_string("/proc/meminfo").map(|text| memory(&text)).unwrap_or_default();
        let cpus = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
        let cpu_load = fs::read_to_string("/proc/stat").ok().and_then(|text| self.cpu(&text)).unwrap_or(0.0);
        Load { cpus, cpu_load, memory_free_mib, memory_mib }
    }

    /// First line of proc(5) stat: user nice system idle iowait irq softirq steal.
    fn cpu(&mut self, text: &str) -> Option<f64> {
        let line = text.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|t| t.parse().ok()).collect();
        let total: u64 = ticks.iter().sum();
        let busy = total - ticks.get(3)? - ticks.get(4)?;
        let (was_busy, was_total) = (self.busy, self.total);
        (self.busy, self.total) = (busy, total);
        let passed = total.saturating_sub(was_total);
        (was_total > 0 && passed > 0).then(|| busy.saturating_sub(was_busy) as f64 / passed as f64)
    }
}

fn memory(text: &str) -> (u64, u64) {
    let kib = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(0)
    };
    (kib("MemAvailable:") / 1024, kib("MemTotal:") / 1024)
}

/// Whether nftables holds a rule that can drop something; `None` where it cannot be read (no `nft`, no right).
pub(crate) async fn read_posture() -> Posture {
    let output = Command::new("nft")
        .args(["list", "ruleset"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let firewall = output.ok().filter(|o| o.status.success()).map(|o| {
        let rules = String::from_utf8_lossy(&o.stdout);
        rules.contains("drop") || rules.contains("reject")
    });
    Posture { firewall, intrusion_detection: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_the_share_of_ticks_between_two_readings() {
        let mut meter = LoadMeter::default();
        assert_eq!(meter.cpu("cpu  100 0 100 800 0 0 0 0 0 0\n"), None);
        assert_eq!(meter.cpu("cpu  150 0 150 900 0 0 0 0 0 0\n"), Some(0.5));
    }

    #[test]
    fn memory_is_in_mebibytes() {
        assert_eq!(memory("MemTotal:  2048 kB\nMemFree: 1 kB\nMemAvailable: 1024 kB\n"), (1, 2));
    }

    #[test]
    fn a_machine_without_these_files_reads_as_idle() {
        assert_eq!(LoadMeter::default().cpu("nothing"), None);
        assert_eq!(memory(""), (0, 0));
    }
}
