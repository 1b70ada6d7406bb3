//! The agent as its admin API shows it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use aire_admin::documents::{
    AppRow, Bytes, Diagnosis, Explanation, InstanceRow, Link, Model, ModelGuard, Peer, PingReport, Route,
    Status, StreamRow, Streams,
};
use aire_admin::{Answer, Control as AdminControl, Desk, Log, Problem, ProblemKind, View, ready};
use aire_brain::model::{Fallback, ModelFigures};
use aire_net::Transport;
use aire_registry::Member;
use aire_types::{AppName, AppProfile, Class, Instance, Override, Path, Role, RouteId};
use tokio::time::timeout;

use crate::agent::Agent;

/// How many probes a ping sends, and how long it waits for each.
const PINGS: usize = 5;
const PING_PATIENCE: Duration = Duration::from_secs(2);

/// The agent behind the admin API.
struct Office(Arc<Agent>);

/// All that the admin API speaks for.
pub(crate) fn desk(agent: &Arc<Agent>, log: Log) -> Desk {
    let office = Arc::new(Office(Arc::clone(agent)));
    Desk {
        view: Arc::clone(&office) as Arc<dyn View>,
        control: office,
        events: Arc::clone(&agent.events),
        metrics: Arc::clone(&agent.metrics),
        log,
    }
}

impl Office {
    fn status_now(&self) -> Status {
        let agent = &self.0;
        let identity = agent.membership.identity();
        let now = agent.clock.now();
        let links = agent.look(|control| control.links().len());
        let figures = agent.control(|_, control| control.brain().model());
        let (open_in, open_out) = agent.ledger.bytes(now);
        let totals = &agent.totals;
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let not_ready = self.not_ready(links);
        Status {
            mesh: identity.mesh.clone(),
            node: identity.node.clone(),
            id: identity.to_string(),
            role: role_text(&identity.role).to_owned(),
            app: identity.app().cloned(),
            ready: not_ready.is_empty(),
            not_ready,
            peers: links as u64,
            streams: Streams {
                open: agent.ledger.len() as u64,
                total: count(&totals.streams),
                moved: count(&totals.moved),
                reset: count(&totals.reset),
            },
            bytes: Bytes {
                inward: count(&totals.bytes_in) + open_in,
                outward: count(&totals.bytes_out) + open_out,
            },
            model: self.model(figures),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: now.as_micros() / 1_000_000,
            identity_source: agent.membership.source().as_str().to_owned(),
            identity_trouble: agent.membership.trouble(),
            svid_expires_s: i64::try_from(agent.membership.remaining(SystemTime::now()).as_secs()).ok(),
            draining: agent.is_draining(),
            revoked: agent.revoked(),
            notices: agent.look(|control| control.notice_versions()),
            listen: agent.endpoint.get().map(aire_net::Endpoint::local_addr).into_iter().collect(),
        }
    }

    fn model(&self, figures: Option<ModelFigures>) -> Model {
        let source = &self.0.model;
        let Some(figures) = figures else {
            let reason = source.refused().or_else(|| {
                let off = !self.0.config.model.enabled;
                Some(if off { "switched off by the configuration" } else { "no model is loaded" }.to_owned())
            });
            return Model {
                name: "rule".to_owned(),
                active: false,
                fallback_reason: reason,
                ..Model::default()
            };
        };
        let kinds = Fallback::KINDS.into_iter().map(str::to_owned);
        let guard = figures.guard;
        Model {
            name: figures.name,
            active: figures.active,
            fallback_reason: figures.fallback.map(|why| why.to_string()),
            summary: figures.summary,
            refused: source.refused(),
            swaps: source.swaps(),
            decisions: figures.decisions,
            fallbacks: kinds.zip(figures.fallbacks).collect(),
            guard: Some(ModelGuard {
                account: guard.account,
                needed: guard.needed,
                falls: guard.falls,
                settled: guard.settled,
                differed: guard.differed,
                margin_errors: figures.margin,
                direct_ms: guard.prices.direct,
                rule_ms: guard.prices.rule,
                model_ms: guard.prices.model,
                regret_ms: guard.regret_ms,
            }),
        }
    }

    /// An agent is ready when it can carry something: it is not on its way out, and linked unless it may be the first.
    fn not_ready(&self, links: usize) -> Vec<String> {
        let agent = &self.0;
        let mut reasons = Vec::new();
        if agent.is_draining() {
            reasons.push("draining".to_owned());
        }
        if links == 0 && agent.authority.is_none() {
            reasons.push("no other agent is linked yet".to_owned());
        }
        reasons.extend(agent.revoked());
        if agent.membership.remaining(SystemTime::now()).is_zero() {
            reasons.push("the certificate has expired".to_owned());
        }
        reasons
    }

