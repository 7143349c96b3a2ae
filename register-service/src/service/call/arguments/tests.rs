use serde_json::json;

use super::*;

#[track_caller]
fn check(schema: &Value, arguments: &Value, expected: &[&str]) {
    let tool = json!({"name": "t", "mcpName": "s", "inputSchema": schema});
    let tool = serde_json::from_value(tool).expect("a tool");
    let raw = RawValue::from_string(arguments.to_string()).expect("JSON");
    let problems = super::check(&raw, &tool).err().unwrap_or_default();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(told, expected, "{arguments} against {schema}");
}

#[test]
fn names_what_is_missing_unknown_or_of_another_type() {
    let schema = json!({"type": "object", "required": ["city", "days"], "additionalProperties": false, "properties": {
        "city": {"type": "string", "minLength": 2}, "days": {"type": "integer", "minimum": 1, "maximum": 14},
        "units": {"enum": ["metric", "imperial"]}, "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
    }});
    check(&schema, &json!({"city": "Rome", "days": 3}), &[]);
    check(&schema, &json!({"city": "Rome", "days": 3.0, "units": "metric", "tags": ["a", "b"]}), &[]);
    check(&schema, &json!({}), &["`city` is missing", "`days` is missing"]);
    check(
        &schema,
        &json!({"city": 5, "days": "3"}),
        &["`city` is of type integer where string is wanted", "`days` is of type string where integer is wanted"],
    );
    check(
        &schema,
        &json!({"city": "R", "days": 15, "units": "Metric"}),
        &[
            "`city` has 1 characters where at least 2 are wanted",
            "`days` is to be at most 14",
            "`units` is not one of \"metric\", \"imperial\"",
        ],
    );
    check(
        &schema,
        &json!({"city": "Rome", "days": 3, "town": "x"}),
        &["`town` is not known; known are `city`, `days`, `units`, `tags`"],
    );
    check(
        &schema,
        &json!({"city": "Rome", "days": 3, "tags": ["a", 1, "c"]}),
        &["`tags` has 3 items where at most 2 are allowed", "`tags[1]` is of type integer where string is wanted"],
    );
}

#[test]
fn follows_references() {
    let schema = json!({"type": "object", "properties": {"at": {"$ref": "#/$defs/point"}}, "$defs": {
        "point": {"type": "object", "required": ["x"], "properties": {"x": {"type": "number"}, "next": {"$ref": "#/$defs/point"}}},
    }});
    check(&schema, &json!({"at": {"x": 1, "next": {"x": 2.5}}}), &[]);
    check(&schema, &json!({"at": {"x": 1, "next": {"y": 2}}}), &["`at.next.x` is missing"]);
    check(&json!({"$ref": "#"}), &json!({}), &[]);
    check(&json!({"$ref": "https://elsewhere/schema"}), &json!({}), &[]);
}

#[test]
fn alternatives_tell_what_came_closest() {
    let schema = json!({"anyOf": [
        {"required": ["url"], "properties": {"url": {"type": "string"}}},
        {"required": ["path", "root"]},
    ]});
    check(&schema, &json!({"url": "u"}), &[]);
    check(&schema, &json!({"url": 1}), &["`url` is of type integer where string is wanted"]);
    let one = json!({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]});
    check(&one, &json!({"a": 1}), &[]);
    check(&one, &json!({"a": 1, "b": 1}), &["has more than one of the forms of which it may have one"]);
    let when = json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}});
    check(&when, &json!({"a": 1}), &["`b` is missing"]);
    check(&when, &json!({"c": 1}), &[]);
    check(&json!({"not": {"required": ["a"]}}), &json!({"a": 1}), &["has a form that is excluded"]);
}

#[test]
fn what_is_not_understood_refuses_nothing() {
    check(&json!({"properties": {"a": {"pattern": "^x"}}}), &json!({"a": "y"}), &[]);
    check(&json!({"not": {"properties": {"a": {"pattern": "^x"}}}}), &json!({"a": "y"}), &[]);
    check(&json!({"oneOf": [{"properties": {"a": {"pattern": "^x"}}}, {"required": ["a"]}]}), &json!({"a": "y"}), &[]);
    check(&json!({"patternProperties": {"^x": {}}, "additionalProperties": false}), &json!({"x1": 1}), &[]);
    check(&json!({"properties": {"a": {"multipleOf": 0.1}}}), &json!({"a": 0.3}), &[]);
    check(&json!({"properties": {"a": {"type": "string", "format": "date"}}}), &json!({"a": "soon"}), &[]);
    check(&json!(true), &json!({"a": 1}), &[]);
}

#[test]
fn arguments_are_an_object_whatever_the_schema_says() {
    check(&json!(true), &json!([1]), &["arguments are a JSON object"]);
    check(&Value::Null, &json!("x"), &["arguments are a JSON object"]);
}

#[test]
fn a_schema_without_an_end_is_not_followed_for_ever() {
    let schema = json!({"allOf": [{"$ref": "#"}]});
    check(&schema, &json!({"a": 1}), &[]);
    // Check that exponential schemas end in time: each level doubles the number of checks.
    let start = tokio::time::Instant::now();
    let twice = json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}, {"required": ["b"]}]});
    check(&twice, &json!({"b": 1}), &[]);
    assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
}
