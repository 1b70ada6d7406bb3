//! The constants of synthetic meshes.

/// Nodes that stand near each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cluster {
    /// Latitude of its middle, degrees.
    pub latitude: f64,
    /// Longitude of its middle, degrees.
    pub longitude: f64,
    /// Standard deviation of its sites around the middle, kilometres.
    pub spread_km: f64,
    /// Share of the nodes, relative to the other clusters'.
    pub weight: f64,
}

/// How much longer routes are than the great circle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Routing {
    /// Round trip of equipment on every path, milliseconds.
    pub floor_ms: f64,
    /// Median ratio of the route to the great circle.
    pub inflation: f64,
    /// Deviation of the logarithm of that ratio's excess from one pair of sites to another.
    pub inflation_deviation: f64,
    /// Deviation of the logarithm of the same excess by site: sites of low excess are hubs.
    pub hub_deviation: f64,
    /// Share of the (provider, provider, cluster, cluster) that go by a far exchange.
    pub far_exchange: f64,
    /// Share of the pairs of sites that take a detour of their own.
    pub detour: f64,
    /// Median of what a detour or a far exchange adds, milliseconds.
    pub detour_ms: f64,
    /// Tail exponent of it.
    pub detour_tail: f64,
}

/// The last mile of a node, on every path of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Access {
    /// Median, milliseconds of round trip.
    pub median_ms: f64,
    /// Deviation of the logarithm.
    pub deviation: f64,
}

/// What changes in time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weather {
    /// Mean noise of one measurement as a share of the round trip.
    pub jitter: f64,
    /// Share of the measurements on which a heavy tail falls.
    pub spike: f64,
    /// Its median, milliseconds.
    pub spike_ms: f64,
    /// Its tail exponent (below 2 the variance is infinite).
    pub spike_tail: f64,
    /// How unevenly spikes fall on nodes: deviation of the logarithm of a node's share.
    pub spike_unevenness: f64,
    /// Share of a spike's chance that all measurements of a node share at one moment.
    pub spike_together: f64,
    /// Height of the daily swing of a node's access, share of the round trip at its peak hour.
    pub daily: f64,
    /// Lasting changes of a route's level a day.
    pub shifts_a_day: f64,
    /// Median size of such a change, share of the round trip.
    pub shift: f64,
    /// Bottlenecks that pairs of (cluster, provider) share.
    pub bottlenecks: usize,
    /// Mean queue of a busy bottleneck, milliseconds.
    pub queue_ms: f64,
    /// How long a queue's level lasts, seconds.
    pub queue_s: f64,
    /// Outages of a node a day.
    pub outages_a_day: f64,
    /// How long one lasts, mean, seconds.
    pub outage_s: f64,
}

/// How the record comes about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measuring {
    /// A row is measured anew every so many frames on average; between, its entries repeat.
    pub interval: f64,
    /// Values are multiples of this, milliseconds; 0 for none.
    pub quantum_ms: f64,
    /// Share of the measurements that fail for no reason.
    pub missing: f64,
}

/// A kind of network, and how it is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Its name.
    pub name: &'static str,
    /// Nodes.
    pub nodes: usize,
    /// Frames.
    pub frames: usize,
    /// Seconds from one frame to the next.
    pub step_s: f64,
    /// (i, j) and (j, i) are one measurement.
    pub symmetric: bool,
    /// Frames between the last input and what is scored.
    pub score_gap: usize,
    /// Where nodes stand.
    pub clusters: Vec<Cluster>,
    /// Nodes that share a site, mean.
    pub nodes_per_site: f64,
    /// Providers, each node at one of them.
    pub providers: usize,
    /// Routes.
    pub routing: Routing,
    /// Last miles.
    pub access: Access,
    /// What changes in time.
    pub weather: Weather,
    /// How it is recorded.
    pub measuring: Measuring,
}

const fn cluster(latitude: f64, longitude: f64, spread_km: f64, weight: f64) -> Cluster {
    Cluster { latitude, longitude, spread_km, weight }
}

