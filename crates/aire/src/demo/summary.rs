//! What was measured, and whether it is what was promised.

use aire_types::Path;
use serde::Serialize;

use crate::figures;
use crate::table::Table;

/// The mesh may be this much slower than the direct way: a share of it, and milliseconds.
const SLACK: (f64, f64) = (0.05, 5.0);
/// The longest pause that a dead relay may cause.
const LONGEST_STALL_MS: f64 = 2000.0;

/// The figures of one demo. The names of the first nine are a contract.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Summary {
    /// Median time of a request over the direct way without the mesh, milliseconds.
    pub(super) direct_p50_ms: f64,
    /// The same over the mesh.
    pub(super) mesh_p50_ms: f64,
    /// Rate of a download over the direct way without the mesh, megabits a second.
    pub(super) direct_mbps: f64,
    /// The same over the mesh.
    pub(super) mesh_mbps: f64,
    /// The longest pause of running transfers when their relay died, milliseconds.
    pub(super) failover_stall_ms: f64,
    /// Bytes of those transfers that did not arrive as they were sent.
    pub(super) bytes_lost: u64,
    /// Connections of applications that were reset.
    pub(super) streams_reset: u64,
    /// Connections that policy denied.
    pub(super) denied: u64,
    /// Connections of strangers that were turned away.
    pub(super) blocked: u64,
    /// How many agents took part.
    pub(super) agents: usize,
    /// The path before the relay died.
    pub(super) path_before: Path,
    /// The path after it.
    pub(super) path_after: Path,
    /// Connections that should have been denied.
    pub(super) denials_due: u64,
    /// Connections that should have been turned away.
    pub(super) blocks_due: u64,
    /// Whether a permitted request was still answered after all that.
    pub(super) alive: bool,
    /// What was promised and did not hold.
    pub(super) broken: Vec<String>,
}

impl Summary {
    /// Fills in what was promised and did not hold.
    pub(super) fn judge(&mut self) {
        let limit = self.direct_p50_ms * (1.0 + SLACK.0) + SLACK.1;
        let promises = [
            (self.bytes_lost == 0, "no byte is lost when a relay dies"),
            (self.streams_reset == 0, "no connection is reset when a relay dies"),
            (self.failover_stall_ms <= LONGEST_STALL_MS, "a dead relay costs two seconds at most"),
            (self.mesh_p50_ms <= limit, "the mesh is not slower than the direct way"),
            (
                self.denied >= self.denials_due,
                "nobody connects whom no policy permits, and it shows in the events",
            ),
            (self.blocked >= self.blocks_due, "strangers get nowhere, and it shows in the events"),
            (self.alive, "the app is still reached in the end"),
        ];
        self.broken =
            promises.into_iter().filter(|(kept, _)| !kept).map(|(_, text)| text.to_owned()).collect();
    }

    /// The figures for people.
    pub(super) fn text(&self) -> String {
        let mut table = Table::new(&["", ">DIRECT", ">MESH", ">MESH / DIRECT"]);
        let share = |mesh: f64, direct: f64| format!("{:.2}", mesh / direct.max(f64::MIN_POSITIVE));
        table.row([
            "request, median".to_owned(),
            figures::ms(Some(self.direct_p50_ms)),
            figures::ms(Some(self.mesh_p50_ms)),
            share(self.mesh_p50_ms, self.direct_p50_ms),
        ]);
        table.row([
            "download".to_owned(),
            figures::mbps(Some(self.direct_mbps)),
            figures::mbps(Some(self.mesh_mbps)),
            share(self.mesh_mbps, self.direct_mbps),
        ]);
        let mut text = table.text("nothing was measured");
        text.push_str(&format!(
            "\nA relay died silently under two transfers: longest pause {}, {} bytes lost, {} connections reset; \
             {} before, {} after.\n",
            figures::ms(Some(self.failover_stall_ms)),
            self.bytes_lost,
            self.streams_reset,
            self.path_before,
            self.path_after,
        ));
        text.push_str(&format!(
            "Denied by policy: {}. Strangers turned away: {}.\n",
            self.denied, self.blocked
        ));
        match self.broken.as_slice() {
            [] => text.push_str("All promises kept.\n"),
            broken => text.extend(broken.iter().map(|promise| format!("BROKEN: {promise}\n"))),
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Summary {
        Summary {
            direct_p50_ms: 240.0,
            mesh_p50_ms: 180.0,
            direct_mbps: 70.0,
            mesh_mbps: 120.0,
            failover_stall_ms: 300.0,
            denied: 3,
            denials_due: 3,
            blocked: 12,
            blocks_due: 12,
            alive: true,
            ..Summary::default()
        }
    }

    #[test]
    fn every_promise_can_break() {
        let mut summary = good();
        summary.judge();
        assert_eq!(summary.broken, Vec::<String>::new());
        let spoilt = [
            Summary { bytes_lost: 1, ..good() },
            Summary { streams_reset: 1, ..good() },
            Summary { failover_stall_ms: 2001.0, ..good() },
            Summary { mesh_p50_ms: 260.0, ..good() },
            Summary { denied: 2, ..good() },
            Summary { blocked: 11, ..good() },
            Summary { alive: false, ..good() },
        ];
        for mut summary in spoilt {
            summary.judge();
            assert_eq!(summary.broken.len(), 1, "{summary:?}");
            assert!(summary.text().contains("BROKEN"));
        }
    }

    #[test]
    fn a_figure_that_is_none_breaks_its_promise() {
        let mut summary = Summary { mesh_p50_ms: f64::NAN, failover_stall_ms: f64::NAN, ..good() };
        summary.judge();
        assert_eq!(summary.broken.len(), 2);
    }

    #[test]
    fn the_contract_of_field_names() {
        let document = serde_json::to_value(good()).unwrap();
        for name in [
            "direct_p50_ms",
            "mesh_p50_ms",
            "direct_mbps",
            "mesh_mbps",
            "failover_stall_ms",
            "bytes_lost",
            "streams_reset",
            "denied",
            "blocked",
        ] {
            assert!(document[name].is_number(), "{name}");
        }
    }
}
