//! Serves a legacy client from a modern upstream: adds the client's handshake metadata to each request, and turns
//! questions in responses into requests to the client.

use std::sync::Arc;

use schemas::ServerName;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::debug;

use crate::error::{Error, Kind};
use crate::protocol::{
    self, INVALID_PARAMS, LATEST_LEGACY, METHOD_NOT_FOUND, Message, Object, SERVER_KEY, error_response, result_response,
};
use crate::upstream::attachment::answer::legacy_answer;
use crate::upstream::attachment::questions::{Asked, Round, Settled};
use crate::upstream::attachment::{Attachment, MAX_SUBSCRIPTIONS, MAX_URI_BYTES};
use crate::upstream::deadline::Deadline;
use crate::upstream::event::Event;
use crate::upstream::events::Events;
use crate::upstream::level::{LEVELS, level};
use crate::upstream::session::{Exchange, Session};
use crate::upstream::upstream_call::UpstreamCall;

/// Maximum number of `input_required` rounds of one call.
const MAX_ROUNDS: usize = 10;
/// Log level until the client sets one: legacy clients expect log messages by default.
const DEFAULT_LEVEL: &str = "info";

/// Builds the response to `initialize` from the upstream's response to `server/discover`.
pub(super) fn handshake(discovery: &Message, upstream: &ServerName) -> Result<Message, Error> {
    let bad = || Error::new(Kind::InvalidResponse).because("`server/discover` gave no object");
    let result = Object::read(discovery.body()).map_err(|_| bad())?;
    let capabilities = result.get("capabilities").unwrap_or("{}");
    let offered = Object::read(capabilities).map_err(|_| bad())?;
    // Legacy clients do not know extensions.
    let offered: Vec<String> = offered
        .members()
        .filter(|(name, _)| *name != "extensions")
        .map(|(name, value)| format!("{}:{value}", serde_json::Value::from(name)))
        .collect();
    let meta = result.get("_meta").and_then(|raw| Object::read(raw).ok());
    let server = meta.as_ref().and_then(|meta| meta.get(SERVER_KEY)).filter(|raw| Object::read(raw).is_ok());
    let server = server.map_or_else(|| format!(r#"{{"name":"{upstream}","version":"unknown"}}"#), str::to_owned);
    let instructions = result.get("instructions").map(|raw| format!(r#","instructions":{raw}"#)).unwrap_or_default();
    let answer = format!(
        r#"{{"protocolVersion":"{LATEST_LEGACY}","capabilities":{{{}}},"serverInfo":{server}{instructions}}}"#,
        offered.join(",")
    );
    Message::parse(result_response("0", &answer)).map_err(|error| Error::new(Kind::InvalidResponse).because(error))
}

impl Attachment {
    /// Carries out a legacy request at a modern upstream.
    pub(super) async fn request_stateless(
        &self,
        session: &Arc<Session>,
        call: UpstreamCall<'_>,
    ) -> Result<Message, Error> {
        let UpstreamCall { message, events, cancelled, deadline } = call;
        match message.method() {
            "logging/setLevel" => self.set_level(session, message),
            "resources/subscribe" => self.subscribe(session, message, deadline.next()).await,
            "resources/unsubscribe" => self.unsubscribe(session, message).await,
            // Tasks of the two eras are incompatible; the other methods belong to the gateway.
            "initialize" | "server/discover" | "subscriptions/listen" => not_offered(message),
            method if method.starts_with("tasks/") => not_offered(message),
            _ => tokio::select! {
                answer = self.rounds(session, message, &events, deadline) => answer,
                Ok(_) = cancelled => Err(Kind::Cancelled.into()),
            },
        }
    }

    /// Sends a request, and repeats it with the client's answers while the upstream asks questions.
    async fn rounds(
        &self,
        session: &Session,
        message: &Message,
        events: &Events,
        deadline: Deadline,
    ) -> Result<Message, Error> {
        let level = self.log_level(message.method());
        let (mut round, mut visited) = (Round::default(), Vec::<String>::new());
        for _ in 0..MAX_ROUNDS {
            let request = self.client_meta.apply(message, level, &round.members());
            let request = request.map_err(|_| Kind::InvalidParams("`params` must be an object"))?;
            let (_never, mut never) = oneshot::channel();
            let (sink, cancelled) = (events.clone(), &mut never);
            // The client's time for an answer does not count as the upstream's silence.
            let deadline = deadline.after(Instant::now());
            let exchange = Exchange { message: &request, caller: self.id, events: sink, cancelled, deadline };
            let answer = session.request(exchange).await?;
            let Some(asked) = Asked::read(message.method(), &answer)? else {
                visited.iter().for_each(|id| self.tell_visited(id));
                return legacy_answer(message, answer);
            };
            visited.extend(asked.visits());
            match asked.put(self.client_meta.capabilities(), events, deadline.latest()).await? {
                Settled::Answered(next) => round = next,
                Settled::Refused(error) => return Ok(error),
            }
        }
        let why = format!("it asked something back more than {MAX_ROUNDS} times");
        Err(Error::new(Kind::InvalidResponse).because(why))
    }

    /// Returns the log level for a request. Lists request no logs by default: clients read them in the background, and
    /// on a process's output their logs could not be told from those of calls.
    fn log_level(&self, method: &str) -> Option<&'static str> {
        let asked = self.client_state().level.and_then(|level| LEVELS.get(level).copied());
        asked.or_else(|| (!method.ends_with("/list")).then_some(DEFAULT_LEVEL))
    }

    /// Notifies the client that a URL elicitation is complete.
    fn tell_visited(&self, id: &str) {
        let notice = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{{"elicitationId":"{id}"}}}}"#
        );
        if let Err(error) = self.events.put(Event::Notification(notice.into()), self.upstream.queued_bytes()) {
            debug!(%error, "notice of a completed elicitation not delivered");
        }
    }

    fn set_level(&self, session: &Session, message: &Message) -> Result<Message, Error> {
        if !offers(session, "logging", None) {
            return not_offered(message);
        }
        let params = Object::read(message.params()).ok();
        let level = params.and_then(|params| params.text("level").and_then(|word| level(&word)));
        let Some(level) = level else {
            return parse(error_response(message.id(), INVALID_PARAMS, "Unknown log level", ""));
        };
        self.client_state().level = Some(level);
        session.inbox().set_level(self.id, level);
        done(message)
    }

    async fn subscribe(&self, session: &Session, message: &Message, deadline: Instant) -> Result<Message, Error> {
        if !offers(session, "resources", Some("subscribe")) {
            return not_offered(message);
        }
        let (uri, before) = (uri(message)?, self.noted(message));
        {
            let mut state = self.client_state();
            let is_new = !state.subscriptions.contains(&uri);
            if is_new && (state.subscriptions.len() >= MAX_SUBSCRIPTIONS || uri.len() > MAX_URI_BYTES) {
                return Err(Kind::InvalidParams("too many subscriptions, or too long a URI").into());
            }
            state.subscriptions.insert(uri.clone());
        }
        session.inbox().subscribe(self.id, &uri);
        if let Err(error) = session.told_of(&uri, deadline).await {
            self.restore(session, before);
            return Err(error);
        }
        done(message)
    }

    async fn unsubscribe(&self, session: &Session, message: &Message) -> Result<Message, Error> {
        let uri = uri(message)?;
        self.client_state().subscriptions.remove(&uri);
        session.inbox().unsubscribe(self.id, &uri);
        session.resubscribed().await;
        done(message)
    }
}

