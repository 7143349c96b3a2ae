//! Responses with an error status: their meaning for the request, the session and the error text.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use tokio::time::timeout;

use crate::error::{Error, Kind, Limit, Shown};
use crate::http::client::{DialError, Response, Undecodable};
use crate::http::event_stream::Decoder;
use crate::protocol::{self, Message};
use crate::upstream::transport::challenge;

/// Maximum number of characters shown of a body that is not a message.
const SHOWN: usize = 80;

/// Timeout for reading the body of a refusal.
const BODY_PATIENCE: Duration = Duration::from_secs(5);

/// A response with an error status.
pub(super) struct Refusal {
    status: StatusCode,
    /// The `Content-Type` and `Location` fields.
    kind: Option<Vec<u8>>,
    location: Option<Vec<u8>>,
    /// The `WWW-Authenticate` field.
    challenge: Option<Vec<u8>>,
    body: Bytes,
}

/// The consequence for the request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The body contains the response.
    Answer(Message),
    /// The upstream does not know the session (2025-11-25, transports, "Session Management").
    SessionLost,
    /// The upstream may have lost the session, but the status does not say so.
    AskSession,
    /// The request was refused; the session is alive.
    Refused,
}

impl Refusal {
    /// Reads a refusal. An incomplete body, or one over the limit, counts as empty.
    pub(super) async fn read(response: Response, limit: usize) -> Self {
        let status = response.status();
        let kind = response.field(&CONTENT_TYPE).map(<[u8]>::to_vec);
        let location = response.field(&LOCATION).map(<[u8]>::to_vec);
        let challenge = response.field(&WWW_AUTHENTICATE).map(<[u8]>::to_vec);
        let has_events = response.has_events();
        let mut body =
            timeout(BODY_PATIENCE, read_body(response, limit)).await.ok().and_then(Result::ok).unwrap_or_default();
        if has_events {
            let mut decoder = Decoder::new(limit);
            decoder.push(BytesMut::from(body));
            body = decoder.next_event().ok().flatten().map(|event| event.data).unwrap_or_default();
        }
        Self { status, kind, location, challenge, body }
    }

    /// Judges the refusal of the request with this id, by status and id only, never by the error text.
    pub(super) fn judge(&self, id: u64, has_session: bool) -> Verdict {
        let messages = responses(&self.body);
        if let Some(own) = messages.iter().find(|message| message.id().parse() == Ok(id)) {
            return Verdict::Answer(own.clone());
        }
        let error = messages.into_iter().find(|message| message.kind() == protocol::Kind::Error);
        match (self.status, error) {
            (StatusCode::NOT_FOUND, _) if has_session => Verdict::SessionLost,
            (StatusCode::BAD_REQUEST, Some(_)) if has_session => Verdict::SessionLost,
            (StatusCode::BAD_REQUEST, None) if has_session => Verdict::AskSession,
            // An error without an id can only belong to the request of this exchange.
            (_, Some(error)) if error.id().is_empty() => Verdict::Answer(error),
            _ => Verdict::Refused,
        }
    }

    /// Converts the refusal to an error. 5xx counts as possibly executed, because a proxy may send it after the
    /// upstream acted.
    pub(super) fn error(&self) -> Error {
        let kind = if self.status.is_server_error() {
            Kind::InvalidResponse
        } else {
            Kind::UpstreamStatus(self.status.as_u16())
        };
        let part = match &self.location {
            Some(location) if self.status.is_redirection() => format!("which leads to `{}`", shown_location(location)),
            _ if self.body.is_empty() || !responses(&self.body).is_empty() => String::new(),
            _ => format!("with {}", described(self.kind.as_deref(), &self.body)),
        };
        let comma = if part.is_empty() { "" } else { ", " };
        let mut cause = format!("status {}{comma}{part}", self.status);
        if self.status == StatusCode::UNAUTHORIZED {
            cause += &challenge::next_step(self.challenge.as_deref());
        }
        // The text for a 5xx does not name the status otherwise.
        let part = if kind == Kind::InvalidResponse { cause.clone() } else { part };
        Error::new(kind).because(Shown { cause, part })
    }
}

/// Reads the whole body of a response.
pub(super) async fn read_body(mut response: Response, limit: usize) -> Result<Bytes, Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(transport_error)? {
        if body.len() + chunk.len() > limit {
            return Err(too_large(limit, "the body is too large"));
        }
        // Adjacent chunks are not copied.
        body.unsplit(chunk);
    }
    Ok(body.freeze())
}

/// Builds the error for a response over the size limit.
pub(super) fn too_large(limit: usize, why: impl std::fmt::Display) -> Error {
    let limit = Limit::bytes(limit, "--max-message-bytes", "maxMessageBytes");
    Error::new(Kind::InvalidResponse).because(Shown::whole(why)).limited(Some(limit))
}

/// Builds the error for a request without a response.
pub(super) fn transport_error(error: DialError) -> Error {
    let kind = match &error {
        DialError::Unreachable(_) => Kind::Unreachable,
        DialError::Broken(_) => Kind::ConnectionLost,
        DialError::Undecodable(_) => Kind::InvalidResponse,
    };
    match error {
        DialError::Undecodable(why @ Undecodable::TooLarge(limit)) => too_large(limit, why),
        DialError::Undecodable(why) => Error::new(kind).because(Shown::whole(why)),
        error => Error::new(kind).because(error),
    }
}

