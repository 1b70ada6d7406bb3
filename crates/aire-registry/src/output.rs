use aire_types::NodeName;
use aire_wire::{Message, RecordBody};

use crate::Rank;

/// What a [`crate::Registry`] wants done, or wants known.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send over the link to this node; drop it where the link is gone.
    Send {
        /// Over which link.
        to: NodeName,
        /// What.
        message: Message,
    },
    /// Sign this and hand it to [`crate::Registry::handle_signed`].
    Sign(Unsigned),
    /// A node came, or what it says about itself is different now.
    Changed {
        /// Which.
        node: NodeName,
    },
    /// A node's record expired.
    Removed {
        /// Which.
        node: NodeName,
    },
    /// A node may be gone: probe it. Nothing about it was changed.
    Suspect {
        /// Which.
        node: NodeName,
    },
    /// A record was refused. For the events: `from` is to blame, or passed on what it should have refused itself.
    Rejected {
        /// Who sent it.
        from: Option<NodeName>,
        /// Whose it claims to be, where that could be told.
        owner: Option<NodeName>,
        /// What is wrong with it.
        why: String,
    },
    /// The mesh holds a record of ours from a later run than this one: the clock went back, or the state of this node
    /// was copied. Nothing that we say is heard until [`crate::Registry::set_incarnation`] goes beyond it.
    Outrun {
        /// The rank of that record.
        rank: Rank,
    },
}

/// Our own next record, without its signature.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsigned {
    /// Incarnation and sequence.
    pub rank: Rank,
    /// Seconds that it holds.
    pub ttl_s: u64,
    /// What it says.
    pub body: RecordBody,
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages given out to be sent.
    pub messages_sent: u64,
    /// Their bytes, without what the link adds.
    pub bytes_sent: u64,
    /// Records in them.
    pub records_sent: u64,
    /// Records that came and were applied.
    pub records_applied: u64,
    /// Records that came and were known already, or older.
    pub records_old: u64,
    /// Records that were refused.
    pub records_rejected: u64,
    /// Rounds of anti-entropy that we began.
    pub syncs: u64,
}
