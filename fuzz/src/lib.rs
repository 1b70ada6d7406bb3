//! Fuzz targets: every decoder, and every core under hostile input.
//!
//! A target takes bytes and panics where a promise is broken: a decoder that takes something must read what it writes,
//! cores must keep their invariants and their bounds. `cargo xtask fuzz` runs them under libFuzzer; the tests here run
//! every target on its seeds and on what is left of them after some damage, on any compiler.

mod cores;
mod decode;

/// Something to be fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As `cargo xtask fuzz` knows it.
    pub name: &'static str,
    /// Takes one input; panics where a promise is broken.
    pub run: fn(&[u8]),
    /// Good inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Bytes that it may hold while it runs.
    pub memory: usize,
}

const MIB: usize = 1 << 20;

const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>, memory: usize) -> Target {
    Target { name, run, seeds, memory }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target("frames", decode::frames::run, decode::frames::seeds, 2 * MIB),
    target("messages", decode::messages::run, decode::messages::seeds, 2 * MIB),
    target("preamble", decode::datagrams::preamble, decode::datagrams::preamble_seeds, MIB),
    target("datagram", decode::datagrams::datagram, decode::datagrams::datagram_seeds, MIB),
    target("record", decode::messages::record, decode::messages::record_seeds, MIB),
    target("request", decode::messages::request, decode::messages::request_seeds, MIB),
    target("grant", decode::messages::grant, decode::messages::grant_seeds, MIB),
    target("notice", decode::messages::notice, decode::messages::notice_seeds, 4 * MIB),
    target("records", decode::carrier::records, decode::carrier::record_seeds, 4 * MIB),
    target("link", decode::carrier::link, decode::carrier::link_seeds, 2 * MIB),
    target("tickets", decode::tickets::run, decode::tickets::seeds, 4 * MIB),
    target("flow", decode::flows::run, decode::flows::seeds, 2 * MIB),
    target("token", decode::enrolment::token, decode::enrolment::token_seeds, MIB),
    target("enrolment", decode::enrolment::messages, decode::enrolment::message_seeds, 2 * MIB),
    target("csr", decode::enrolment::csr, decode::enrolment::csr_seeds, 2 * MIB),
    target("certificate", decode::enrolment::certificate, decode::enrolment::certificate_seeds, 2 * MIB),
    target("handshake", decode::handshake::run, decode::handshake::seeds, MIB),
    target(
        "configuration",
        decode::documents::configuration,
        decode::documents::configuration_seeds,
        8 * MIB,
    ),
    target("files", decode::files::run, decode::files::seeds, 4 * MIB),
    target("history", decode::history::run, decode::history::seeds, 4 * MIB),
    target("documents", decode::documents::json, decode::documents::json_seeds, 4 * MIB),
    target("model", decode::model::run, decode::model::seeds, MIB),
    target("policy-text", decode::policy::run, decode::policy::seeds, 64 * MIB),
    target("policy", cores::policy::run, cores::no_seeds, 64 * MIB),
    target("association", cores::association::run, cores::no_seeds, 16 * MIB),
    target("streams", cores::streams::run, cores::no_seeds, 32 * MIB),
    target("datagrams", cores::datagrams::run, cores::no_seeds, MIB),
    target("circuits", cores::circuits::run, cores::no_seeds, 16 * MIB),
    target("pool", cores::pool::run, cores::no_seeds, 8 * MIB),
    target("brain", cores::brain::run, cores::no_seeds, 16 * MIB),
    target("registry", cores::registry::run, cores::no_seeds, 16 * MIB),
    target("notices", cores::notices::run, cores::no_seeds, 16 * MIB),
];

/// The target of that name.
pub fn target_named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