    fn routes_now(&self, app: Option<&AppName>) -> Vec<Route> {
        let explained: Vec<_> = self.0.control(|_, control| {
            let explanations = control.brain().explanations();
            let wanted = explanations.filter(|(instance, ..)| app.is_none_or(|app| instance.app == *app));
            wanted.map(|(instance, class, explanation)| (instance.clone(), class, explanation)).collect()
        });
        let row = |(instance, class, explanation): (Instance, Class, aire_brain::Explanation)| {
            let in_use = self.0.path_in_use(&instance, class);
            let chosen = explanation.decision.choice().map(|route| route.path.clone());
            let path = in_use.clone().or_else(|| chosen.clone()).unwrap_or(Path::DIRECT);
            let failures = self.0.unopened(&instance, class);
            let mut route =
                Route::new(&RouteId { instance, path }, &explanation.snapshot, &explanation.decision);
            route.note_unopened(in_use.as_ref(), chosen.as_ref(), &failures);
            route
        };
        explained.into_iter().map(row).collect()
    }

    fn peers_now(&self) -> Vec<Peer> {
        self.0.control(|now, control| {
            let links = control.links();
            let row = |member: &Member| {
                let link = links.get(member.node());
                Peer {
                    node: member.node().clone(),
                    role: role_text(&member.identity.role).to_owned(),
                    app: member.app().cloned(),
                    link: match link.map(aire_net::Link::transport) {
                        Some(Transport::Quic) => Link::Quic,
                        Some(Transport::Tcp) => Link::Tcp,
                        None => Link::None,
                    },
                    reach: control.reach_of(member.node()),
                    rtt_ms: link.map(|link| link.stats().rtt.as_secs_f64() * 1000.0),
                    addresses: member.body.addresses.clone(),
                    zone: member.body.node.zone.clone(),
                    incarnation: member.record.incarnation,
                    age_s: now.since(member.accepted).as_secs_f64(),
                    draining: member.body.draining,
                }
            };
            control.registry().members().map(row).collect()
        })
    }

    fn apps_now(&self) -> Vec<AppRow> {
        let routes = self.routes_now(None);
        let overrides = self.0.overrides.lock().clone();
        self.0.control(|_, control| {
            let mut rows: std::collections::BTreeMap<AppName, Vec<InstanceRow>> = Default::default();
            for member in control.registry().members() {
                let Some(app) = member.app() else { continue };
                let route = routes.iter().find(|route| route.app == *app && route.instance == *member.node());
                rows.entry(app.clone()).or_default().push(InstanceRow {
                    node: member.node().clone(),
                    path: route.map(|route| route.path.clone()),
                    rtt_ms: route.and_then(|route| route.rtt_ms),
                    profile: member.body.app.clone().unwrap_or_default(),
                });
            }
            rows.into_iter()
                .map(|(app, instances)| AppRow { ordered: overrides.get(&app).cloned(), app, instances })
                .collect()
        })
    }

    fn explain_now(&self, app: &AppName) -> Option<Explanation> {
        let known = self.0.look(|control| control.registry().instances(app).next().is_some());
        if !known {
            return None;
        }
        let class = self.0.look(|control| control.class_of(app));
        let explained = self.0.control(|now, control| control.brain().explain(now, app, class));
        let mut routes = self.routes_now(Some(app));
        if routes.is_empty()
            && let Some(route) = explained.decision.choice()
        {
            routes.push(Route::new(route, &explained.snapshot, &explained.decision));
        }
        let ordered = self.0.overrides.lock().get(app).cloned();
        Some(Explanation {
            app: app.clone(),
            security: explained.snapshot.security,
            ordered,
            routes,
            notes: self.0.notes_on(app),
        })
    }

    async fn ping_app(&self, app: AppName, via: Option<Path>) -> Result<PingReport, Problem> {
        let agent = &self.0;
        let class = agent.look(|control| control.class_of(&app));
        let placed = agent.control(|now, control| control.place(now, &app, class)).ok_or_else(|| {
            let error = format!("no instance of {app} is known");
            Problem::new(ProblemKind::NotFound, error, "see 'aire apps' for what there is")
        })?;
        let path = via.or_else(|| agent.path_in_use(&placed.instance, class)).unwrap_or(placed.path);
        let route = RouteId { instance: placed.instance, path };
        let mut rtts_ms = Vec::with_capacity(PINGS);
        for _ in 0..PINGS {
            let (told, answer) = tokio::sync::oneshot::channel();
            agent.control(|now, control| control.ping(now, &route, told));
            match timeout(PING_PATIENCE, answer).await {
                Ok(Ok(Ok(rtt))) => rtts_ms.push(Some(rtt.as_secs_f64() * 1000.0)),
                Ok(Ok(Err(refusal))) => {
                    let error = format!("no circuit {} to {}: {refusal}", route.path, route.instance);
                    return Err(Problem::new(
                        ProblemKind::Forbidden,
                        error,
                        "see 'aire explain' and the policies on the way",
                    ));
                }
                Ok(Err(_)) | Err(_) => rtts_ms.push(None),
            }
        }
        Ok(PingReport::new(app, route.instance.node, route.path, rtts_ms))
    }
}

