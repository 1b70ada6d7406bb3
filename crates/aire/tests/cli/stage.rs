//! Agents and services as tests need them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use crate::program::{aire, command, done};

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Looks until `look` finds something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come about");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A running agent, killed in the end.
pub(crate) struct Agent {
    child: Child,
    pub(crate) admin: String,
}

impl Agent {
    /// Runs `aire run` and waits until the agent is ready.
    pub(crate) fn start(admin: SocketAddr, arguments: &[&str]) -> Self {
        let child = command()
            .args(["run", "--no-multicast", "--admin", &admin.to_string()])
            .args(arguments)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut agent = Agent { child, admin: admin.to_string() };
        wait_for("readiness", || {
            assert_eq!(agent.child.try_wait().unwrap(), None, "the agent ended");
            let (status, _) = get(admin, "/readyz").ok()?;
            (status == 200).then_some(())
        });
        agent
    }

    /// Open file descriptors and resident KiB of the process.
    pub(crate) fn footprint(&self) -> (usize, u64) {
        let process = format!("/proc/{}", self.child.id());
        let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let resident = resident.split_whitespace().next().unwrap().parse().unwrap();
        (std::fs::read_dir(format!("{process}/fd")).unwrap().count(), resident)
    }

    /// Asks it as an operator does.
    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        done(&[arguments, &["--admin", &self.admin]].concat())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One HTTP request on a connection of its own.
pub(crate) fn get(at: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    get_over(TcpStream::connect(at)?, path)
}

/// One HTTP request on this connection.
pub(crate) fn get_over(mut stream: TcpStream, path: &str) -> std::io::Result<(u16, String)> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    status.zip(body).ok_or_else(|| std::io::Error::other(format!("no HTTP answer: '{answer}'")))
}

/// Everything until the connection ends: in order, by a reset, or in the middle of a TLS session.
pub(crate) fn read_out(stream: &mut impl Read) -> Vec<u8> {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if !matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof) => {
            panic!("the connection does not end: {error}")
        }
        _ => answer,
    }
}

/// An HTTP service that answers every request with the same, one for each connection.
pub(crate) fn service(status: &str, body: &str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = Vec::new();
            let mut block = [0; 1024];
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read(&mut block) {
                    Ok(bytes) if bytes > 0 => request.extend_from_slice(&block[..bytes]),
                    _ => break,
                }
            }
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}
