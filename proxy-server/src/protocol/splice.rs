//! Replaces slices of raw JSON and keeps every other byte.

/// Replaces slices of a text. The slices must not overlap.
pub(crate) fn splice(text: &str, replacements: &[(&str, &str)]) -> String {
    let start = |slice: &str| slice.as_ptr() as usize - text.as_ptr() as usize;
    let mut edits: Vec<(usize, &str, &str)> = replacements.iter().map(|(old, new)| (start(old), *old, *new)).collect();
    edits.sort_unstable_by_key(|(at, ..)| *at);
    let added: usize = edits.iter().map(|(_, _, new)| new.len()).sum();
    let mut out = String::with_capacity(text.len() + added);
    let mut from = 0;
    for (at, old, new) in edits {
        out.push_str(text.get(from..at).unwrap_or_default());
        out.push_str(new);
        from = at + old.len();
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

/// Encodes a text as a JSON string.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_slices_in_any_order_and_nothing_else() {
        let text = r#"{ "a":1.10, "b" : "x" }"#;
        let (one, x) = (&text[6..10], &text[18..21]);
        assert_eq!(splice(text, &[(x, "[]"), (one, "\"1\"")]), r#"{ "a":"1", "b" : [] }"#);
        assert_eq!(splice(text, &[]), text);
    }
}
