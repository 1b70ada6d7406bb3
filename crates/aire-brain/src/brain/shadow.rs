//! Rule and model beside each other: each follows its own track, and the outcome of both teaches the model and its guard.

use aire_types::{Decision, Instance, Path, RouteId, Snapshot, Time};

use super::Brain;
use crate::destination::Choice;
use crate::model::{Learned, ModelFigures, Prediction};
use crate::outcome::{Tally, Tracks, Watch};

impl Brain {
    /// What people see of the model, where there is one.
    pub fn model(&mut self) -> Option<ModelFigures> {
        self.policy.learned().map(|learned| learned.figures())
    }

    /// Settles what can be settled, and follows rule and model one step further on their own tracks.
    pub(super) fn shadow(
        &mut self,
        snapshot: &Snapshot,
        instance: &Instance,
        before: Option<&Choice>,
    ) -> Tracks {
        let Some(learned) = self.policy.learned() else { return Tracks::default() };
        if snapshot.overrides.pin.is_some() {
            return Tracks::default();
        }
        let Some(destination) = self.destinations.get_mut(instance) else { return Tracks::default() };
        if let Some(watch) = destination.watch.take_if(|watch| watch.class() == snapshot.class) {
            match watch.settle(snapshot, destination) {
                Some(outcome) => learned.learn(&outcome),
                None => destination.watch = Some(watch),
            }
        }
        let (tracks, predictions) = follow(learned, snapshot, instance, before);
        // several classes take turns
        let turn = destination.watched != Some(snapshot.class) || destination.choices.len() < 2;
        if destination.watch.is_none() && turn {
            destination.watched = Some(snapshot.class);
            destination.watch = Watch::new(snapshot, &tracks, predictions);
            destination.routes.values_mut().for_each(|route| route.tally = Tally::default());
        }
        tracks
    }

    /// A model that lost its budget leaves the streams where it led them, and the rule's margin would keep them there: they go
    /// where the rule would be by itself.
    pub(super) fn return_to_rule(&self, decision: &mut Decision, before: Option<&Choice>, tracks: &Tracks) {
        let lost = !tracks.led && before.is_some_and(|choice| choice.tracks.led);
        let Some((path, _)) = tracks.rule.as_ref().filter(|_| lost && &*decision.by != "override") else {
            return;
        };
        let at = decision.ranking.iter().position(|r| r.ineligible.is_none() && r.route.path == *path);
        if let Some(at) = at.filter(|at| *at > 0) {
            decision.ranking[..=at].rotate_right(1);
            decision.propensity = 1.0;
            decision.reason =
                format!("{path}: where the rule would be without the model, which cost more than it");
        }
    }
}

/// One step of both. Where the model falls back, its track is the rule's.
fn follow(
    learned: &Learned,
    snapshot: &Snapshot,
    instance: &Instance,
    before: Option<&Choice>,
) -> (Tracks, Vec<Prediction>) {
    let mut tracks = before.map(|choice| choice.tracks.clone()).unwrap_or_default();
    // who decides is where the streams are: margin, dwell and herd control hold for it and not for the other
    if let Some((route, since)) = &snapshot.current {
        let track = if tracks.led { &mut tracks.model } else { &mut tracks.rule };
        *track = Some((route.path.clone(), *since));
    }
    let step = |track: Option<(Path, Time)>, to: Option<RouteId>| match (track, to) {
        (Some((path, since)), Some(to)) if to.path == path => Some((path, since)),
        (_, Some(to)) => Some((to.path, snapshot.at)),
        (track, None) => track,
    };
    let view = seen_from(snapshot, instance, tracks.model.as_ref());
    let (model, predictions) = match learned.choice(&view) {
        Some((route, predictions)) => (Some(route), predictions),
        None => (learned.rule_choice(&view), Vec::new()),
    };
    if tracks.led && snapshot.current.is_some() {
        let rule = learned.rule_choice(&seen_from(snapshot, instance, tracks.rule.as_ref()));
        tracks.rule = step(tracks.rule, rule);
    } else {
        tracks.model = step(tracks.model, model);
    }
    tracks.led = learned.in_force();
    (tracks, predictions)
}

/// The same facts, as one who is on `track` sees them.
fn seen_from(snapshot: &Snapshot, instance: &Instance, track: Option<&(Path, Time)>) -> Snapshot {
    let route = |path: Path| RouteId { instance: instance.clone(), path };
    let current = track.map(|(path, since)| (route(path.clone()), *since));
    Snapshot { current, hold_until: Time::ZERO, ..snapshot.clone() }
}
