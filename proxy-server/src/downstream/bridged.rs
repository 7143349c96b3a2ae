//! A modern client in front of a legacy upstream: what the client says with every request becomes a session of its own,
//! and what the upstream asks becomes an answer.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use tokio::time::Instant;

use crate::downstream::conversation::{Conversation, Step};
use crate::downstream::modern::Asking;
use crate::downstream::pool::{Caller, Pool, Use};
use crate::downstream::question::input_required;
use crate::downstream::reply::{Said, Talk, respond_with};
use crate::downstream::respond;
use crate::downstream::seal::{Purpose, purpose};
use crate::error::{Error, Kind};
use crate::policy::Principal;
use crate::protocol::{self, METHOD_NOT_FOUND, MISSING_CAPABILITY, Message, Object, URL_ELICITATION_REQUIRED};
use crate::upstream::is_severe;

/// Requests that are sent once more when the call is lost whose questions a client has just answered.
const READING: [&str; 2] = ["prompts/get", "resources/read"];

/// One request and its conversation with the upstream.
struct Bridged {
    asking: Asking,
    /// Nothing once it is over.
    conversation: Option<Conversation>,
    /// The raw `serverInfo`.
    server: Box<str>,
    /// The token that the upstream call was begun with, where this round has another one.
    token: Option<(Box<str>, Option<Box<str>>)>,
}

/// Tells what the upstream told in its handshake.
pub(super) async fn discover(asking: &Asking) -> Response {
    let id = asking.message.id();
    let deadline = Instant::now() + asking.edge.config.initialize_timeout;
    match asking.upstream.own_session(deadline).await {
        Ok(session) => {
            let result = protocol::discovery(session.handshake());
            respond::json(StatusCode::OK, protocol::result_response(id, &result))
        }
        Err(error) => respond::failure(id, &error),
    }
}

/// Carries out a request, or goes on with one that waits for these answers.
pub(super) async fn answer(asking: Asking) -> Response {
    let state = Object::read(asking.message.params()).ok().and_then(|params| params.get("requestState"));
    let begun = match state {
        Some(raw) => resume(&asking, raw).await,
        None => begin(&asking).await,
    };
    let conversation = match begun {
        Ok(conversation) => conversation,
        Err(error) => return respond::failure(asking.message.id(), &error),
    };
    let handshake = conversation.seat().map(|seat| seat.line().handshake().clone());
    let server = handshake.as_ref().map_or("{}", |handshake| protocol::server_info(handshake)).into();
    let (begun_with, token) = (token(conversation.request()), token(&asking.message));
    let token = begun_with.filter(|_| state.is_some()).map(|old| (old, token));
    let edge = Arc::clone(&asking.edge);
    let talk = Bridged { asking, conversation: Some(conversation), server, token };
    respond_with(talk, &edge.config).await
}

/// Sends a request on a session of its caller's.
async fn begin(asking: &Asking) -> Result<Conversation, Error> {
    let Asking { edge, upstream, message, .. } = asking;
    let caller = Caller { upstream, principal: asking.principal, capabilities: &asking.capabilities };
    let is_alone = asking.log_level.is_some() || protocol::can_answer_anything(&asking.capabilities);
    let seat = Pool::take(edge, caller, if is_alone { Use::Alone } else { Use::Shared }).await?;
    let deadline = Instant::now() + edge.config.call_timeout;
    if let Some(level) = &asking.log_level {
        seat.line().log_from(level, deadline).await;
    }
    let request = protocol::plain(message).map_err(|error| Error::new(Kind::Malformed).because(error))?;
    Ok(Conversation::begin(seat, request, deadline, edge.tasks.clone()))
}

/// Goes on with a parked call. Whatever is wrong with the state, its client is told the same.
async fn resume(asking: &Asking, state: &str) -> Result<Conversation, Error> {
    let refused = || Error::from(Kind::InvalidParams("the `requestState` is not valid"));
    let state: String = serde_json::from_str(state).map_err(|_| refused())?;
    let claimed = asking.edge.parked.claim(&state, &of(asking)).await;
    let mut conversation = claimed.ok_or_else(refused)?;
    let is_lost = conversation.failure().is_some_and(|error| matches!(error.kind(), Kind::Lost | Kind::SessionLost));
    if is_lost && is_repeatable(asking).await {
        conversation.repeat();
        return Ok(conversation);
    }
    let params = Object::read(asking.message.params()).ok();
    conversation.answer(params.and_then(|params| params.get("inputResponses")));
    if let Some(level) = &asking.log_level
        && let Some(seat) = conversation.seat()
    {
        seat.line().log_from(level, conversation.deadline()).await;
    }
    Ok(conversation)
}

