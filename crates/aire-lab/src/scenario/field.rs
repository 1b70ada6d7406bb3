//! Finding a value in a JSON document.

use serde_json::Value;

/// The value at a dotted path. A part is a key, an index, or `KEY=VALUE,…`: the first element of a list that has these.
pub(super) fn find<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|part| !part.is_empty()).try_fold(document, |value, part| match value {
        Value::Array(list) if part.contains('=') => list.iter().find(|element| matches(element, part)),
        Value::Array(list) => list.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    })
}

fn matches(element: &Value, conditions: &str) -> bool {
    conditions.split(',').all(|condition| {
        let Some((key, wanted)) = condition.split_once('=') else { return false };
        match element.get(key) {
            Some(Value::String(text)) => text == wanted,
            Some(other) => {
                let text = other.to_string();
                text == wanted
            }
            None => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_go_through_objects_and_lists() {
        let document = json!({"a": [{"app": "x", "n": 1, "p": []}, {"app": "y", "n": 2, "p": ["r"]}]});
        assert_eq!(find(&document, "a.1.n"), Some(&json!(2)));
        assert_eq!(find(&document, "a.app=y,n=2.p"), Some(&json!(["r"])));
        assert_eq!(find(&document, "a.app=z.p"), None);
        assert_eq!(find(&document, ""), Some(&document));
    }
}
