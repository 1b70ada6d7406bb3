use std::fmt;

macro_rules! code {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $value:literal => $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
        }

        impl $name {
            /// The byte on the wire.
            pub const fn to_byte(self) -> u8 {
                match self { $($name::$variant => $value,)+ }
            }

            /// From the byte on the wire; `None` for a code of a later version.
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($value => Some($name::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($name::$variant => $text,)+ })
            }
        }
    };
}

code! {
    /// Why a stream was reset.
    ResetCode {
        /// An application reset its connection.
        Application = 0 => "reset by the application",
        /// Policy at the destination does not allow it.
        NotAllowed = 1 => "not allowed by policy",
        /// The destination does not serve this app.
        NoSuchApp = 2 => "no such app there",
        /// The app's target refused the connection.
        TargetRefused = 3 => "the target refused the connection",
        /// The app's target did not answer.
        TargetTimedOut = 4 => "the target did not answer",
        /// The peer came back without memory of its streams.
        PeerRestarted = 5 => "the peer restarted",
        /// No path for longer than streams wait.
        NoPath = 6 => "no path for too long",
        /// The agent is shutting down.
        Draining = 7 => "the agent is draining",
        /// A policy change no longer allows it.
        PolicyChanged = 8 => "a changed policy no longer allows it",
        /// A limit of an agent was reached.
        Limit = 9 => "a limit was reached",
        /// The peer broke the protocol.
        Protocol = 10 => "the peer broke the protocol",
        /// The identity of one of its ends was revoked.
        Revoked = 11 => "the identity of one end was revoked",
    }
}

code! {
    /// Why a carrier was closed in order.
    CarrierClose {
        /// Nothing more to carry.
        Done = 0 => "done",
        /// Policy does not allow the peer.
        NotAllowed = 1 => "not allowed by policy",
        /// The peer broke the protocol.
        Protocol = 2 => "protocol error",
        /// The incarnation that the peer means is gone.
        Restarted = 3 => "restarted",
        /// The agent is shutting down.
        Draining = 4 => "draining",
        /// The peer's identity was revoked.
        Revoked = 5 => "revoked",
        /// A limit of the agent was reached.
        Limit = 6 => "limit reached",
        /// The certificate of one of its ends ran out.
        Expired = 7 => "a certificate ran out",
    }
}

code! {
    /// What a notice of the authority is about.
    NoticeKind {
        /// The mesh's policies.
        Policy = 1 => "policy",
        /// Whose certificates do not count any more.
        Revocations = 2 => "revocations",
    }
}

code! {
    /// Why a circuit was refused.
    RefusalCode {
        /// Policy of the hop.
        Policy = 1 => "not allowed by policy",
        /// No capacity left.
        Capacity = 2 => "no capacity left",
        /// The next hop is not linked.
        NoRoute = 3 => "no link to the next hop",
        /// The hop is shutting down.
        Draining = 4 => "draining",
        /// Signature, expiry or mesh are wrong.
        BadRequest = 5 => "bad request",
        /// The destination does not serve this app.
        NoSuchApp = 6 => "no such app there",
    }
}

code! {
    /// Why a circuit was closed.
    CircuitClose {
        /// The source has no more use for it.
        Unwanted = 1 => "no longer wanted",
        /// A changed policy.
        Policy = 2 => "not allowed by policy any more",
        /// A revoked identity.
        Revoked = 3 => "revoked",
        /// The hop is shutting down.
        Draining = 4 => "draining",
        /// The next hop is gone.
        HopGone = 5 => "the next hop is gone",
    }
}
