//! What operators are told of, before it becomes an event.

use aire_types::{AppName, NodeName};

/// How much an operator minds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Info,
    Warning,
}

macro_rules! kinds {
    ($($kind:ident = $text:literal $weight:ident),+ $(,)?) => {
        /// What kind of thing happened. The texts are what scripts filter by.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind { $($kind,)+ }

        impl Kind {
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Kind::$kind => $text,)+ }
            }

            pub(crate) const fn weight(self) -> Weight {
                match self { $(Kind::$kind => Weight::$weight,)+ }
            }
        }
    };
}

kinds! {
    Started = "started" Info,
    Draining = "draining" Info,
    LinkUp = "link-up" Info,
    LinkDown = "link-down" Info,
    NodeGone = "node-gone" Info,
    RecordRejected = "record-rejected" Warning,
    MessageRejected = "message-rejected" Warning,
    StrangerRejected = "stranger-rejected" Warning,
    Outrun = "outrun" Warning,
    CircuitRefused = "circuit-refused" Warning,
    CircuitDenied = "circuit-denied" Warning,
    CircuitClosed = "circuit-closed" Info,
    CarrierFailed = "carrier-failed" Warning,
    PathPreferred = "path-preferred" Info,
    PathSilent = "path-silent" Info,
    PathAnswering = "path-answering" Info,
    PathLeft = "path-left" Info,
    PathMoved = "path-moved" Info,
    PinUnusable = "pin-unusable" Warning,
    AddressChanged = "address-changed" Info,
    NoPath = "no-path" Warning,
    NoInstance = "no-instance" Warning,
    FlowRefused = "flow-refused" Warning,
    StreamDenied = "stream-denied" Warning,
    StreamReset = "stream-reset" Info,
    TargetFailed = "target-failed" Warning,
    PolicyLoaded = "policy-loaded" Info,
    PolicyInvalid = "policy-invalid" Warning,
    ModelLoaded = "model-loaded" Info,
    ModelRefused = "model-refused" Warning,
    CertificateRenewed = "certificate-renewed" Info,
    CertificateExpired = "certificate-expired" Warning,
    NoticeRejected = "notice-rejected" Warning,
    Revoked = "revoked" Warning,
    Reinstated = "reinstated" Info,
    RenewalFailed = "renewal-failed" Warning,
    Enrolled = "enrolled" Info,
    EnrolmentRefused = "enrolment-refused" Warning,
    Listener = "listener" Warning,
    Discovery = "discovery" Warning,
    HistoryFailed = "history-failed" Warning,
    HistoryResumed = "history-resumed" Info,
    Machine = "machine" Warning,
    Bug = "bug" Warning,
}

/// Something that an operator may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Happening {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    pub(crate) peer: Option<String>,
    pub(crate) app: Option<String>,
}

impl Happening {
    pub(crate) fn new(kind: Kind, text: String) -> Self {
        Happening { kind, text, peer: None, app: None }
    }

    /// Which node it is about.
    #[must_use]
    pub(crate) fn peer(mut self, node: &NodeName) -> Self {
        self.peer = Some(node.to_string());
        self
    }

    /// Which address it is about, where the node is not known.
    #[must_use]
    pub(crate) fn address(mut self, address: std::net::SocketAddr) -> Self {
        self.peer = Some(address.to_string());
        self
    }

    /// Which app it is about.
    #[must_use]
    pub(crate) fn app(mut self, app: &AppName) -> Self {
        self.app = Some(app.to_string());
        self
    }
}
