//! Determines which request an oversized message answers, from its beginning and its end.

use crate::http::event_stream::TooLarge;

/// Returns the id of the request that a skipped event answers, if it is a response with its id near either end.
pub(super) fn answered_by(event: &TooLarge) -> Option<u64> {
    let [beginning, end] = event.excerpts();
    answered(beginning, end)
}

/// Returns the id of the request, if the excerpts show that the message is a response with a numeric id.
pub(super) fn answered(beginning: &[u8], end: &[u8]) -> Option<u64> {
    let found = read(beginning);
    if found.is_response { found.id.or_else(|| last_id(end)) } else { None }
}

#[derive(Default)]
struct Found {
    id: Option<u64>,
    /// True if there is a `result` or an `error`.
    is_response: bool,
}

/// Scans the excerpt for the top-level members of a response, until both are found or the excerpt ends.
fn read(text: &[u8]) -> Found {
    let mut rest = text.iter().position(|byte| *byte == b'{').and_then(|at| text.get(at..)).unwrap_or_default();
    let mut found = Found::default();
    let mut depth = 0_usize;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let Some(length) = string_length(rest) else { break };
                let (name, after) = rest.split_at(length);
                rest = after.get(1..).unwrap_or_default();
                match (depth, name, rest.trim_ascii_start().strip_prefix(b":")) {
                    (1, b"method", Some(_)) => return Found::default(),
                    (1, b"result" | b"error", Some(_)) => found.is_response = true,
                    (1, b"id", Some(value)) => match number(value) {
                        Some((id, _)) => found.id = Some(id),
                        None => return Found::default(),
                    },
                    _ => {}
                }
                if found.is_response && found.id.is_some() {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

/// Returns the length of a string up to its closing quotation mark.
fn string_length(text: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    text.iter().position(|byte| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    })
}

/// Finds a last member `id` at the end of the object; only the member `jsonrpc` may follow it.
fn last_id(text: &[u8]) -> Option<u64> {
    const NAME: &[u8] = br#""id""#;
    let at = text.windows(NAME.len()).rposition(|window| window == NAME)?;
    let value = text.get(at + NAME.len()..)?.trim_ascii_start().strip_prefix(b":")?;
    let (id, after) = number(value)?;
    let after: Vec<u8> = after.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    matches!(&*after, b"}" | br#","jsonrpc":"2.0"}"#).then_some(id)
}

/// Parses a number. Returns it with the text that follows.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let text = text.trim_ascii_start();
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, after) = text.split_at(length);
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::event_stream::Decoder;

    fn check(beginning: &str, end: &str, expected: Option<u64>) {
        assert_eq!(answered(beginning.as_bytes(), end.as_bytes()), expected, "{beginning} ... {end}");
    }

    #[test]
    fn the_id_is_found_at_either_end_of_an_answer() {
        check(r#"{"jsonrpc":"2.0","id":7,"result":{"x"#, "", Some(7));
        check(r#"data: { "id" : 7 , "result":{"x"#, "", Some(7));
        check(r#"{"result":{"id":3,"a":[{"x"#, r#"x"}]},"id":7}"#, Some(7));
        check(r#"{"result":{"x"#, r#"x"}, "id": 7, "jsonrpc": "2.0"}"#, Some(7));
        check(r#"{"result":"\"id\":5,{"x"#, "x", None);
    }

    #[test]
    fn the_answered_id_is_found_in_a_skipped_event_however_it_arrives() {
        let large = |end: &str| format!(r#"{{"jsonrpc":"2.0","id":7,"result":"{}"{end}"#, "x".repeat(2_000));
        let (first, broken) = (large("}"), large("}").replace(',', ",\ndata:"));
        let last = large("}").replace(r#""id":7,"#, "").replace("\"}", "\",\"id\":7}");
        for text in [first, broken, last] {
            let stream = format!("event: message\nid: 5\ndata: {text}\n\n");
            for size in [1, 7, 512, stream.len()] {
                let mut decoder = Decoder::new(100);
                let mut found = None;
                for chunk in stream.as_bytes().chunks(size) {
                    decoder.push(chunk.into());
                    found = found.or(decoder.next_event().err().map(|skipped| answered_by(&skipped)));
                }
                assert_eq!(found, Some(Some(7)), "in chunks of {size}");
            }
        }
    }

    #[test]
    fn nothing_else_is_taken_for_the_id_of_an_answer() {
        check(r#"{"jsonrpc":"2.0","id":7,"method":"x","params":{"x"#, r#"x"}}"#, None);
        check(r#"{"jsonrpc":"2.0","id":7,"#, r#"x"}}"#, None);
        check(r#"{"jsonrpc":"2.0","method":"x","id":7,"params":{"x"#, r#"x"},"id":7}"#, None);
        check(r#"{"jsonrpc":"2.0","id":"7","result":{"x"#, r#"x"},"id":7}"#, None);
        check(r#"{"result":{"x"#, r#"{"id":7}}"#, None);
        check(r#"{"result":{"x"#, r#"{"id":-7}"#, None);
        check("", "", None);
    }
}