fn role_text(role: &Role) -> &'static str {
    match role {
        Role::App(_) => "app",
        Role::Relay => "relay",
    }
}

impl View for Office {
    fn status(&self) -> Answer<'_, Status> {
        ready(self.status_now())
    }

    fn peers(&self) -> Answer<'_, Vec<Peer>> {
        ready(self.peers_now())
    }

    fn apps(&self) -> Answer<'_, Vec<AppRow>> {
        ready(self.apps_now())
    }

    fn routes(&self) -> Answer<'_, Vec<Route>> {
        ready(self.routes_now(None))
    }

    fn streams(&self) -> Answer<'_, Vec<StreamRow>> {
        ready(self.0.ledger.rows(self.0.clock.now()))
    }

    fn explain(&self, app: AppName) -> Answer<'_, Option<Explanation>> {
        ready(self.explain_now(&app))
    }

    fn ping(&self, app: AppName, via: Option<Path>) -> Answer<'_, Result<PingReport, Problem>> {
        Box::pin(self.ping_app(app, via))
    }

    fn app_profile(&self) -> Answer<'_, Option<AppProfile>> {
        ready(self.0.own_record.app())
    }

    fn diagnosis(&self) -> Answer<'_, Diagnosis> {
        Box::pin(crate::inspect::diagnose_running(&self.0))
    }

    fn configuration(&self) -> Answer<'_, serde_json::Value> {
        ready(self.0.config.shown())
    }
}

impl AdminControl for Office {
    fn set_app_profile(&self, profile: AppProfile) -> Answer<'_, Result<(), Problem>> {
        if self.0.config.app.is_none() {
            let error = "this agent serves no app";
            return ready(Err(Problem::new(
                ProblemKind::Invalid,
                error,
                "set the profile at the app's own agent",
            )));
        }
        self.0.own_record.set_app(profile.clone());
        self.0.control(|now, control| {
            control.set_own_profile(now, profile.clone());
            control.set_app_profile(now, profile);
        });
        ready(Ok(()))
    }

    fn set_override(&self, app: AppName, ordered: Option<Override>) -> Answer<'_, Result<(), Problem>> {
        match &ordered {
            Some(order) => self.0.overrides.lock().insert(app.clone(), order.clone()),
            None => self.0.overrides.lock().remove(&app),
        };
        self.0.control(|now, control| control.set_override(now, &app, ordered.unwrap_or_default()));
        ready(Ok(()))
    }

    fn drain(&self) -> Answer<'_, Result<(), Problem>> {
        self.0.drain_requested.send_replace(true);
        ready(Ok(()))
    }
}

impl Agent {
    /// The path that the streams of a class to an instance go over now.
    fn path_in_use(&self, instance: &Instance, class: Class) -> Option<Path> {
        let outgoing = self.outgoing.lock().get(&(instance.clone(), class)).cloned()?;
        let mut current = None;
        outgoing.association.with_pool(|_, pool| current = pool.current().cloned());
        current
    }

    /// The paths to an instance over which no carrier of a class opens.
    fn unopened(&self, instance: &Instance, class: Class) -> Vec<(Path, String)> {
        let outgoing = self.outgoing.lock().get(&(instance.clone(), class)).cloned();
        outgoing.map(|outgoing| outgoing.failures()).unwrap_or_default()
    }

    /// What else is worth knowing about an app.
    fn notes_on(&self, app: &AppName) -> Vec<String> {
        let outgoing = self.all_outgoing();
        let mut notes = Vec::new();
        for held in outgoing.iter().filter(|held| held.instance.app == *app) {
            let carriers = held.association.carriers();
            let open: Vec<String> = carriers.iter().map(|(_, path)| path.to_string()).collect();
            notes.push(format!("{} {}: carriers open {}", held.instance, held.class, open.join("; ")));
            notes.extend(held.refusal().map(|why| format!("last refusal: {why}")));
            let failures = held.failures().into_iter();
            notes.extend(failures.map(|(path, why)| format!("no carrier opens {path}: {why}")));
        }
        notes
    }
}
