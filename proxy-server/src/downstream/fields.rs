//! The header fields that an endpoint goes by, found in one pass: a lookup for each costs more.

use axum::http::{HeaderMap, HeaderValue};

use crate::downstream::headers::PROTOCOL_VERSION;

pub(super) const SESSION_ID: &str = "mcp-session-id";
const LAST_EVENT_ID: &str = "last-event-id";
/// What nearly all clients accept, and what need not be taken apart.
const USUAL_ACCEPT: &str = "application/json, text/event-stream";

/// Header fields of a request to an MCP endpoint; the first one where one comes more than once.
#[derive(Default)]
pub(super) struct Fields<'a> {
    /// All of them; nothing where there is no HTTP.
    pub(super) all: Option<&'a HeaderMap>,
    pub(super) session: Option<&'a HeaderValue>,
    pub(super) version: Option<&'a HeaderValue>,
    pub(super) last_event: Option<&'a HeaderValue>,
    content_type: Option<&'a HeaderValue>,
    accept: Option<Accepted>,
}

/// What a client takes for an answer.
#[derive(Default)]
struct Accepted {
    json: bool,
    events: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn in_headers(headers: &'a HeaderMap) -> Self {
        let mut fields = Self { all: Some(headers), ..Self::default() };
        for (name, value) in headers {
            let place = match name.as_str() {
                SESSION_ID => &mut fields.session,
                PROTOCOL_VERSION => &mut fields.version,
                LAST_EVENT_ID => &mut fields.last_event,
                "content-type" => &mut fields.content_type,
                "accept" => {
                    fields.accept.get_or_insert_default().add(value);
                    continue;
                }
                _ => continue,
            };
            place.get_or_insert(value);
        }
        fields
    }

    /// Whether the body is JSON.
    pub(super) fn is_json(&self) -> bool {
        let kind = self.content_type.map_or(b"".as_slice(), HeaderValue::as_bytes);
        kind == b"application/json" || essence(kind).eq_ignore_ascii_case(b"application/json")
    }

    /// Whether the client takes event streams. One that does not say takes anything.
    pub(super) fn accepts_events(&self) -> bool {
        self.accept.as_ref().is_none_or(|accepted| accepted.events)
    }

    /// Whether the client says that it takes both kinds of answers, as every modern client has to.
    pub(super) fn accepts_both(&self) -> bool {
        self.accept.as_ref().is_some_and(|accepted| accepted.json && accepted.events)
    }
}

impl Accepted {
    fn add(&mut self, value: &HeaderValue) {
        if value == USUAL_ACCEPT {
            *self = Self { json: true, events: true };
            return;
        }
        for range in value.as_bytes().split(|byte| *byte == b',').map(essence) {
            self.json |= matches(range, b"application/json", b"application/*");
            self.events |= matches(range, b"text/event-stream", b"text/*");
        }
    }
}

fn matches(range: &[u8], kind: &[u8], group: &[u8]) -> bool {
    range == b"*/*" || range == group || range.eq_ignore_ascii_case(kind)
}

/// A media type without its parameters.
fn essence(kind: &[u8]) -> &[u8] {
    kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;

    fn headers(lines: &[(header::HeaderName, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), value.parse().expect("a header value"))).collect()
    }

    fn accepts(values: &[&str]) -> bool {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(header::ACCEPT, value.parse().expect("a header value"));
        }
        Fields::in_headers(&map).accepts_events()
    }

    #[test]
    fn event_streams_are_accepted_by_name_by_group_and_by_silence() {
        for values in [
            &[][..],
            &[USUAL_ACCEPT],
            &["application/json,Text/Event-Stream;q=0.5"],
            &["text/*"],
            &["*/*; q=0.1"],
            &["application/json", "text/event-stream"],
            &["text/event-stream", "application/json"],
        ] {
            assert!(accepts(values), "{values:?}");
        }
        for values in [&["application/json"][..], &["text/html, text/event-streams"], &[""]] {
            assert!(!accepts(values), "{values:?}");
        }
    }

    #[test]
    fn both_kinds_of_answers_are_accepted() {
        let check = |value: &str, expected| {
            let headers = headers(&[(header::ACCEPT, value)]);
            assert_eq!(Fields::in_headers(&headers).accepts_both(), expected, "{value}");
        };
        check("application/json, text/event-stream", true);
        check("text/event-stream;q=0.5,APPLICATION/JSON", true);
        check("*/*", true);
        check("application/*, text/*", true);
        check("application/json", false);
        check("", false);
        assert!(!Fields::in_headers(&HeaderMap::new()).accepts_both());
    }

    #[test]
    fn json_is_json_with_parameters_and_in_any_case() {
        let is_json = |kind: &str| Fields::in_headers(&headers(&[(header::CONTENT_TYPE, kind)])).is_json();
        assert!(is_json("application/json") && is_json("Application/JSON ; charset=utf-8"));
        assert!(!is_json("application/jsonl") && !is_json("text/plain") && !Fields::default().is_json());
    }

    #[test]
    fn the_first_of_several_counts() {
        let mut map = HeaderMap::new();
        map.append(SESSION_ID, HeaderValue::from_static("first"));
        map.append(SESSION_ID, HeaderValue::from_static("second"));
        assert_eq!(Fields::in_headers(&map).session.map(HeaderValue::as_bytes), Some(b"first".as_slice()));
    }
}
