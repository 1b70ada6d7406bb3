use std::sync::{Arc, Weak};
use std::time::Duration;

use aire_types::Path;
use aire_wire::CircuitId;

use super::Outgoing;
use crate::agent::Agent;

/// Between two probes of the straight way while datagrams flow.
const PROBE: Duration = Duration::from_millis(100);
/// Between two looks while they do not, or while another way is better.
const LOOK: Duration = Duration::from_secs(1);
/// Flows that were quiet for so long are not worth many probes.
const QUIET: Duration = Duration::from_secs(2);

/// Datagrams may go where no carrier opens.
impl Outgoing {
    /// A flow was opened: while there are any, and the straight way is the best and has no carrier, it is probed.
    pub(crate) fn seek_shortcut(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if state.seeking.is_none() {
            state.seeking =
                Some(tokio::spawn(Arc::clone(self).seek(Weak::clone(&self.agent))).abort_handle());
        }
    }

    async fn seek(self: Arc<Self>, agent: Weak<Agent>) {
        let route = self.route(Path::DIRECT);
        loop {
            let Some(agent) = agent.upgrade() else { return };
            if self.is_without_flows() {
                return;
            }
            let wanted = self.association.wants_shortcut();
            if wanted {
                agent.control(|now, control| control.sound(now, &route));
            } else {
                self.association.leave_shortcut(None);
            }
            drop(agent);
            let busy = wanted && self.association.quiet_for() < QUIET;
            tokio::time::sleep(if busy { PROBE } else { LOOK }).await;
        }
    }

    /// Ends the search where nobody is left that it serves. The next flow begins another one.
    fn is_without_flows(self: &Arc<Self>) -> bool {
        if self.association.has_flows() {
            return false;
        }
        self.state.lock().seeking = None;
        self.association.leave_shortcut(None);
        // It found a search under way.
        if self.association.has_flows() {
            self.seek_shortcut();
        }
        true
    }

    /// The destination answered a probe along `circuit`.
    pub(crate) fn handle_echo(&self, agent: &Arc<Agent>, path: &Path, circuit: CircuitId) {
        let seeking = self.state.lock().seeking.is_some();
        if seeking && path.is_direct() && self.association.wants_shortcut() {
            self.association.shorten(agent, circuit, &self.instance.node);
        }
    }
}
