//! Connects modern clients to a legacy upstream: opens sessions with the capabilities that clients declare in every
//! request, and turns the upstream's questions into results that ask for input.

use std::sync::Arc;

use axum::http::StatusCode;
use bytes::Bytes;
use tokio::time::Instant;

use crate::downstream::conversation::{Conversation, Step};
use crate::downstream::modern::{Addressed, Asking};
use crate::downstream::pool::{Caller, Pool, Use};
use crate::downstream::question::input_required;
use crate::downstream::reply::{Said, Talk, respond_with};
use crate::downstream::respond;
use crate::downstream::seal::{Purpose, purpose};
use crate::error::{Error, Kind};
use crate::http::server::Reply;
use crate::policy::Principal;
use crate::protocol::{self, METHOD_NOT_FOUND, MISSING_CAPABILITY, Message, Object, URL_ELICITATION_REQUIRED};
use crate::upstream::{Upstream, is_severe};

/// Requests that are sent again if the call is lost while the client answers its questions.
const READING: [&str; 2] = ["prompts/get", "resources/read"];

/// One request and its conversation with the upstream.
pub(super) struct Bridged {
    to: Addressed,
    /// `None` once the conversation is over.
    conversation: Option<Conversation>,
    /// Raw `serverInfo`.
    server: Box<str>,
    /// Progress token of a call that began in an earlier round, with the token of this round.
    token: Option<(Box<str>, Option<Box<str>>)>,
}

/// Answers `server/discover` from the upstream's handshake.
pub(super) async fn discover(to: &Addressed) -> Reply {
    let id = to.asking.message.id();
    let deadline = Instant::now() + to.asking.edge.config.initialize_timeout;
    match to.upstream.own_session(deadline).await {
        Ok(session) => {
            let result = protocol::discovery(session.handshake());
            respond::json(StatusCode::OK, protocol::result_response(id, &result))
        }
        Err(error) => respond::failure(id, &error),
    }
}

/// Carries out a request, or resumes the parked call that its `requestState` names.
pub(super) async fn answer(to: Addressed) -> Reply {
    let asking = Arc::clone(&to.asking);
    let begun = match state(&asking.message) {
        Some(state) => match claim(&asking, &to.upstream, state.as_deref()).await {
            Some(conversation) => Ok(resume(to, conversation).await),
            None => Err(invalid_state()),
        },
        None => begin(to).await,
    };
    match begun {
        Ok(talk) => respond_with(talk, &asking.edge.config).await,
        Err(error) => respond::modern_failure(&asking.message, &error),
    }
}

/// Returns the `requestState` of a request, if it has one; the inner `None` stands for a value that is not a string.
pub(super) fn state(message: &Message) -> Option<Option<String>> {
    let raw = Object::read(message.params()).ok()?.get("requestState")?;
    Some(serde_json::from_str(raw).ok())
}

/// Returns the error for an invalid state, which does not depend on the cause.
pub(super) fn invalid_state() -> Error {
    Kind::InvalidParams("the `requestState` is not valid").into()
}

/// Sends a request on a session of its caller.
pub(super) async fn begin(to: Addressed) -> Result<Bridged, Error> {
    let Addressed { asking, upstream, request, .. } = &to;
    let Asking { edge, deadline, .. } = &**asking;
    let caller = Caller { upstream, principal: asking.principal, capabilities: &asking.capabilities };
    let is_alone = asking.log_level.is_some() || protocol::can_answer_anything(&asking.capabilities);
    let seat = Pool::take(edge, caller, if is_alone { Use::Alone } else { Use::Shared }).await?;
    if let Some(level) = &asking.log_level {
        seat.line().log_from(level, *deadline).await;
    }
    let request = protocol::plain(request).map_err(|error| Error::new(Kind::Malformed).because(error))?;
    let conversation = Conversation::begin(seat, request, upstream.call_deadline(), edge.tasks.clone());
    Ok(Bridged::new(to, conversation, None))
}

/// Claims the parked call of this upstream that a state belongs to.
pub(super) async fn claim(asking: &Asking, upstream: &Arc<Upstream>, state: Option<&str>) -> Option<Conversation> {
    asking.edge.parked.claim(state?, &of(asking, upstream)).await
}

/// Resumes a parked call with the client's answers. Repeats the call if it was lost and may be repeated.
pub(super) async fn resume(to: Addressed, mut conversation: Conversation) -> Bridged {
    let asking = &to.asking;
    let begun_with = token(conversation.request());
    let is_lost = conversation.failure().is_some_and(|error| matches!(error.kind(), Kind::Lost | Kind::SessionLost));
    if is_lost && is_repeatable(&to, conversation.request()).await {
        conversation.repeat();
    } else {
        let params = Object::read(asking.message.params()).ok();
        conversation.answer(params.and_then(|params| params.get("inputResponses")));
        if let Some(level) = &asking.log_level
            && let Some(seat) = conversation.seat()
        {
            seat.line().log_from(level, asking.deadline).await;
        }
    }
    Bridged::new(to, conversation, begun_with)
}

