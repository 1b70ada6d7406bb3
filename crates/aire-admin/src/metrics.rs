use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::documents::{Link, Peer, Route, Severity, Status};
use crate::events::Counts;

/// The most peers and routes that get time series of their own, so that a large mesh does not drown the scraper.
const MAX_SERIES: usize = 256;

type Labelled = Family<[(&'static str, String); 1], Counter>;

/// How a datagram of an application left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Sealed, over a link.
    Link,
    /// Through its flow's stream, as it was too long for a datagram.
    Stream,
    /// Not at all: there was no way, or no room on it.
    Dropped,
}

/// What the agent counts as it happens. What is a state, and not an occurrence, is read from its documents at each
/// scrape.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    stream_open: Histogram,
    stall: Histogram,
    denied: Labelled,
    refused: Labelled,
    strangers: Counter,
    /// In the order of [`Sent`]; there are too many to look each up by its label.
    datagrams: [Counter; 3],
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let times = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let stream_open = Histogram::new(times);
        let stall = Histogram::new(times);
        registry.register_with_unit(
            "aire_stream_open",
            "Time from an application's connection to the answer that it stands",
            Unit::Seconds,
            stream_open.clone(),
        );
        registry.register_with_unit(
            "aire_failover_stall",
            "Time from leaving a path to progress on another one",
            Unit::Seconds,
            stall.clone(),
        );
        let strangers = Counter::default();
        registry.register(
            "aire_strangers",
            "Connections and handshakes of nobody who belongs here",
            strangers.clone(),
        );
        let mut labelled = |name: &str, help: &str| {
            let family = Labelled::default();
            registry.register(name, help, family.clone());
            family
        };
        let denied = labelled("aire_denied", "What policy did not permit");
        let refused = labelled("aire_arrivals_refused", "Application connections that were turned away");
        let datagrams = labelled("aire_datagrams_sent", "Datagrams of applications, by how they left");
        let datagrams = ["link", "stream", "dropped"]
            .map(|way| datagrams.get_or_create(&[("way", way.to_owned())]).clone());
        Metrics { registry, stream_open, stall, denied, refused, strangers, datagrams }
    }

    /// An application's connection was accepted so long after it came.
    pub fn stream_opened(&self, after: Duration) {
        self.stream_open.observe(after.as_secs_f64());
    }

    /// An association was without progress for so long, from leaving a path to finding another one.
    pub fn stalled(&self, stall: Duration) {
        self.stall.observe(stall.as_secs_f64());
    }

    /// Policy did not permit `action` (`connect` or `relay`).
    pub fn denied(&self, action: &'static str) {
        self.denied.get_or_create(&[("action", action.to_owned())]).inc();
    }

    /// An application's connection was turned away; `reason` is one of few words.
    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&[("reason", reason.to_owned())]).inc();
    }

    /// Somebody who does not belong here knocked.
    pub fn stranger(&self) {
        self.strangers.inc();
    }

    /// A datagram of an application left, or did not.
    pub fn datagram(&self, sent: Sent) {
        let [link, stream, dropped] = &self.datagrams;
        match sent {
            Sent::Link => link,
            Sent::Stream => stream,
            Sent::Dropped => dropped,
        }
        .inc();
    }

    /// The Prometheus text of everything counted and of these documents.
    pub(crate) fn encode(&self, scrape: Scrape) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode_registry(&mut text, &self.registry)?;
        let mut states = Registry::default();
        states.register_collector(Box::new(scrape));
        prometheus_client::encoding::text::encode(&mut text, &states)?;
        Ok(text)
    }
}

/// What the documents said at one scrape.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) status: Status,
    pub(crate) peers: Vec<Peer>,
    pub(crate) routes: Vec<Route>,
    pub(crate) events: Counts,
}

type Labels = Vec<(&'static str, String)>;

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        self.encode_status(&mut encoder)?;
        self.encode_counts(&mut encoder)?;
        self.encode_peers(&mut encoder)?;
        self.encode_routes(&mut encoder)
    }
}

