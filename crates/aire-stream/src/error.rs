use aire_wire::{ResetCode, StreamId};

/// The peer broke the protocol. Close the carrier with a protocol error; the association cannot be trusted any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// More data than the credit that it was given.
    #[error("the peer sent byte {end} of stream {stream} but has credit for {limit}")]
    Credit {
        /// The stream.
        stream: StreamId,
        /// Where its bytes end.
        end: u64,
        /// Where its credit ends.
        limit: u64,
    },
    /// Data behind the end, or a second, different end.
    #[error("the peer contradicts itself about the end of stream {0}")]
    FinalSize(StreamId),
    /// An acknowledgement of what was never sent.
    #[error("the peer acknowledges what was never sent on stream {0}")]
    StreamAck(StreamId),
    /// A CARRIER_ACK beyond what was sent.
    #[error("the peer acknowledges {acked} bytes of a carrier that sent {sent}")]
    CarrierAck {
        /// What it says.
        acked: u64,
        /// What was sent.
        sent: u64,
    },
    /// A frame for a stream that was never opened.
    #[error("the peer speaks of stream {0}, which was never opened")]
    UnknownStream(StreamId),
    /// A frame that only the other side may send.
    #[error("the peer sent {0}, which its side may not")]
    WrongSide(&'static str),
    /// JOIN or JOINED where the carrier has long joined.
    #[error("the peer sent {0} in the middle of a carrier")]
    Unexpected(&'static str),
    /// Bytes in so many pieces that no sender would have made them.
    #[error("the peer sent stream {0} in too many pieces")]
    Fragments(StreamId),
    /// Streams opened far beyond the refusals, or their numbers skipped.
    #[error("the peer opens streams far beyond the limit")]
    TooManyStreams,
}

/// Why no stream can be opened. The limit is this machine's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenRefused {
    /// Only the source opens streams: a bug in the caller.
    #[error("only the source of an association opens streams")]
    NotTheSource,
    /// As many streams as the configuration allows.
    #[error("the association already has {0} streams; raise the limit or open fewer connections")]
    TooMany(usize),
}

/// Why a stream takes no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// It was reset; the bytes written before may not have arrived.
    #[error("stream {0}: {1}")]
    Reset(StreamId, ResetCode),
    /// It ended, or never was.
    #[error("stream {0} is not open")]
    Unknown(StreamId),
    /// Written after `finish`: a bug in the caller.
    #[error("stream {0} was already finished")]
    Finished(StreamId),
    /// More than `writable` allowed: a bug in the caller.
    #[error("stream {0} takes {1} bytes now")]
    Full(StreamId, usize),
}
