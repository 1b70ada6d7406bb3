/// What `/` shows: a list of the API, without scripts.
pub(crate) const INDEX: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>AIRE agent</title>
<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:48rem;padding:0 1rem}code{font-size:.95em}</style>
<h1>AIRE agent</h1>
<p>The same documents as <code>aire … --json</code>:</p>
<ul>
<li><a href="/api/v1/status">/api/v1/status</a>: this agent at a glance
<li><a href="/api/v1/peers">/api/v1/peers</a>: other agents
<li><a href="/api/v1/apps">/api/v1/apps</a>: apps and their instances
<li><a href="/api/v1/routes">/api/v1/routes</a>: the ways in use and the candidates of each
<li><a href="/api/v1/streams">/api/v1/streams</a>: open application connections
<li><a href="/api/v1/events">/api/v1/events</a>: what happened, one per line (<code>?since=CURSOR</code>, <code>?follow=true</code>)
<li><a href="/api/v1/doctor">/api/v1/doctor</a>: what the agent finds when it looks at itself and its network
<li><a href="/api/v1/config">/api/v1/config</a>: the configuration in force, without secrets
<li><a href="/api/v1/log">/api/v1/log</a>: the last lines of the log, as text
<li><code>/api/v1/explain/APP</code>: why this way
<li><code>/api/v1/ping/APP?via=NODE,NODE</code>: measure a way
<li><code>GET, PUT /api/v1/profile</code>: the app's profile
<li><code>PUT, DELETE /api/v1/apps/APP/override</code>: pin, avoid, prefer, direct-only
<li><code>POST /api/v1/drain</code>: finish and stop
</ul>
<p>For machines: <a href="/metrics">/metrics</a> (Prometheus), <a href="/healthz">/healthz</a>, <a href="/readyz">/readyz</a>.</p>
</html>
"#;
