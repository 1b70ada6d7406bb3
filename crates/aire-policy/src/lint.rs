//! What Cedar's validator cannot know: which entities have attributes at run time, and the names of the classes.

use aire_types::Class;
use serde_json::Value;

/// What is wrong with a policy in Cedar's JSON form, in the order found. Empty when nothing is.
pub(crate) fn lint(policy: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(policy, &mut found);
    found
}

fn walk(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
        Value::Object(members) => {
            for (operator, operand) in members {
                match operator.as_str() {
                    "." | "has" => attribute(operand, found),
                    "==" | "!=" => class_name(operand, found),
                    _ => {}
                }
                walk(operand, found);
            }
        }
        _ => {}
    }
}

/// One entity stands for all instances of an app, and the caller's attributes would show through where an app calls
/// itself: only the principal's own attributes mean something.
fn attribute(access: &Value, found: &mut Vec<String>) {
    let Some(left) = access.get("left") else { return };
    if !matches!(variable(left), Some("principal" | "context")) {
        found.push(match variable(left) {
            Some("resource") => "the resource has no attributes; in Action::\"connect\" the node of the \
                                 called instance is context.node"
                .to_owned(),
            _ => "only `principal` and `context` have attributes".to_owned(),
        });
    }
}

fn class_name(comparison: &Value, found: &mut Vec<String>) {
    let (Some(left), Some(right)) = (comparison.get("left"), comparison.get("right")) else { return };
    for (one, other) in [(left, right), (right, left)] {
        let is_class =
            one.get(".").is_some_and(|access| access.get("attr").and_then(Value::as_str) == Some("class"))
                && one.get(".").and_then(|access| access.get("left")).and_then(variable) == Some("context");
        if let (true, Some(text)) = (is_class, other.get("Value").and_then(Value::as_str))
            && let Err(why) = text.parse::<Class>()
        {
            found.push(why);
        }
    }
}

fn variable(expression: &Value) -> Option<&str> {
    expression.get("Var").and_then(Value::as_str)
}
