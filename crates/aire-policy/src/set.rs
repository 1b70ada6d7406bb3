use cedar_policy::{Authorizer, Decision, Effect, PolicyId, PolicySet as CedarSet, Template, ValidationMode};

use crate::finding::Text;
use crate::lint::lint;
use crate::request::Vocabulary;
use crate::schema::validator;
use crate::{Finding, PolicyErrors, Request, Severity, Verdict, Version};

/// Policies from one or more texts, parsed and validated.
#[derive(Clone, Debug)]
pub struct PolicySet {
    cedar: CedarSet,
    /// `FILE:LINE` by number; a policy's id in `cedar` is its number here.
    places: Vec<String>,
    warnings: Vec<Finding>,
    version: Version,
    vocabulary: Vocabulary,
}

impl PolicySet {
    /// Parses and validates `sources`, pairs of name and text. No sources make a set that permits nothing.
    ///
    /// # Errors
    /// All that is wrong in all texts, in order; one bad text spoils the set, so that no half of a change is used.
    pub fn parse(sources: &[(String, String)]) -> Result<Self, PolicyErrors> {
        let mut cedar = CedarSet::new();
        let mut places = Vec::new();
        let mut findings = Vec::new();
        for (name, text) in sources {
            let text = Text { name, text };
            match parse_text(text) {
                Err(found) => findings.extend(found),
                Ok((parsed, found)) => {
                    findings.extend(found);
                    for (offset, policy) in in_order(&parsed) {
                        let policy = policy.new_id(PolicyId::new(places.len().to_string()));
                        if let Err(error) = cedar.add(policy) {
                            findings.push(text.finding(offset, Severity::Error, error.to_string()));
                        }
                        places.push(format!("{name}:{}", text.position(offset).0));
                    }
                }
            }
        }
        let (errors, warnings): (Vec<_>, Vec<_>) =
            findings.into_iter().partition(|finding| finding.severity == Severity::Error);
        if !errors.is_empty() {
            return Err(PolicyErrors(errors));
        }
        let parts = sources.iter().flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]);
        Ok(PolicySet { cedar, places, warnings, version: Version::of(parts), vocabulary: Vocabulary::new() })
    }

    /// Changes whenever a name or a text does.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What its author should look at, though it is used.
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }

    /// How many policies it holds.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Holds none, so it permits nothing?
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The verdict of these policies alone.
    pub fn evaluate(&self, request: &Request) -> Verdict {
        let (question, entities) = match self.vocabulary.translate(request) {
            Ok(translated) => translated,
            Err(error) => return Verdict::denied(format!("cannot be asked, a bug: {error}"), Vec::new()),
        };
        let response = Authorizer::new().is_authorized(&question, &self.cedar, &entities);
        let mut errors = response.diagnostics().errors().map(|error| {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
            (self.place(error.policy_id()), error.inner().to_string())
        });
        if let Some((place, why)) = errors.next() {
            return Verdict::denied(format!("the policy at {place} cannot be evaluated: {why}"), vec![place]);
        }
        let mut numbers: Vec<usize> = response.diagnostics().reason().filter_map(number).collect();
        numbers.sort_unstable();
        let places: Vec<String> = numbers.iter().filter_map(|n| self.places.get(*n).cloned()).collect();
        match response.decision() {
            Decision::Allow => Verdict::allowed(format!("permitted by {}", places.join(", ")), places),
            Decision::Deny if places.is_empty() => Verdict::denied(
                format!("no policy permits {request}; add: {}", request.permit_line()),
                places,
            ),
            Decision::Deny => Verdict::denied(format!("forbidden by {}", places.join(", ")), places),
        }
    }

    fn place(&self, id: &PolicyId) -> String {
        number(id).and_then(|n| self.places.get(n).cloned()).unwrap_or_else(|| id.to_string())
    }
}

fn number(id: &PolicyId) -> Option<usize> {
    id.to_string().parse().ok()
}

/// Everything that is wrong with one policy text, in order of lines; empty when it is good.
pub fn check(name: &str, text: &str) -> Vec<Finding> {
    let mut findings = match parse_text(Text { name, text }) {
        Err(found) => found,
        Ok((_, found)) => found,
    };
    findings.sort_by_key(|finding| (finding.line, finding.column));
    findings
}

/// The policies of one text with Cedar's own ids, and what validation found; or the syntax errors.
fn parse_text(text: Text<'_>) -> Result<(CedarSet, Vec<Finding>), Vec<Finding>> {
    if let Some((offset, message)) = crate::limits::exceeded(text.text) {
        return Err(vec![text.finding(offset, Severity::Error, message)]);
    }
    let set: CedarSet = text.text.parse().map_err(|errors: cedar_policy::ParseErrors| {
        errors.iter().map(|e| text.diagnostic(e, None, text.text.len(), Severity::Error)).collect::<Vec<_>>()
    })?;
    let mut findings: Vec<Finding> = set.templates().map(|t| template_finding(text, t)).collect();
    let start = |id: &PolicyId| set.policy(id).map_or(0, offset);
    let validation = validator().validate(&set, ValidationMode::Strict);
    findings.extend(validation.validation_errors().map(|error| {
        let id = error.policy_id();
        text.diagnostic(error, Some(id), start(id), Severity::Error)
    }));
    // What follows from an error, such as "never applies", would only hide it.
    let broken: Vec<&PolicyId> = validation.validation_errors().map(|error| error.policy_id()).collect();
    let warnings = validation.validation_warnings().filter(|warning| !broken.contains(&warning.policy_id()));
    findings.extend(warnings.map(|warning| {
        let id = warning.policy_id();
        text.diagnostic(warning, Some(id), start(id), Severity::Warning)
    }));
    for (offset, policy) in in_order(&set) {
        let found = match policy.to_json() {
            Ok(json) => lint(&json),
            Err(error) => vec![error.to_string()],
        };
        findings.extend(found.into_iter().map(|message| text.finding(offset, Severity::Error, message)));
    }
    Ok((set, findings))
}

/// Nothing fills a template's slots, so it would never apply.
fn template_finding(text: Text<'_>, template: &Template) -> Finding {
    let effect = match template.effect() {
        Effect::Permit => "permit",
        Effect::Forbid => "forbid",
    };
    let offset = template.as_ref().loc().map_or(0, |loc| loc.start());
    let message = format!("this {effect} has a slot such as ?principal; write the entity itself");
    text.finding(offset, Severity::Error, message)
}

fn offset(policy: &cedar_policy::Policy) -> usize {
    policy.as_ref().loc().map_or(0, |loc| loc.start())
}

fn in_order(set: &CedarSet) -> Vec<(usize, cedar_policy::Policy)> {
    let mut policies: Vec<_> = set.policies().map(|policy| (offset(policy), policy.clone())).collect();
    policies.sort_by_key(|(offset, _)| *offset);
    policies
}
