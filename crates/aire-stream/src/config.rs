use aire_wire::{INITIAL_CREDIT, MAX_DATA};

/// Bytes that every stream may have in memory in each direction, whatever the budget says.
pub const GUARANTEE: usize = INITIAL_CREDIT as usize;

/// Which end of an association this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It calls: opens streams and carriers and names the preferred carrier.
    Source,
    /// It is called.
    Destination,
}

/// What an association may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which end this is.
    pub side: Side,
    /// The most bytes that one stream holds in one direction, guarantee included; at least [`GUARANTEE`].
    pub stream_max: usize,
    /// Bytes that an application may write ahead of what was sent, where the budget allows it.
    pub send_ahead: usize,
    /// Streams at a time; more are refused.
    pub max_streams: usize,
    /// Application bytes in one DATA frame; at most [`MAX_DATA`].
    pub max_frame: usize,
}

impl Config {
    /// The defaults of an agent.
    pub const fn new(side: Side) -> Self {
        Config {
            side,
            stream_max: 8 * 1024 * 1024,
            send_ahead: 512 * 1024,
            max_streams: 65_536,
            max_frame: 64 * 1024,
        }
    }

    pub(crate) fn bounded(mut self) -> Self {
        self.stream_max = self.stream_max.max(GUARANTEE);
        self.send_ahead = self.send_ahead.max(GUARANTEE);
        self.max_frame = self.max_frame.clamp(1024, MAX_DATA);
        self
    }
}
