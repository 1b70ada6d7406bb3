use std::fmt;

use aire_types::{AppName, Class, Identity, NodeName, Role};
use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request as CedarRequest,
    RestrictedExpression,
};

/// Risk in steps that a verdict can be cached for.
///
/// Rounded up to a multiple of 50 per mille, so that a policy never sees less risk than there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RiskBand(u8);

impl RiskBand {
    /// No risk.
    pub const NONE: RiskBand = RiskBand(0);
    /// Per mille in one band.
    const WIDTH: u16 = 50;

    /// The band of a risk from 0 (none) to 1 (hostile). What is not a number counts as hostile.
    pub fn of(risk: f64) -> Self {
        if risk.is_nan() {
            return RiskBand(20);
        }
        // Without the small slack 0.15 × 20 would round up to 4 bands.
        RiskBand(((risk.clamp(0.0, 1.0) * 20.0 - 1e-6).ceil()) as u8)
    }

    /// The upper end of the band, per mille, 0 to 1000.
    pub const fn per_mille(self) -> u16 {
        self.0 as u16 * Self::WIDTH
    }
}

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Call an instance of an app.
    Connect {
        /// The app.
        app: AppName,
        /// The node of the instance.
        node: NodeName,
        /// The class of the stream or circuit.
        class: Class,
    },
    /// Lead a circuit over a relay.
    Relay {
        /// The relay.
        node: NodeName,
        /// The app at the end of the circuit; `None` where the end serves no app.
        destination: Option<AppName>,
        /// The class of the circuit.
        class: Class,
    },
}

/// One question: may this identity do that?
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request {
    /// Who asks, as its certificate says. For a relay: the source of the circuit, not the hop before.
    pub principal: Identity,
    /// What it wants.
    pub action: Action,
    /// How risky it is at the moment.
    pub risk: RiskBand,
}

impl Request {
    /// The policy line that would permit exactly this principal, action and resource.
    pub fn permit_line(&self) -> String {
        let (action, resource) = match &self.action {
            Action::Connect { app, .. } => ("connect", format!("App::\"{app}\"")),
            Action::Relay { node, .. } => ("relay", format!("Node::\"{node}\"")),
        };
        let principal = principal_text(&self.principal);
        format!("permit(principal == {principal}, action == Action::\"{action}\", resource == {resource});")
    }
}

/// As in "App::"client" on n1 to connect to App::"echo" on n2".
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} to ", principal_text(&self.principal), self.principal.node)?;
        match &self.action {
            Action::Connect { app, node, .. } => write!(f, "connect to App::\"{app}\" on {node}"),
            Action::Relay { node, destination: Some(app), .. } => {
                write!(f, "relay over Node::\"{node}\" to App::\"{app}\"")
            }
            Action::Relay { node, destination: None, .. } => write!(f, "relay over Node::\"{node}\""),
        }
    }
}

fn principal_text(identity: &Identity) -> String {
    match &identity.role {
        Role::App(app) => format!("App::\"{app}\""),
        Role::Relay => format!("Node::\"{}\"", identity.node),
    }
}

/// Stands for an app where there is none; no name may be `-`.
const NO_APP: &str = "-";

/// Cedar's entity type names; parsed once per policy set.
#[derive(Clone, Debug)]
pub(crate) struct Vocabulary {
    app: EntityTypeName,
    node: EntityTypeName,
    action: EntityTypeName,
}

impl Vocabulary {
    pub(crate) fn new() -> Self {
        let name = |text: &str| text.parse().expect("invariant: a constant identifier is a type name");
        Vocabulary { app: name("App"), node: name("Node"), action: name("Action") }
    }

    fn app(&self, app: Option<&AppName>) -> EntityUid {
        uid(&self.app, app.map_or(NO_APP, AppName::as_str))
    }

    /// The request and the one entity that has attributes, in Cedar's terms.
    ///
    /// # Errors
    /// Cedar refuses them; a bug, as the schema is ours.
    pub(crate) fn translate(&self, request: &Request) -> Result<(CedarRequest, Entities), String> {
        let principal = match &request.principal.role {
            Role::App(app) => self.app(Some(app)),
            Role::Relay => uid(&self.node, request.principal.node.as_str()),
        };
        let (action, resource, class) = match &request.action {
            Action::Connect { app, class, .. } => ("connect", self.app(Some(app)), class),
            Action::Relay { node, class, .. } => ("relay", uid(&self.node, node.as_str()), class),
        };
        let mut pairs = vec![
            ("class".to_owned(), text(class.as_str())),
            ("risk".to_owned(), RestrictedExpression::new_long(request.risk.per_mille().into())),
        ];
        match &request.action {
            Action::Connect { node, .. } => pairs.push(("node".to_owned(), text(node.as_str()))),
            Action::Relay { destination, .. } => {
                let source = self.app(request.principal.app());
                let destination = self.app(destination.as_ref());
                pairs.push(("source".to_owned(), RestrictedExpression::new_entity_uid(source)));
                pairs.push(("destination".to_owned(), RestrictedExpression::new_entity_uid(destination)));
            }
        }
        let attributes = [
            ("mesh".to_owned(), text(request.principal.mesh.as_str())),
            ("node".to_owned(), text(request.principal.node.as_str())),
        ];
        let entity = Entity::new(principal.clone(), attributes.into(), Default::default());
        let entities = Entities::from_entities([entity.map_err(|e| e.to_string())?], None);
        let context = Context::from_pairs(pairs).map_err(|e| e.to_string())?;
        let schema = crate::schema::validator().schema();
        let request =
            CedarRequest::new(principal, uid(&self.action, action), resource, context, Some(schema));
        Ok((request.map_err(|e| e.to_string())?, entities.map_err(|e| e.to_string())?))
    }
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn risk_is_rounded_up_and_never_off_the_scale() {
        for (risk, per_mille) in [
            (0.0, 0),
            (0.001, 50),
            (0.05, 50),
            (0.15, 150),
            (0.1501, 200),
            (0.6, 600),
            (0.999, 1000),
            (1.0, 1000),
            (7.0, 1000),
            (-1.0, 0),
            (f64::NAN, 1000),
            (f64::INFINITY, 1000),
            (f64::NEG_INFINITY, 0),
        ] {
            assert_eq!(RiskBand::of(risk).per_mille(), per_mille, "{risk}");
        }
    }
}
