//! Expectations over reports and answers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::field;
use super::file::{Ask, Scenario};

/// What must hold of a workload's report or of an agent's answer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    /// The expectation in words.
    pub that: String,
    /// Of this workload's report, after the end.
    pub workload: Option<String>,
    /// Of the messages alone that were sent this many seconds after time zero or later; for a workload of that kind.
    pub since: Option<f64>,
    /// Of this answer.
    pub ask: Option<Ask>,
    /// When to ask, seconds after time zero; after the end where not given.
    pub at: Option<f64>,
    /// Ask again until it holds, for so many seconds.
    pub within: f64,
    /// Where in the document: keys, indices and `KEY=VALUE` joined by dots; empty for all of it.
    pub field: String,
    /// It is this.
    pub equals: Option<toml::Value>,
    /// It is not this.
    pub differs: Option<toml::Value>,
    /// It is a number less than this.
    pub below: Option<f64>,
    /// It is a number greater than this.
    pub above: Option<f64>,
    /// It is a text with this part, or a list with this element.
    pub contains: Option<String>,
}

/// What became of an expectation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The expectation in words.
    pub that: String,
    /// Whether it held.
    pub held: bool,
    /// What there was.
    pub got: String,
    /// How long it took to hold, seconds, where it was awaited.
    pub after_s: Option<f64>,
}

impl Expect {
    pub(super) fn check(&self, scenario: &Scenario) -> Result<(), String> {
        match (&self.workload, &self.ask) {
            (Some(name), None) => {
                let named = scenario.workload.iter().find(|workload| workload.name == *name);
                if named.is_none() && !scenario.watch.iter().any(|watch| watch.name == *name) {
                    return Err(format!("there is no workload '{name}'"));
                }
                if self.since.is_some() && named.is_none_or(|it| !it.kind.is_numbered()) {
                    return Err("only messages are known one by one: no 'since' here".to_owned());
                }
                if self.at.is_some() || self.within > 0.0 {
                    return Err(
                        "a workload's report is there at the end alone: no 'at', no 'within'".to_owned()
                    );
                }
            }
            (None, Some(_)) if self.since.is_some() => {
                return Err("an answer is of its moment: 'at' in place of 'since'".to_owned());
            }
            (None, Some(ask)) => scenario.agent_of(&ask.host)?,
            _ => return Err("it needs either 'workload' or 'ask'".to_owned()),
        }
        let conditions = [self.equals.is_some(), self.differs.is_some(), self.below.is_some()];
        let more = [self.above.is_some(), self.contains.is_some()];
        if !conditions.iter().chain(&more).any(|given| *given) {
            return Err("it needs 'equals', 'differs', 'below', 'above' or 'contains'".to_owned());
        }
        Ok(())
    }

    /// Whether the document is as expected, and what stands there.
    pub(super) fn holds(&self, document: &Value) -> (bool, String) {
        let Some(found) = field::find(document, &self.field) else {
            return (false, format!("there is no '{}'", self.field));
        };
        let same = |wanted: &toml::Value| equal(found, &as_json(wanted));
        let number = found.as_f64();
        let contains = |part: &String| match found {
            Value::String(text) => text.contains(part),
            Value::Array(list) => list.iter().any(|element| element.as_str() == Some(part)),
            _ => false,
        };
        let held = self.equals.as_ref().is_none_or(same)
            && !self.differs.as_ref().is_some_and(same)
            && self.below.is_none_or(|bound| number.is_some_and(|number| number < bound))
            && self.above.is_none_or(|bound| number.is_some_and(|number| number > bound))
            && self.contains.as_ref().is_none_or(contains);
        (held, found.to_string())
    }
}

fn as_json(value: &toml::Value) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// As numbers where both are.
fn equal(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_are_all_required() {
        let expect =
            Expect { field: "n".to_owned(), above: Some(1.0), below: Some(3.0), ..Expect::default() };
        assert!(expect.holds(&json!({"n": 2})).0);
        assert!(!expect.holds(&json!({"n": 3})).0);
        assert!(!expect.holds(&json!({"n": "2"})).0);
        assert_eq!(expect.holds(&json!({})), (false, "there is no 'n'".to_owned()));
    }

    #[test]
    fn equality_knows_lists_and_numbers() {
        let equals = |value: toml::Value| Expect { equals: Some(value), ..Expect::default() };
        assert!(equals(toml::Value::Integer(0)).holds(&json!(0.0)).0);
        let list = toml::Value::Array(vec![toml::Value::String("r1".to_owned())]);
        assert!(equals(list.clone()).holds(&json!(["r1"])).0);
        assert!(!equals(list).holds(&json!([])).0);
    }
}
