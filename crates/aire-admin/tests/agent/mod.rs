//! An agent that only exists for these tests, and a client that says exactly what it is told to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use aire_admin::documents::{
    AppRow, Bytes, Diagnosis, Explanation, Finding, InstanceRow, Link, Model, Peer, PingReport, Reach, Route,
    Status, StreamRow, Streams,
};
use aire_admin::{
    Answer, Control, Desk, Events, Log, Metrics, Problem, ProblemKind, Server, ServerLimits, View, ready,
};
use aire_types::{
    AppName, AppProfile, Class, Incarnation, MeshName, NodeName, Override, Path, Protocol, SecurityLevel,
};
use parking_lot::Mutex;

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn app(name: &str) -> AppName {
    AppName::new(name).unwrap()
}

pub(crate) fn node(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

/// What the API made the agent do.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    pub(crate) state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) ready: bool,
    pub(crate) stuck: bool,
    pub(crate) profile: Option<AppProfile>,
    pub(crate) overrides: Vec<(AppName, Option<Override>)>,
    pub(crate) draining: bool,
}

impl View for Fake {
    fn status(&self) -> Answer<'_, Status> {
        if self.state.lock().stuck {
            return Box::pin(std::future::pending());
        }
        let ready_now = self.state.lock().ready;
        ready(Status {
            mesh: MeshName::new("prod").unwrap(),
            node: node("n1"),
            id: "spiffe://prod/app/web/n1".into(),
            role: "app".into(),
            app: Some(app("web")),
            ready: ready_now,
            not_ready: if ready_now { vec![] } else { vec!["no link with any peer".into()] },
            peers: 1,
            streams: Streams { open: 1, total: 7, moved: 2, reset: 0 },
            bytes: Bytes { inward: 100, outward: 200 },
            model: Model { name: "rule".into(), active: false, fallback_reason: None, ..Model::default() },
            version: "0.1.0".into(),
            uptime_s: 60,
            identity_source: "authority".to_owned(),
            identity_trouble: None,
            svid_expires_s: Some(86_000),
            revoked: None,
            notices: Default::default(),
            draining: self.state.lock().draining,
            listen: vec!["127.0.0.1:7400".parse().unwrap()],
        })
    }

    fn peers(&self) -> Answer<'_, Vec<Peer>> {
        ready(vec![Peer {
            node: node("n2"),
            role: "relay".into(),
            app: None,
            link: Link::Quic,
            reach: Reach::DialsUs,
            rtt_ms: Some(30.5),
            addresses: vec!["192.0.2.1:7400".parse().unwrap()],
            zone: "eu".into(),
            incarnation: Incarnation(5),
            age_s: 1.5,
            draining: false,
        }])
    }

    fn apps(&self) -> Answer<'_, Vec<AppRow>> {
        let instance = InstanceRow {
            node: node("n3"),
            path: Some(Path::via(node("n2"))),
            rtt_ms: None,
            profile: AppProfile::default(),
        };
        ready(vec![AppRow { app: app("echo"), instances: vec![instance], ordered: None }])
    }

    fn routes(&self) -> Answer<'_, Vec<Route>> {
        ready(vec![Route {
            app: app("echo"),
            instance: node("n3"),
            class: Class::Interactive,
            path: Path::via(node("n2")),
            rtt_ms: Some(60.0),
            loss: Some(0.01),
            bandwidth_mbps: None,
            risk: 0.1,
            cost: Some(75.0),
            reason: "30 ms less than direct".into(),
            by: "rule".into(),
            candidates: vec![],
        }])
    }

    fn streams(&self) -> Answer<'_, Vec<StreamRow>> {
        ready(vec![StreamRow {
            id: "1-7".into(),
            app: app("echo"),
            peer: node("n3"),
            class: Class::Bulk,
            protocol: Protocol::Tcp,
            path: Path::DIRECT,
            bytes_in: 1,
            bytes_out: 2,
            moves: 0,
            age_s: 0.5,
        }])
    }

    fn explain(&self, wanted: AppName) -> Answer<'_, Option<Explanation>> {
        Box::pin(async move {
            let routes = self.routes().await;
            let security = SecurityLevel::Normal;
            let explanation =
                Explanation { app: wanted.clone(), security, ordered: None, routes, notes: vec![] };
            (wanted == app("echo")).then_some(explanation)
        })
    }

    fn ping(&self, wanted: AppName, via: Option<Path>) -> Answer<'_, Result<PingReport, Problem>> {
        if wanted != app("echo") {
            return ready(Err(Problem::new(ProblemKind::NotFound, "no such app", "see `aire apps`")));
        }
        let path = via.unwrap_or_else(|| Path::via(node("n2")));
        ready(Ok(PingReport::new(wanted, node("n3"), path, vec![Some(10.0), None])))
    }

    fn app_profile(&self) -> Answer<'_, Option<AppProfile>> {
        ready(self.state.lock().profile.clone())
    }

    fn diagnosis(&self) -> Answer<'_, Diagnosis> {
        let findings = vec![Finding::ok("policy", "none")];
        ready(Diagnosis { node: node("n1"), running: true, findings })
    }

    fn configuration(&self) -> Answer<'_, serde_json::Value> {
        ready(serde_json::json!({ "node": "n1" }))
    }
}

