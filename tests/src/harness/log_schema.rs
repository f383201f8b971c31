//! Holds the log of every server under test against docs/log.schema.json: what an event may say, its
//! level and its fields. Programs of others rely on that page.

use serde_json::Value;

const SCHEMA: &str = include_str!("../../../docs/log.schema.json");

/// Looks at every line.
///
/// # Panics
/// When a line has an event, a level, a field or a reason that the schema does not know.
pub fn hold(lines: &[Value]) {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let kinds = schema["oneOf"].as_array().unwrap();
    for line in lines {
        let kind = kinds.iter().find(|kind| kind["properties"]["event"]["const"] == line["event"]);
        let kind = kind.unwrap_or_else(|| panic!("no such event in the schema: {line}"));
        let known = kind["properties"].as_object().unwrap();
        for (field, value) in line.as_object().unwrap() {
            let rule =
                known.get(field).unwrap_or_else(|| panic!("{field} is not in the schema: {line}"));
            assert!(fits(value, rule), "{field} is not as the schema says: {line}");
        }
    }
}

fn fits(value: &Value, rule: &Value) -> bool {
    if let Some(words) = rule.get("enum").and_then(Value::as_array) {
        return words.contains(value);
    }
    if let Some(constant) = rule.get("const") {
        return value == constant;
    }
    match rule["type"].as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        other => panic!("the schema has a type {other:?}"),
    }
}
