use aire_types::{Class, Instance, NodeName, Path, RouteId};

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send one probe along a route. Answer with `handle_echo`, or with `handle_unsent` where it could not leave.
    Probe {
        /// Names the probe.
        id: u64,
        /// Along which route; a circuit has to be negotiated where there is none.
        route: RouteId,
    },
    /// Measure the round trip to a node that is a landmark, by a link or however; answer with `handle_leg`, or not at all.
    Measure {
        /// Which.
        node: NodeName,
    },
    /// The best path or the standby changed: ask `rank_paths` again.
    Rerank {
        /// To which instance.
        instance: Instance,
        /// For which class.
        class: Class,
    },
    /// Something that people want to know.
    Event(Event),
}

/// Something that people want to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Another path is preferred.
    Preferred {
        /// For which class.
        class: Class,
        /// Instead of which route.
        from: Option<RouteId>,
        /// Which route.
        to: RouteId,
        /// Why.
        reason: String,
    },
    /// A route does not answer any more.
    Silent {
        /// Which.
        route: RouteId,
    },
    /// A silent route answers again.
    Answering {
        /// Which.
        route: RouteId,
    },
    /// The path that the user pinned cannot be used, and nothing else may be.
    PinUnusable {
        /// To which instance.
        instance: Instance,
        /// What is wrong with it.
        reason: String,
    },
}

/// Paths to one instance for the circuit pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RankedPaths {
    /// Usable paths, best first. Empty means: keep what is in use.
    pub paths: Vec<Path>,
    /// Where to go when the first fails: shares no relay with it. `None` where there is no such path.
    pub standby: Option<Path>,
    /// Best first: not usable because they do not answer, or did not a moment ago. Nothing else speaks against them.
    pub silent: Vec<Path>,
}