impl Control for Fake {
    fn set_app_profile(&self, profile: AppProfile) -> Answer<'_, Result<(), Problem>> {
        self.state.lock().profile = Some(profile);
        ready(Ok(()))
    }

    fn set_override(&self, wanted: AppName, ordered: Option<Override>) -> Answer<'_, Result<(), Problem>> {
        self.state.lock().overrides.push((wanted, ordered));
        ready(Ok(()))
    }

    fn drain(&self) -> Answer<'_, Result<(), Problem>> {
        self.state.lock().draining = true;
        ready(Ok(()))
    }
}

/// A fake agent behind a real server.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) fake: Arc<Fake>,
    pub(crate) events: Arc<Events>,
    pub(crate) metrics: Arc<Metrics>,
    _runtime: tokio::runtime::Runtime,
}

pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answered {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// A failure that says what went wrong and what to do.
    pub(crate) fn is_failure(&self, status: u16) -> bool {
        let json = self.json();
        let said = |key: &str| json[key].as_str().is_some_and(|text| !text.is_empty());
        self.status == status && said("error") && said("hint")
    }
}

impl Served {
    pub(crate) fn start(limits: ServerLimits) -> Self {
        Self::start_at("127.0.0.1:0", limits)
    }

    pub(crate) fn start_at(address: &str, limits: ServerLimits) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(Server::bind(address.parse().unwrap(), limits)).unwrap();
        let address = server.address();
        let fake = Arc::new(Fake::default());
        let (events, metrics) = (Arc::new(Events::default()), Arc::new(Metrics::new()));
        let desk = Desk {
            view: Arc::<Fake>::clone(&fake),
            control: Arc::<Fake>::clone(&fake),
            events: Arc::clone(&events),
            metrics: Arc::clone(&metrics),
            log: Log::default(),
        };
        runtime.spawn(server.run(desk));
        Served { address, fake, events, metrics, _runtime: runtime }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(("127.0.0.1", self.address.port())).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// Sends exactly this and reads to the end.
    pub(crate) fn raw(&self, request: &str) -> Answered {
        let mut socket = self.connect();
        socket.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answered { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Answered {
        let (address, length) = (self.address, body.len());
        self.raw(&format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\
             {headers}\r\n{body}"
        ))
    }

    pub(crate) fn get(&self, path: &str) -> Answered {
        self.send("GET", path, "", "")
    }

    pub(crate) fn change(&self, method: &str, path: &str, body: &str) -> Answered {
        self.send(method, path, "Content-Type: application/json\r\n", body)
    }
}
