//! Where nodes stand, and how long their routes are while nothing happens.

use std::collections::BTreeMap;

use aire_types::Random;

use super::draw::{exponential, heavy, lognormal, normal, part, weighted};
use super::shape::Shape;

const EARTH_KM: f64 = 6371.0;
const DEGREE_KM: f64 = 111.2;
/// Kilometres of great circle that light in fibre goes and comes back in a millisecond.
const KM_PER_MS: f64 = 100.0;

/// One place of one provider.
#[derive(Clone, Copy, Debug)]
struct Site {
    cluster: usize,
    provider: usize,
    latitude: f64,
    longitude: f64,
    /// Factor on the excess of its routes; low at hubs.
    excess: f64,
}

/// A node's place and last mile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    site: usize,
    pub(super) cluster: usize,
    pub(super) provider: usize,
    /// Degrees; the hour of the day follows from it.
    pub(super) longitude: f64,
    access_ms: f64,
}

/// Nodes, and the quiet round trips between them.
#[derive(Clone, Debug)]
pub(super) struct Geography {
    pub(super) nodes: Vec<Placed>,
    /// Row-major, milliseconds.
    pub(super) quiet: Vec<f64>,
}

impl Geography {
    pub(super) fn lay_out(shape: &Shape, seed: u64) -> Self {
        let mut random = part(seed, 1);
        let count = (shape.nodes as f64 / shape.nodes_per_site).round().max(1.0) as usize;
        let sites: Vec<Site> = (0..count).map(|_| site(shape, &mut random)).collect();
        let nodes: Vec<Placed> =
            (0..shape.nodes).map(|node| place(shape, &sites, node, &mut random)).collect();
        let mut routes = Routes { shape, seed, sites: &sites, known: BTreeMap::new() };
        let mut quiet = vec![0.0; nodes.len() * nodes.len()];
        for (at, cell) in quiet.iter_mut().enumerate() {
            let (from, to) = (&nodes[at / nodes.len()], &nodes[at % nodes.len()]);
            if at / nodes.len() != at % nodes.len() {
                *cell = routes.between(from.site, to.site) + from.access_ms + to.access_ms;
            }
        }
        Geography { nodes, quiet }
    }
}

fn site(shape: &Shape, random: &mut Random) -> Site {
    let weights: Vec<f64> = shape.clusters.iter().map(|cluster| cluster.weight).collect();
    let index = weighted(random, &weights);
    let cluster = shape.clusters[index];
    let latitude = (cluster.latitude + normal(random) * cluster.spread_km / DEGREE_KM).clamp(-70.0, 70.0);
    let shrink = latitude.to_radians().cos();
    let longitude = cluster.longitude + normal(random) * cluster.spread_km / DEGREE_KM / shrink;
    let provider = random.below(shape.providers.max(1));
    let excess = lognormal(random, shape.routing.hub_deviation);
    Site { cluster: index, provider, latitude, longitude, excess }
}

fn place(shape: &Shape, sites: &[Site], node: usize, random: &mut Random) -> Placed {
    // Every site has a node before one has two.
    let site = if node < sites.len() { node } else { random.below(sites.len()) };
    let Site { cluster, provider, longitude, .. } = sites[site];
    let access_ms = shape.access.median_ms / 2.0 * lognormal(random, shape.access.deviation);
    Placed { site, cluster, provider, longitude, access_ms }
}

/// Routes between sites, drawn when first asked for: each from a generator of its own.
struct Routes<'a> {
    shape: &'a Shape,
    seed: u64,
    sites: &'a [Site],
    known: BTreeMap<(usize, usize), f64>,
}

impl Routes<'_> {
    fn between(&mut self, from: usize, to: usize) -> f64 {
        let key = if self.shape.symmetric || from < to { (from.min(to), from.max(to)) } else { (from, to) };
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let drawn = self.draw(key);
        self.known.insert(key, drawn);
        drawn
    }

    fn draw(&self, (from, to): (usize, usize)) -> f64 {
        let routing = &self.shape.routing;
        let (a, b) = (&self.sites[from], &self.sites[to]);
        // The same both ways: a round trip goes out and back, whoever asks.
        let pair = |a: usize, b: usize| (a.min(b) * 4096 + a.max(b)) as u64;
        let mut random = part(self.seed ^ 0x51, pair(from, to));
        let straight = distance_km(a, b) / KM_PER_MS;
        let excess = (routing.inflation - 1.0)
            * lognormal(&mut random, routing.inflation_deviation)
            * (a.excess * b.excess).sqrt();
        let mut rtt = routing.floor_ms + exponential(&mut random, 0.3) + straight * (1.0 + excess);
        if random.chance(routing.detour) {
            rtt += heavy(&mut random, routing.detour_ms, routing.detour_tail);
        }
        let (one, other) = (a.provider * 64 + a.cluster, b.provider * 64 + b.cluster);
        let mut peering = part(self.seed ^ 0x52, pair(one, other));
        if from != to && peering.chance(routing.far_exchange) {
            rtt += heavy(&mut peering, routing.detour_ms, routing.detour_tail);
        }
        rtt
    }
}

/// Great circle (haversine).
fn distance_km(a: &Site, b: &Site) -> f64 {
    let (lat_a, lat_b) = (a.latitude.to_radians(), b.latitude.to_radians());
    let half = ((lat_b - lat_a) / 2.0).sin().powi(2)
        + lat_a.cos() * lat_b.cos() * ((b.longitude - a.longitude).to_radians() / 2.0).sin().powi(2);
    2.0 * EARTH_KM * half.sqrt().min(1.0).asin()
}