/// True if the upstream declares this capability, and this member of it.
fn offers(session: &Session, name: &str, part: Option<&str>) -> bool {
    let capability = || {
        let result = Object::read(session.handshake().body()).ok()?;
        let capability = Object::read(result.get("capabilities")?).ok()?.get(name)?;
        match part {
            Some(part) => Some(Object::read(capability).ok()?.get(part) == Some("true")),
            None => Some(true),
        }
    };
    capability().unwrap_or(false)
}

fn uri(message: &Message) -> Result<String, Error> {
    let params = Object::read(message.params()).ok();
    let uri = params.and_then(|params| params.text("uri").map(String::from));
    uri.ok_or_else(|| Kind::InvalidParams("`params.uri` must be a string").into())
}

fn done(message: &Message) -> Result<Message, Error> {
    parse(result_response(message.id(), "{}"))
}

fn not_offered(message: &Message) -> Result<Message, Error> {
    parse(error_response(message.id(), METHOD_NOT_FOUND, "Method not found", ""))
}

fn parse(bytes: bytes::Bytes) -> Result<Message, Error> {
    Message::parse(bytes).map_err(|error: protocol::Invalid| Error::new(Kind::InvalidResponse).because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(discovery: &str, expected: &str) {
        let discovery = Message::parse(result_response("1", discovery)).expect("a response");
        let answer = handshake(&discovery, &"up".parse().expect("a name")).expect("an answer");
        assert_eq!(answer.body(), expected);
    }

    #[test]
    fn a_handshake_is_made_of_a_discovery() {
        check(
            r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"extensions":{"x":{}}},"instructions":"do","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}}"#,
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"s","version":"1"},"instructions":"do"}"#,
        );
        check(
            r#"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#,
            r#"{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"up","version":"unknown"}}"#,
        );
    }
}