impl Shape {
    /// The names that [`Shape::named`] knows.
    pub const NAMES: [&'static str; 4] = ["planetlab", "seattle", "cloud", "atlas"];

    /// The shape of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "planetlab" => Some(Self::planetlab()),
            "seattle" => Some(Self::seattle()),
            "cloud" => Some(Self::cloud()),
            "atlas" => Some(Self::atlas()),
            _ => None,
        }
    }

    /// Machines of universities on all continents, one frame every 15 hours: all structure is in space.
    pub fn planetlab() -> Self {
        Shape {
            name: "planetlab",
            nodes: 392,
            frames: 10,
            step_s: 52_920.0,
            symmetric: true,
            score_gap: 1,
            clusters: vec![
                cluster(40.0, -78.0, 700.0, 0.32),
                cluster(37.0, -118.0, 600.0, 0.13),
                cluster(49.0, 8.0, 800.0, 0.36),
                cluster(35.0, 128.0, 900.0, 0.11),
                cluster(-25.0, -50.0, 900.0, 0.03),
                cluster(25.0, 80.0, 1200.0, 0.05),
            ],
            nodes_per_site: 2.0,
            providers: 8,
            routing: Routing {
                floor_ms: 1.0,
                inflation: 1.7,
                inflation_deviation: 0.18,
                hub_deviation: 0.22,
                far_exchange: 0.06,
                detour: 0.06,
                detour_ms: 25.0,
                detour_tail: 2.5,
            },
            access: Access { median_ms: 5.0, deviation: 1.8 },
            weather: Weather {
                jitter: 0.02,
                spike: 0.006,
                spike_ms: 25.0,
                spike_tail: 1.6,
                spike_unevenness: 1.0,
                spike_together: 0.2,
                daily: 0.01,
                shifts_a_day: 0.05,
                shift: 0.03,
                bottlenecks: 12,
                queue_ms: 3.0,
                queue_s: 3600.0,
                outages_a_day: 0.0,
                outage_s: 0.0,
            },
            measuring: Measuring { interval: 1.0, quantum_ms: 0.0, missing: 0.0 },
        }
    }

    /// Personal devices on home lines and radio, a frame every 16 s, rows measured anew every five frames: heavy tails.
    pub fn seattle() -> Self {
        Shape {
            name: "seattle",
            nodes: 99,
            frames: 480,
            step_s: 15.7,
            symmetric: false,
            score_gap: 8,
            clusters: vec![
                cluster(42.0, -100.0, 900.0, 0.65),
                cluster(49.0, 8.0, 500.0, 0.15),
                cluster(33.0, 115.0, 600.0, 0.2),
            ],
            nodes_per_site: 1.3,
            providers: 8,
            routing: Routing {
                floor_ms: 5.0,
                inflation: 1.35,
                inflation_deviation: 0.5,
                hub_deviation: 0.3,
                far_exchange: 0.10,
                detour: 0.15,
                detour_ms: 75.0,
                detour_tail: 1.8,
            },
            access: Access { median_ms: 3.0, deviation: 2.4 },
            weather: Weather {
                jitter: 0.10,
                spike: 0.6,
                spike_ms: 125.0,
                spike_tail: 3.5,
                spike_unevenness: 0.4,
                spike_together: 0.06,
                daily: 0.1,
                shifts_a_day: 2.0,
                shift: 0.05,
                bottlenecks: 8,
                queue_ms: 8.0,
                queue_s: 60.0,
                outages_a_day: 2.0,
                outage_s: 120.0,
            },
            measuring: Measuring { interval: 5.0, quantum_ms: 10.0, missing: 0.003 },
        }
    }

    /// Regions of three cloud providers, a frame a minute.
    pub fn cloud() -> Self {
        Shape {
            name: "cloud",
            nodes: 84,
            frames: 120,
            step_s: 60.0,
            symmetric: false,
            score_gap: 1,
            clusters: vec![
                cluster(39.0, -77.0, 700.0, 0.17),
                cluster(38.0, -121.0, 600.0, 0.12),
                cluster(51.0, 5.0, 700.0, 0.24),
                cluster(30.0, 120.0, 1500.0, 0.25),
                cluster(-30.0, 148.0, 500.0, 0.08),
                cluster(-24.0, -47.0, 300.0, 0.06),
                cluster(22.0, 75.0, 800.0, 0.08),
            ],
            nodes_per_site: 3.0,
            providers: 3,
            routing: Routing {
                floor_ms: 0.6,
                inflation: 1.9,
                inflation_deviation: 0.4,
                hub_deviation: 0.12,
                far_exchange: 0.03,
                detour: 0.04,
                detour_ms: 25.0,
                detour_tail: 3.0,
            },
            access: Access { median_ms: 0.5, deviation: 0.4 },
            weather: Weather {
                jitter: 0.003,
                spike: 0.004,
                spike_ms: 10.0,
                spike_tail: 1.3,
                spike_unevenness: 0.5,
                spike_together: 0.2,
                daily: 0.005,
                shifts_a_day: 0.5,
                shift: 0.03,
                bottlenecks: 10,
                queue_ms: 1.0,
                queue_s: 600.0,
                outages_a_day: 0.02,
                outage_s: 600.0,
            },
            measuring: Measuring { interval: 1.0, quantum_ms: 0.0, missing: 0.0005 },
        }
    }

    /// Few probes that ping each other every four minutes for weeks: daily swing and level shifts.
    pub fn atlas() -> Self {
        Shape {
            name: "atlas",
            nodes: 7,
            frames: 8000,
            step_s: 240.0,
            nodes_per_site: 1.0,
            clusters: vec![
                cluster(49.0, 8.0, 900.0, 0.5),
                cluster(40.0, -78.0, 1000.0, 0.3),
                cluster(20.0, 110.0, 1500.0, 0.2),
            ],
            weather: Weather {
                jitter: 0.004,
                spike: 0.02,
                spike_ms: 8.0,
                spike_tail: 1.4,
                daily: 0.002,
                shifts_a_day: 0.4,
                shift: 0.04,
                queue_ms: 0.5,
                queue_s: 1800.0,
                outages_a_day: 0.05,
                ..Self::cloud().weather
            },
            measuring: Measuring { interval: 1.0, quantum_ms: 0.0, missing: 0.005 },
            ..Self::planetlab()
        }
    }

    /// The same kind of network with so many nodes.
    #[must_use]
    pub fn with_nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// The same kind of network over so many frames.
    #[must_use]
    pub fn with_frames(mut self, frames: usize) -> Self {
        self.frames = frames;
        self
    }
}
