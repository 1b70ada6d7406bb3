//! What goes into the history.

use std::time::Duration;

use aire_brain::Sample;
use aire_trace::{Choice, Origin, Record};
use aire_types::{Class, NodeName, Path, Ranked, RouteId, Time};

use super::Control;
use crate::carry::Counted;

impl Control {
    /// Something was measured on a route.
    pub(super) fn record_sample(&mut self, route: &RouteId, origin: Origin, sample: Sample) {
        if let Some(history) = &mut self.history {
            history.measured(&route.instance.node, &route.path, origin, sample);
        }
    }

    /// A probe was answered after `rtt`, or not within `patience`.
    pub(super) fn record_probe(&mut self, route: &RouteId, rtt: Option<Duration>, patience: Duration) {
        let Some(history) = &mut self.history else { return };
        let (node, path) = (&route.instance.node, &route.path);
        match rtt {
            Some(rtt) => history.measured(node, path, Origin::Probe, Sample::Rtt(rtt)),
            None => history.missed(node, path, Origin::Probe, patience),
        }
        let lost = u32::from(rtt.is_none());
        history.measured(node, path, Origin::Probe, Sample::Packets { sent: 1, lost });
    }

    /// What was counted on a carrier of a route. The kernel counts segments on the first leg alone, so they are of the
    /// direct path to the neighbour.
    pub(crate) fn record_counted(&mut self, route: &RouteId, neighbour: &NodeName, counted: &Counted) {
        let Some(history) = &mut self.history else { return };
        let (sent, lost) = counted.segments;
        let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        if sent > 0 || lost > 0 {
            let packets = Sample::Packets { sent: count(sent), lost: count(lost) };
            history.measured(neighbour, &Path::DIRECT, Origin::Payload, packets);
        }
        let (bytes, elapsed) = counted.transfer;
        if bytes > 0 {
            let transfer = Sample::Transfer { bytes, elapsed };
            history.measured(&route.instance.node, &route.path, Origin::Payload, transfer);
        }
    }

    /// Streams of `class` go over `route` from now on.
    pub(super) fn record_choice(&mut self, now: Time, route: &RouteId, class: Class) {
        if self.history.is_none() {
            return;
        }
        let decision = self.brain.decision(now, &route.instance, class);
        let cost = |ranked: Option<&Ranked>| ranked.map_or(f32::INFINITY, |ranked| ranked.cost as f32);
        let ranked = |path: &Path| decision.ranking.iter().find(|ranked| ranked.route.path == *path);
        let choice = Choice {
            at_ms: crate::clock::unix_millis(),
            app: route.instance.app.clone(),
            to: route.instance.node.clone(),
            class,
            path: route.path.clone(),
            by: decision.by.to_string(),
            propensity: decision.propensity as f32,
            cost: cost(ranked(&route.path)),
            direct_cost: cost(ranked(&Path::DIRECT)),
            candidates: u32::try_from(decision.ranking.len()).unwrap_or(u32::MAX),
            snapshot_hash: decision.snapshot_hash,
        };
        if let Some(history) = &mut self.history {
            history.chosen(choice);
        }
    }

    /// All that was measured and chosen since the last call, and the links' readings now.
    pub(crate) fn take_history(&mut self, now: Time, now_ms: u64) -> Vec<Record> {
        let Some(history) = &mut self.history else { return Vec::new() };
        for (node, stats) in self.links.readings() {
            let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
            let packets = Sample::Packets { sent: count(stats.sent), lost: count(stats.lost) };
            // Where nothing arrived, the transport's figure is one of before.
            if stats.received > 0 {
                history.measured(node, &Path::DIRECT, Origin::Link, Sample::Rtt(stats.rtt));
            }
            history.measured(node, &Path::DIRECT, Origin::Link, packets);
        }
        let registry = &self.registry;
        let load = |to: &NodeName, path: &Path| {
            let members = path.relays().iter().chain([to]).filter_map(|node| registry.member(node));
            members.map(|member| member.body.node.load()).reduce(f64::max)
        };
        history.take(now, now_ms, &self.node, load)
    }
}