/// Whether a request that may have been carried out can be sent again.
async fn is_repeatable(asking: &Asking) -> bool {
    let method = asking.message.method();
    let name = Object::read(asking.message.params()).ok().and_then(|params| params.text("name").map(String::from));
    match name {
        Some(name) if method == "tools/call" => {
            asking.edge.tools.get(&asking.upstream, &name).await.is_some_and(|tool| tool.is_repeatable)
        }
        Some(_) | None => READING.contains(&method),
    }
}

/// What a `requestState` is good for: this principal's very request, in any round.
fn of(asking: &Asking) -> Purpose {
    let message = &asking.message;
    let whose = match asking.principal {
        Principal::Anonymous => "anonymous".to_owned(),
        Principal::Global(index) => format!("global {index}"),
        Principal::Own(index) => format!("own {index}"),
        Principal::Holder(digest) => format!("holder {digest}"),
    };
    let params = Object::read(message.params()).ok();
    let mut members: Vec<(&str, &str)> = params.iter().flat_map(|params| params.members()).collect();
    members.retain(|(name, _)| !["_meta", "inputResponses", "requestState"].contains(name));
    members.sort_unstable();
    let upstream = Arc::as_ptr(&asking.upstream).addr().to_be_bytes();
    let mut parts = vec![upstream.as_slice(), whose.as_bytes(), message.method().as_bytes()];
    parts.extend(members.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]));
    purpose(parts)
}

fn token(message: &Message) -> Option<Box<str>> {
    protocol::progress_token(message).map(Into::into)
}

impl Talk for Bridged {
    async fn next(&mut self) -> Said {
        loop {
            let Some(conversation) = &mut self.conversation else {
                return self.failed(&Kind::Cancelled.into());
            };
            match conversation.step(&self.asking.capabilities).await {
                Step::Told(message) => {
                    if let Some(message) = self.heard(message) {
                        return Said::Told(message);
                    }
                }
                Step::Asked => return self.park(),
                Step::Answered(outcome) => {
                    self.conversation = None;
                    return match outcome {
                        Ok(answer) => self.answered(&answer),
                        Err(error) => self.failed(&error),
                    };
                }
            }
        }
    }
}

impl Bridged {
    /// What of an upstream's notification this request's stream carries, and in which words.
    fn heard(&self, bytes: Bytes) -> Option<Bytes> {
        let message = Message::parse(bytes.clone()).ok()?;
        let params = Object::read(message.params()).ok();
        match message.method() {
            "notifications/message" => {
                let level = params.and_then(|params| params.text("level").map(String::from))?;
                is_severe(&level, self.asking.log_level.as_deref()?).then_some(bytes)
            }
            "notifications/progress" => match &self.token {
                None => Some(bytes),
                Some((_, None)) => None,
                Some((old, Some(new))) => {
                    let found = params?.get("progressToken").filter(|found| **found == **old)?;
                    Some(message.with(&[(found, new)]))
                }
            },
            _ => Some(bytes),
        }
    }

    fn park(&mut self) -> Said {
        let Some(conversation) = self.conversation.take() else { return self.failed(&Kind::Cancelled.into()) };
        let Asking { edge, upstream, capabilities, message, .. } = &self.asking;
        match edge.parked.reserve(Arc::as_ptr(upstream).addr(), &of(&self.asking)) {
            Ok(slot) => {
                let result = input_required(conversation.asked(), slot.state(), &self.server);
                slot.keep(conversation, capabilities, &edge.tasks);
                Said::Answer(StatusCode::OK, protocol::result_response(message.id(), &result))
            }
            Err(error) => self.failed(&error),
        }
    }

    fn answered(&self, answer: &Message) -> Said {
        let request = &self.asking.message;
        match answer.error_code() {
            Some(METHOD_NOT_FOUND) => Said::Answer(StatusCode::NOT_FOUND, answer.with_id(request.id(), &[])),
            Some(URL_ELICITATION_REQUIRED) => {
                let data = r#"{"requiredCapabilities":{"elicitation":{"url":{}}}}"#;
                let words = "The client must declare that it can visit URLs";
                let body = protocol::error_response(request.id(), MISSING_CAPABILITY, words, data);
                Said::Answer(StatusCode::BAD_REQUEST, body)
            }
            _ => Said::Answer(StatusCode::OK, protocol::completed(request, answer, &self.server)),
        }
    }

    fn failed(&self, error: &Error) -> Said {
        Said::Answer(respond::status(error), respond::error(self.asking.message.id(), error))
    }
}
