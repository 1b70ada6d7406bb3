use crate::parse::socks::Code;

/// Why an arrival is turned away. Every protocol says it in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Policy does not permit it.
    #[error("policy does not let this app connect to that one; see `aire events`")]
    NotAllowed,
    /// Nobody in the mesh ever offered the app.
    #[error("no such app in the mesh; `aire apps` lists those that are known")]
    NoSuchApp,
    /// The app is known and none of its instances is there now.
    #[error("no instance of the app is running now; see `aire apps`")]
    NoInstance,
    /// There is an instance and no path leads to it.
    #[error("no path to the app works now; see `aire routes`")]
    Unreachable,
    /// The instance's agent was reached and the app itself did not take the connection.
    #[error("the app refused the connection; see that it runs at the address its agent was given")]
    TargetRefused,
    /// Nobody answered in time.
    #[error("the app did not answer in time; see `aire routes`")]
    TimedOut,
    /// This agent or the other one is about to stop.
    #[error("the agent is shutting down; try again at another one")]
    Draining,
    /// Memory or streams that this agent may use are spent.
    #[error("the agent has no room for more streams; try again later")]
    Overloaded,
}

impl Refusal {
    /// Every refusal, for tables and tests.
    pub const ALL: [Refusal; 8] = [
        Refusal::NotAllowed,
        Refusal::NoSuchApp,
        Refusal::NoInstance,
        Refusal::Unreachable,
        Refusal::TargetRefused,
        Refusal::TimedOut,
        Refusal::Draining,
        Refusal::Overloaded,
    ];

    /// One word for it, for counters.
    pub const fn word(self) -> &'static str {
        match self {
            Refusal::NotAllowed => "not_allowed",
            Refusal::NoSuchApp => "no_such_app",
            Refusal::NoInstance => "no_instance",
            Refusal::Unreachable => "unreachable",
            Refusal::TargetRefused => "target_refused",
            Refusal::TimedOut => "timed_out",
            Refusal::Draining => "draining",
            Refusal::Overloaded => "overloaded",
        }
    }

    /// The SOCKS5 reply (RFC 1928 section 6). "TTL expired" is the nearest it has to a time-out.
    pub const fn socks(self) -> Code {
        match self {
            Refusal::NotAllowed => Code::NotAllowed,
            Refusal::NoSuchApp | Refusal::NoInstance => Code::HostUnreachable,
            Refusal::Unreachable => Code::NetworkUnreachable,
            Refusal::TargetRefused => Code::ConnectionRefused,
            Refusal::TimedOut => Code::TtlExpired,
            Refusal::Draining | Refusal::Overloaded => Code::GeneralFailure,
        }
    }

    /// The HTTP status line's code and phrase.
    pub const fn http(self) -> (u16, &'static str) {
        match self {
            Refusal::NotAllowed => (403, "Forbidden"),
            Refusal::NoSuchApp => (404, "Not Found"),
            Refusal::Unreachable | Refusal::TargetRefused => (502, "Bad Gateway"),
            Refusal::NoInstance | Refusal::Draining | Refusal::Overloaded => (503, "Service Unavailable"),
            Refusal::TimedOut => (504, "Gateway Timeout"),
        }
    }
}
