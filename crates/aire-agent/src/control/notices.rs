use std::collections::BTreeSet;

use aire_registry::NoticeOutput;
use aire_types::{NodeName, Time};
use aire_wire::{Notice, NoticeKind, NoticeVersions, Subject};

use super::{Control, Effect};
use crate::happening::{Happening, Kind};

impl Control {
    /// Takes what an earlier run kept.
    pub(crate) fn restore_notice(&mut self, notice: Notice) {
        self.notices.restore(notice);
    }

    /// Is the signature of this notice worth checking? `from` is `None` for the authority's folder.
    pub(crate) fn wants_notice(&mut self, now: Time, from: Option<&NodeName>, notice: &Notice) -> bool {
        let wants = self.notices.wants(now, from, notice);
        self.pump(now);
        wants
    }

    /// A notice whose signature was looked at.
    pub(crate) fn handle_notice(
        &mut self,
        now: Time,
        from: Option<&NodeName>,
        notice: Notice,
        genuine: Result<(), String>,
    ) {
        match genuine {
            Ok(()) => self.notices.handle_notice(now, from, notice),
            Err(why) => self.notices.handle_forgery(from, notice.kind, notice.version, why),
        }
        self.pump(now);
    }

    /// The notice in force.
    pub(crate) fn notice(&self, kind: NoticeKind) -> Option<&Notice> {
        self.notices.held(kind)
    }

    /// The versions in force.
    pub(crate) fn notice_versions(&self) -> NoticeVersions {
        self.notices.versions()
    }

    pub(super) fn pump_notices(&mut self) -> bool {
        let mut quiet = true;
        while let Some(output) = self.notices.poll_output() {
            quiet = false;
            match output {
                NoticeOutput::Send { to, message } => {
                    self.send(&to, &message);
                }
                NoticeOutput::Adopted(_) => self.effects.push(Effect::NoticeAdopted),
                NoticeOutput::Refused { from, kind, version, why } => {
                    let whose = from.as_ref().map_or("the authority's folder", |from| from.as_str());
                    let text = format!("a notice of {whose} ({kind} {version}) was refused: {why}");
                    let happening = Happening::new(Kind::NoticeRejected, text);
                    self.tell(match &from {
                        Some(from) => happening.peer(from),
                        None => happening,
                    });
                }
            }
        }
        quiet
    }

    /// Somebody was revoked: circuits, records and links that concern them end. Links last, as the news of it is on
    /// its way over them.
    pub(crate) fn revoke(&mut self, now: Time, mut subjects: BTreeSet<Subject>) {
        let trust = self.membership.trust();
        let members = self.registry.members().map(|member| &member.identity);
        let linked = self.links.iter().map(|(_, link)| &link.peer().identity);
        let nodes = members.chain(linked).filter(|identity| trust.revoked(identity).is_some());
        // A relay may serve a revoked app, and circuits know their relays by name only.
        subjects.extend(nodes.map(|identity| Subject::Node(identity.node.clone())).collect::<Vec<_>>());
        self.circuits.revoke(&subjects);
        for subject in &subjects {
            let Subject::Node(node) = subject else { continue };
            if *node == self.node {
                continue;
            }
            self.topology_is_old |= self.registry.expel(node);
            self.dialler.forget(node);
            if let Some(link) = self.links.get(node).cloned() {
                self.effects.push(Effect::CloseLink { link, why: format!("{node} was revoked") });
            }
        }
        self.pump(now);
    }
}
