use std::time::Duration;

/// One way to hurt the mesh, as a row of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// Its name on the command line.
    pub name: &'static str,
    /// What happens, for people.
    pub about: &'static str,
    /// What is done.
    pub kind: FaultKind,
    /// A bulk transfer runs beside the messages.
    pub bulk: bool,
}

/// What is done to the path in use, or to the mesh around it. On a relayed path the rounds take its legs in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A leg loses everything in both directions.
    Cut,
    /// A leg loses everything towards the destination.
    CutThere,
    /// A leg loses everything towards the source.
    CutBack,
    /// The relay's agent is killed.
    Kill,
    /// The relay's agent is stopped, its sockets stay open.
    Stop,
    /// The relay's host is cut off.
    Vanish,
    /// A leg loses 30 % of its packets.
    Loss,
    /// A leg has a hundredth of its rate.
    Rate,
    /// All relays' hosts are cut off.
    AllRelays,
    /// The caller's host is cut off for [`OUTAGE`], less than the patience.
    Outage,
    /// The caller's host is cut off for longer than the patience.
    LongOutage,
    /// The caller's host gets another address.
    CallerMoves,
    /// The app's host gets another address.
    AppMoves,
    /// The relay's host gets another address.
    RelayMoves,
    /// The direct path becomes better than all others.
    Better,
}

/// How long [`FaultKind::Outage`] lasts.
pub(super) const OUTAGE: Duration = Duration::from_secs(10);

/// The caller's patience, as its configuration in the scenario has it.
const CALLERS_PATIENCE: Duration = Duration::from_secs(12);

const fn fault(name: &'static str, about: &'static str, kind: FaultKind) -> Fault {
    Fault { name, about, kind, bulk: false }
}

const fn with_bulk(name: &'static str, about: &'static str, kind: FaultKind) -> Fault {
    Fault { name, about, kind, bulk: true }
}

impl Fault {
    /// All of them, in the order of the table.
    pub const ALL: [Fault; 18] = [
        fault("cut", "silent cut of the active path", FaultKind::Cut),
        with_bulk("cut-bulk", "silent cut, a bulk transfer beside", FaultKind::Cut),
        fault("cut-there", "one-way cut towards the app", FaultKind::CutThere),
        fault("cut-back", "one-way cut towards the caller", FaultKind::CutBack),
        fault("relay-killed", "relay SIGKILL", FaultKind::Kill),
        fault("relay-stopped", "relay SIGSTOP", FaultKind::Stop),
        with_bulk("relay-stopped-bulk", "relay SIGSTOP, a bulk transfer beside", FaultKind::Stop),
        fault("relay-vanishes", "relay host vanishes", FaultKind::Vanish),
        fault("loss", "loss rises to 30 %", FaultKind::Loss),
        fault("rate", "rate falls to 1 %", FaultKind::Rate),
        with_bulk("rate-bulk", "rate falls to 1 %, a bulk transfer beside", FaultKind::Rate),
        fault("all-relays", "all relays vanish, direct is left", FaultKind::AllRelays),
        fault("relay-moves", "the relay's address changes", FaultKind::RelayMoves),
        fault("caller-moves", "the caller's address changes", FaultKind::CallerMoves),
        fault("app-moves", "the app's address changes", FaultKind::AppMoves),
        fault("better", "a better path appears", FaultKind::Better),
        fault("outage", "everything gone for 10 s: stall beyond these", FaultKind::Outage),
        fault(
            "long-outage",
            "everything gone for longer than the patience of 12 s: reset after",
            FaultKind::LongOutage,
        ),
    ];

    /// The fault of this name.
    pub fn named(name: &str) -> Option<Fault> {
        Fault::ALL.into_iter().find(|fault| fault.name == name)
    }
}

impl FaultKind {
    /// Is there a path that it leaves alone?
    pub const fn leaves_a_path(self) -> bool {
        !matches!(
            self,
            FaultKind::Outage | FaultKind::LongOutage | FaultKind::CallerMoves | FaultKind::AppMoves
        )
    }

    /// How long streams are to be held before they are reset; `None` where they are not to be reset.
    pub const fn held_for(self) -> Option<Duration> {
        match self {
            FaultKind::LongOutage => Some(CALLERS_PATIENCE),
            _ => None,
        }
    }

    /// Are streams to be reset by it?
    pub const fn resets(self) -> bool {
        self.held_for().is_some()
    }

    /// What of a stall is the fault's own.
    pub(super) const fn own(self) -> Duration {
        if matches!(self, FaultKind::Outage) { OUTAGE } else { Duration::ZERO }
    }
}
