//! The app behind the mesh: a small HTTP/1.1 service with kept-alive connections.
//!
//! `GET /small` answers a line, `GET /blob/N` N bytes, `GET /live/N` N records at their pace; `POST /live/N` takes records
//! and answers what it saw of them.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::live;

/// The longest head of a request, bytes.
const MAX_HEAD: u64 = 16 * 1024;
/// An idle connection ends after this time.
const IDLE: Duration = Duration::from_secs(60);
const BLOCK: usize = 64 * 1024;

/// Serves on a free loopback port until the process ends.
pub(super) fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::Builder::new().name("web".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            // Without a thread the connection is closed, which its client sees.
            let _ = thread::Builder::new().name("web-client".to_owned()).spawn(move || serve(&stream));
        }
    })?;
    Ok(address)
}

/// Answers requests until the connection ends.
fn serve(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    let mut input = BufReader::new(stream);
    while let Some(request) = request(&mut input)? {
        answer(&request, &mut input, stream)?;
    }
    Ok(())
}

/// The request line; what else the head says is of no interest here. `None` at the end of the connection.
fn request(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut head = io::Read::take(input, MAX_HEAD);
    let mut first = String::new();
    if head.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut line = String::new();
    while head.read_line(&mut line)? > 2 {
        line.clear();
    }
    if head.limit() == 0 { Err(ErrorKind::InvalidData.into()) } else { Ok(Some(first)) }
}

fn answer(request: &str, input: &mut impl BufRead, mut out: &TcpStream) -> io::Result<()> {
    let mut words = request.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (place, number) = path.rsplit_once('/').unwrap_or_default();
    let number = number.parse::<u64>().ok();
    match (method, path, place, number) {
        ("GET", "/small", ..) => out.write_all(&text("200 OK", "hello from the app\n")),
        ("GET", _, "/blob", Some(bytes)) => {
            out.write_all(head("200 OK", "application/octet-stream", bytes).as_bytes())?;
            blob(out, bytes)
        }
        ("GET", _, "/live", Some(records)) => {
            let length = records.saturating_mul(live::RECORD as u64);
            out.write_all(head("200 OK", "application/octet-stream", length).as_bytes())?;
            live::send(&mut out, records)
        }
        ("POST", _, "/live", Some(records)) => {
            let receipt = live::receive(input, records);
            out.write_all(&text("200 OK", &serde_json::to_string(&receipt)?))
        }
        _ => out.write_all(&text("404 Not Found", "there is nothing here\n")),
    }
}

fn head(status: &str, kind: &str, length: u64) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n")
}

fn text(status: &str, body: &str) -> Vec<u8> {
    format!("{}{body}", head(status, "text/plain", body.len() as u64)).into_bytes()
}

fn blob(mut out: impl Write, bytes: u64) -> io::Result<()> {
    let block: Vec<u8> = (0..BLOCK).map(|i| (i as u32).wrapping_mul(0x9e37_79b1).to_le_bytes()[3]).collect();
    let mut left = bytes;
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        out.write_all(&block[..length])?;
        left -= length as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(agent: &ureq::Agent, at: SocketAddr, path: &str) -> Result<Vec<u8>, ureq::Error> {
        agent.get(format!("http://{at}{path}")).call()?.body_mut().read_to_vec()
    }

    #[test]
    fn it_answers_one_after_the_other_on_one_connection() {
        let at = start().unwrap();
        let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
        assert_eq!(get(&agent, at, "/small").unwrap(), b"hello from the app\n");
        assert_eq!(get(&agent, at, "/blob/100001").unwrap().len(), 100_001);
        let records = get(&agent, at, "/live/3").unwrap();
        assert_eq!(live::receive(&mut records.as_slice(), 3).good, 3);
        assert!(matches!(get(&agent, at, "/blob/x"), Err(ureq::Error::StatusCode(404))));
    }

    #[test]
    fn an_endless_head_ends_the_connection() {
        let long = "x: y\r\n".repeat(5000);
        let mut input = BufReader::new(format!("GET / HTTP/1.1\r\n{long}").leak().as_bytes());
        assert!(request(&mut input).is_err());
    }
}
