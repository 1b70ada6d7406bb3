//! Agents of one mesh in this process.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, SystemTime};

use aire_admin::Log;
use aire_agent::{Config, RawConfig};
use aire_identity::{Authority, Scope};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PERMIT: &str =
    r#"permit(principal == App::"client", action == Action::"connect", resource == App::"echo");"#;
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An address that is free now.
pub(crate) fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub(crate) struct Mesh {
    pub(crate) dir: tempfile::TempDir,
    authority: Authority,
    pub(crate) hub: SocketAddr,
}

impl Mesh {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("mesh");
        let authority = Authority::create(&folder, "prod".parse().unwrap(), SystemTime::now()).unwrap();
        fs::write(dir.path().join("policy.cedar"), format!("{}\n{PERMIT}", aire_policy::STARTER)).unwrap();
        Mesh { dir, authority, hub: free() }
    }

    /// Starts an agent in this process; gives the address of its admin API.
    pub(crate) fn start(&self, node: &str, listen: SocketAddr, more: &str) -> SocketAddr {
        let admin = free();
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let text = format!(
            "node = '{node}'\nlisten = '{listen}'\nadmin = '{}'\nstate = '{}'\npolicy = ['{}']\nmulticast = false\n{more}",
            admin,
            path(node),
            path("policy.cedar"),
        );
        let config = Config::resolve(RawConfig::parse(&text, "test.toml".as_ref()).unwrap()).unwrap();
        let name = node.to_owned();
        tokio::spawn(async move {
            if let Err(error) = aire_agent::run(config, Log::default()).await {
                panic!("{name}: {error}");
            }
        });
        admin
    }

    pub(crate) fn join(&self, app: &str) -> String {
        let hour = Duration::from_secs(3600);
        let seeds = vec![self.hub.to_string()];
        let scope = Scope::App(app.parse().unwrap());
        self.authority.invite(scope, hour, 1, seeds, SystemTime::now()).unwrap().reveal()
    }
}

/// What an agent answers on its admin API; nothing before it listens.
pub(crate) async fn get(admin: SocketAddr, what: &str) -> Option<String> {
    let mut answer = String::new();
    let ask = async {
        let mut stream = TcpStream::connect(admin).await?;
        let request = format!("GET /api/v1/{what} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        stream.read_to_string(&mut answer).await
    };
    ask.await.ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}