/// True if a request that may have been executed can be sent again.
async fn is_repeatable(to: &Addressed, request: &Message) -> bool {
    let method = request.method();
    let name = Object::read(request.params()).ok().and_then(|params| params.text("name").map(String::from));
    match name {
        Some(name) if method == "tools/call" => {
            to.asking.edge.catalog.tool(&to.upstream, &name, |tool| tool.is_repeatable).await == Some(true)
        }
        Some(_) | None => READING.contains(&method),
    }
}

/// Returns the purpose of a `requestState`: this principal's request at this upstream, in any round.
fn of(asking: &Asking, upstream: &Arc<Upstream>) -> Purpose {
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
    let upstream = Arc::as_ptr(upstream).addr().to_be_bytes();
    let mut parts = vec![upstream.as_slice(), whose.as_bytes(), message.method().as_bytes()];
    parts.extend(members.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]));
    purpose(parts)
}

fn token(message: &Message) -> Option<Box<str>> {
    protocol::progress_token(message).map(Into::into)
}

impl Talk for Bridged {
    fn request(&self) -> &Message {
        &self.to.asking.message
    }

    async fn next(&mut self) -> Said {
        loop {
            let Some(conversation) = &mut self.conversation else {
                return Said::Failed(Kind::Cancelled.into());
            };
            match conversation.step(&self.to.asking.capabilities).await {
                Step::Told(message) => {
                    if let Some(message) = self.heard(message).and_then(|message| self.to.told(message)) {
                        return Said::Told(message);
                    }
                }
                Step::Asked => return self.park(),
                Step::Answered(outcome) => {
                    self.conversation = None;
                    return match outcome {
                        Ok(answer) => self.answered(&answer),
                        Err(error) => Said::Failed(error),
                    };
                }
            }
        }
    }
}

impl Bridged {
    /// Creates the exchange. `begun_with` is the progress token of a call that began in an earlier round.
    fn new(to: Addressed, conversation: Conversation, begun_with: Option<Box<str>>) -> Self {
        let handshake = conversation.seat().map(|seat| seat.line().handshake().clone());
        let server = handshake.as_ref().map_or("{}", |handshake| protocol::server_info(handshake)).into();
        let token = begun_with.map(|old| (old, token(&to.asking.message)));
        Self { to, conversation: Some(conversation), server, token }
    }

    /// Returns an upstream's notification as this request's stream carries it; `None` if the stream does not carry it.
    fn heard(&self, bytes: Bytes) -> Option<Bytes> {
        let message = Message::parse(bytes.clone()).ok()?;
        let params = Object::read(message.params()).ok();
        match message.method() {
            "notifications/message" => {
                let level = params.and_then(|params| params.text("level").map(String::from))?;
                is_severe(&level, self.to.asking.log_level.as_deref()?).then_some(bytes)
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
        let Some(conversation) = self.conversation.take() else { return Said::Failed(Kind::Cancelled.into()) };
        let Addressed { asking, upstream, .. } = &self.to;
        match asking.edge.parked.reserve(Arc::as_ptr(upstream).addr(), &of(asking, upstream)) {
            Ok(slot) => {
                let result = input_required(conversation.asked(), &self.to.state(slot.state()), &self.server);
                slot.keep(conversation, &asking.capabilities, &asking.edge.tasks);
                Said::Answer(StatusCode::OK, protocol::result_response(self.request().id(), &result))
            }
            Err(error) => Said::Failed(error),
        }
    }

    fn answered(&self, answer: &Message) -> Said {
        let request = &self.to.asking.message;
        match answer.error_code() {
            Some(METHOD_NOT_FOUND) => Said::Answer(StatusCode::NOT_FOUND, answer.with_id(request.id(), &[])),
            Some(URL_ELICITATION_REQUIRED) => {
                let data = r#"{"requiredCapabilities":{"elicitation":{"url":{}}}}"#;
                let words = "The client must declare that it can visit URLs";
                let body = protocol::error_response(request.id(), MISSING_CAPABILITY, words, data);
                Said::Answer(StatusCode::BAD_REQUEST, body)
            }
            _ => {
                let edits = self.to.edits(answer);
                let edits: Vec<(&str, &str)> = edits.iter().map(|(old, new)| (*old, new.as_str())).collect();
                Said::Answer(StatusCode::OK, protocol::completed(request, answer, &self.server, &edits))
            }
        }
    }
}