impl Scrape {
    fn encode_status(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let status = &self.status;
        let about = vec![
            ("mesh", status.mesh.to_string()),
            ("node", status.node.to_string()),
            ("role", status.role.clone()),
            ("app", status.app.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("version", status.version.clone()),
        ];
        gauge(encoder, "aire_agent", "This agent; always 1", None, [(about, 1u64)])?;
        let one = |value: u64| [(Labels::new(), value)];
        gauge(encoder, "aire_ready", "Whether it can carry streams", None, one(status.ready.into()))?;
        gauge(encoder, "aire_draining", "Whether it is about to stop", None, one(status.draining.into()))?;
        gauge(encoder, "aire_peers", "Agents that it has a link with", None, one(status.peers))?;
        gauge(encoder, "aire_streams_open", "Streams open now", None, one(status.streams.open))?;
        let model = status.model.active.into();
        gauge(encoder, "aire_model_active", "Whether a learned model chooses paths", None, one(model))?;
        self.encode_model(encoder)?;
        let seconds = Some(Unit::Seconds);
        gauge(encoder, "aire_uptime", "Time since the start", seconds.as_ref(), one(status.uptime_s))?;
        let expires = status.svid_expires_s.map(|left| (Labels::new(), left));
        gauge(encoder, "aire_svid_expires", "Time until its SVID expires", seconds.as_ref(), expires)
    }

    fn encode_model(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let model = &self.status.model;
        let one = |value: u64| vec![(Labels::new(), value)];
        let fallbacks = model.fallbacks.iter().map(|(why, count)| (vec![("reason", why.clone())], *count));
        counter(encoder, "aire_model_swaps", "Models replaced at run time", None, one(model.swaps))?;
        counter(encoder, "aire_model_decisions", "Decisions of the model", None, one(model.decisions))?;
        let help = "Decisions of the rule although there is a model";
        counter(encoder, "aire_model_fallbacks", help, None, fallbacks.collect())?;
        let Some(guard) = &model.guard else { return Ok(()) };
        let real = |value: f64| [(Labels::new(), value)];
        gauge(
            encoder,
            "aire_model_account",
            "What is left of the model's budget",
            None,
            real(guard.account),
        )?;
        let seconds = Some(Unit::Seconds);
        let help = "What the model's decisions cost more than the rule's would have, summed";
        gauge(encoder, "aire_model_regret", help, seconds.as_ref(), real(guard.regret_ms / 1000.0))?;
        let prices = [("direct", guard.direct_ms), ("rule", guard.rule_ms), ("model", guard.model_ms)];
        let prices = prices.map(|(way, ms)| (vec![("way", way.to_owned())], ms / 1000.0));
        let help = "Average price of a decision on three ways, by what was measured after it";
        gauge(encoder, "aire_model_price", help, seconds.as_ref(), prices)
    }

    fn encode_counts(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let streams = &self.status.streams;
        let one = |value: u64| vec![(Labels::new(), value)];
        counter(encoder, "aire_streams", "Streams since the start", None, one(streams.total))?;
        counter(encoder, "aire_streams_moved", "Moves from path to path", None, one(streams.moved))?;
        counter(encoder, "aire_streams_reset", "Streams ended by a reset", None, one(streams.reset))?;
        let bytes = &self.status.bytes;
        let both = vec![
            (vec![("direction", "in".to_owned())], bytes.inward),
            (vec![("direction", "out".to_owned())], bytes.outward),
        ];
        counter(
            encoder,
            "aire_app",
            "Bytes to (in) and from (out) the application",
            Some(&Unit::Bytes),
            both,
        )?;
        let events = Severity::ALL
            .into_iter()
            .zip(self.events.recorded)
            .map(|(severity, count)| (vec![("severity", severity.to_string())], count))
            .collect();
        counter(encoder, "aire_events", "Events recorded", None, events)?;
        let suppressed = one(self.events.suppressed);
        counter(
            encoder,
            "aire_events_suppressed",
            "Events that came too fast to be recorded",
            None,
            suppressed,
        )
    }

    fn encode_peers(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let rtts =
            self.peers.iter().filter(|peer| peer.link != Link::None).take(MAX_SERIES).filter_map(|peer| {
                let labels = vec![("peer", peer.node.to_string()), ("link", peer.link.as_str().to_owned())];
                peer.rtt_ms.map(|rtt| (labels, rtt / 1000.0))
            });
        gauge(encoder, "aire_peer_rtt", "Round trip on the link with a peer", Some(&Unit::Seconds), rtts)
    }

    fn encode_routes(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let each = |value: fn(&Route) -> Option<f64>| {
            let rows = self.routes.iter().take(MAX_SERIES);
            rows.filter_map(move |route| value(route).map(|value| (labels_of(route), value)))
        };
        let seconds = Some(Unit::Seconds);
        let rtts = each(|route| route.rtt_ms.map(|ms| ms / 1000.0));
        gauge(encoder, "aire_route_rtt", "Round trip of the way in use", seconds.as_ref(), rtts)?;
        let costs = each(|route| route.cost.map(|ms| ms / 1000.0));
        gauge(encoder, "aire_route_cost", "Predicted cost of the way in use", seconds.as_ref(), costs)?;
        let ratios = Some(Unit::Other("ratio".to_owned()));
        let losses = each(|route| route.loss);
        gauge(encoder, "aire_route_loss", "Share of packets that vanish", ratios.as_ref(), losses)?;
        let risks = each(|route| Some(route.risk));
        gauge(encoder, "aire_route_risk", "Risk of the riskiest relay", ratios.as_ref(), risks)?;
        let rates = each(|route| route.bandwidth_mbps.map(|mbps| mbps * 125_000.0));
        let unit = Unit::Other("bytes_per_second".to_owned());
        gauge(encoder, "aire_route_bandwidth", "What one connection gets", Some(&unit), rates)
    }
}

fn labels_of(route: &Route) -> Labels {
    vec![
        ("app", route.app.to_string()),
        ("instance", route.instance.to_string()),
        ("class", route.class.to_string()),
        ("path", route.path.to_string()),
    ]
}

/// One gauge with a value for each set of labels; nothing at all where there is none.
fn gauge<N: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    values: impl IntoIterator<Item = (Labels, N)>,
) -> fmt::Result
where
    ConstGauge<N>: EncodeMetric,
{
    let values = values.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value))).collect();
    encode(encoder, name, help, unit, values)
}

/// One counter with a value for each set of labels; nothing at all where there is none.
fn counter(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    values: Vec<(Labels, u64)>,
) -> fmt::Result {
    let values = values.into_iter().map(|(labels, value)| (labels, ConstCounter::new(value))).collect();
    encode(encoder, name, help, unit, values)
}

fn encode<M: EncodeMetric>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    values: Vec<(Labels, M)>,
) -> fmt::Result {
    let Some((labels, first)) = values.first() else { return Ok(()) };
    let mut metric = encoder.encode_descriptor(name, &format!("{help}."), unit, first.metric_type())?;
    if labels.is_empty() {
        return first.encode(metric);
    }
    values.iter().try_for_each(|(labels, value)| value.encode(metric.encode_family(labels)?))
}