/// Describes a body that is not a message by its type and its first words.
pub(super) fn described(kind: Option<&[u8]>, body: &[u8]) -> String {
    let kind = kind.map_or("no content type".into(), String::from_utf8_lossy);
    let text = String::from_utf8_lossy(body.get(..body.len().min(4 * SHOWN)).unwrap_or_default());
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    let words = whole_words(&words.join(" "));
    format!("{kind} beginning `{words}`")
}

/// Truncates a text at a word boundary, because a part of a secret would not be recognised and masked.
fn whole_words(text: &str) -> String {
    let begin: String = text.chars().take(SHOWN).collect();
    match text.get(begin.len()..) {
        Some("") | None => begin,
        Some(rest) if rest.starts_with(' ') => begin,
        Some(_) => format!("{}...", begin.rsplit_once(' ').map_or("", |(words, _)| words)),
    }
}

/// Removes parts of a `Location` that may be secret: user, query, fragment.
fn shown_location(location: &[u8]) -> String {
    let text = String::from_utf8_lossy(location);
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let shown = match text.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => text.to_owned(),
    };
    shown.chars().filter(|c| !c.is_control()).take(4 * SHOWN).collect()
}

/// Returns the responses in a body: a single one, or those of a batch.
fn responses(body: &Bytes) -> Vec<Message> {
    let mut found = Vec::new();
    let mut keep = |message: Message| {
        if matches!(message.kind(), protocol::Kind::Error | protocol::Kind::Result) {
            found.push(message);
        }
    };
    if Message::is_batch(body) {
        // An invalid message is not a response.
        Message::parse_each(body, |message| message.into_iter().for_each(&mut keep)).ok();
    } else {
        Message::parse(body.clone()).into_iter().for_each(keep);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &str) -> Refusal {
        let status = StatusCode::from_u16(status).expect("a status");
        Refusal { status, kind: None, location: None, challenge: None, body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    fn check(status: u16, body: &str, with_session: &str, without: &str) {
        for (has_session, expected) in [(true, with_session), (false, without)] {
            let verdict = match refusal(status, body).judge(7, has_session) {
                Verdict::Answer(_) => "answer",
                Verdict::SessionLost => "lost",
                Verdict::AskSession => "ask",
                Verdict::Refused => "refused",
            };
            assert_eq!(verdict, expected, "{status} {body}, session: {has_session}");
        }
    }

    fn error(id: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code":-32602,"message":"unknown session"}}}}"#)
    }

    #[test]
    fn an_error_with_the_id_of_the_request_is_its_answer_whatever_the_status_and_the_words() {
        for status in [400, 401, 403, 404, 409, 422, 429, 500, 503] {
            check(status, &error(r#""id":7,"#), "answer", "answer");
            check(status, &format!("[{}]", error(r#""id":7,"#)), "answer", "answer");
        }
        check(404, r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, "answer", "answer");
    }

    #[test]
    fn a_session_is_lost_by_404_or_by_400_with_an_error_for_no_request_of_ours() {
        for body in [
            "",
            "<html>",
            "{}",
            &error(""),
            &error(r#""id":null,"#),
            &error(r#""id":"server-error","#),
            &error(r#""id":8,"#),
        ] {
            let without = if body.contains("null") || body.contains(r#""2.0","error"#) { "answer" } else { "refused" };
            check(404, body, "lost", without);
        }
        check(400, &error(""), "lost", "answer");
        check(400, &error(r#""id":null,"#), "lost", "answer");
        check(400, &error(r#""id":"server-error","#), "lost", "refused");
        check(400, &format!("[{}]", error("")), "lost", "answer");
    }

    #[test]
    fn other_refusals_say_nothing_about_the_session() {
        for body in ["", "Invalid session ID", "<html>session</html>", r#"{"error":"no session"}"#] {
            check(400, body, "ask", "refused");
            for status in [301, 307, 401, 403, 405, 409, 410, 429, 500, 502] {
                check(status, body, "refused", "refused");
            }
        }
        check(500, &error(r#""id":null,"#), "answer", "answer");
        check(500, &error(r#""id":8,"#), "refused", "refused");
    }

    #[test]
    fn an_error_says_what_to_look_at() {
        let says = |status: u16, kind: Option<&[u8]>, location: Option<&[u8]>, body: &str| {
            let (kind, location) = (kind.map(<[u8]>::to_vec), location.map(<[u8]>::to_vec));
            let error = Refusal { kind, location, ..refusal(status, body) }.error();
            crate::error::Chain(&error).to_string()
        };
        let redirect = says(302, None, Some(b"https://u:p@sso.example/login?token=t#f"), "<html>");
        assert!(redirect.ends_with("status 302 Found, which leads to `https://sso.example/login`"), "{redirect}");
        let relative = says(303, None, Some(b"/login?next=x"), "");
        assert!(relative.ends_with("leads to `/login`"), "{relative}");
        let page = says(502, Some(b"text/html"), None, "<html>\r\n  <h1>Bad\u{0} gateway</h1>");
        assert!(
            page.ends_with("status 502 Bad Gateway, with text/html beginning `<html> <h1>Bad gateway</h1>`"),
            "{page}"
        );
        assert!(
            says(401, None, None, "").contains("status 401 Unauthorized; it does not say which credentials it wants")
        );
    }
}
