//! Carries requests of modern clients to legacy upstreams: opens sessions with the capabilities that clients declare in
//! every request, and turns the upstream's questions into results that ask for input.

pub(super) mod input_request;
pub(super) mod notices;
pub(super) mod parked;
pub(super) mod pool;
pub(super) mod pooled_session;
pub(super) mod round_trips;

use std::sync::Arc;

use bytes::Bytes;

use crate::call::modern_client::ModernClient;
use crate::call::modern_to_legacy::input_request::input_required;
use crate::call::modern_to_legacy::pool::Requester;
use crate::call::modern_to_legacy::pooled_session::Mode;
use crate::call::modern_to_legacy::round_trips::{RoundTrips, Step};

use crate::call::relay::notify;
use crate::call::request::{Answer, Call, Class};
use crate::call::services::Services;
use crate::call::target::{Target, borrowed};
use crate::error::{Error, Kind};
use crate::keys::seal::{Purpose, purpose};
use crate::protocol::{self, METHOD_NOT_FOUND, MISSING_CAPABILITY, Message, Object, URL_ELICITATION_REQUIRED};
use crate::upstream::{Events, Upstream, is_severe};

/// Requests that are sent again if the call is lost while the client answers its questions.
const READING: [&str; 2] = ["prompts/get", "resources/read"];

/// One round of a call: one request of the client.
struct Round<'a> {
    services: &'a Services,
    call: &'a Call,
    client: &'a ModernClient,
    target: &'a Target,
    /// Raw `serverInfo`.
    server: Box<str>,
    /// Progress token of a call that began in an earlier round, with the token of this round.
    token: Option<(Box<str>, Option<Box<str>>)>,
}

/// Returns the `requestState` of a request, if it has one; the inner `None` stands for a value that is not a string.
pub(super) fn requested_state(message: &Message) -> Option<Option<String>> {
    let raw = Object::read(message.params()).ok()?.get("requestState")?;
    Some(serde_json::from_str(raw).ok())
}

/// Sends the request of a call on a session of its caller, and returns the answer, which may ask for input.
pub(super) async fn send(
    services: &Services,
    (call, client): (&Call, &ModernClient),
    target: &Target,
    events: &Events,
) -> Result<Answer, Error> {
    if call.message.method() == "server/discover" {
        let session = target.upstream.own_session(call.deadline).await?;
        let result = protocol::discovery(session.handshake());
        return Ok(Answer::given(protocol::result_response(call.message.id(), &result)));
    }
    let requester =
        Requester { upstream: &target.upstream, principal: call.principal, capabilities: &client.capabilities };
    let is_alone = client.log_level.is_some() || protocol::can_answer_anything(&client.capabilities);
    let checkout = services.pool.take(requester, if is_alone { Mode::Alone } else { Mode::Shared }).await?;
    if let Some(level) = &client.log_level {
        checkout.session().log_from(level, call.deadline).await;
    }
    let request = protocol::plain(&target.request).map_err(|error| Error::new(Kind::Malformed).because(error))?;
    let trips = RoundTrips::begin(
        checkout,
        (request, call.attribution.clone()),
        target.upstream.call_deadline(),
        services.tasks.clone(),
    );
    Round::new(services, (call, client), target, &trips, None).run(trips, events).await
}

/// Resumes the parked call of this upstream that a state belongs to, with the client's answers; `None` if there is no
/// such call. Repeats the call if it was lost and may be repeated.
pub(super) async fn resume(
    services: &Services,
    (call, client): (&Call, &ModernClient),
    target: &Target,
    state: Option<&str>,
    events: &Events,
) -> Option<Result<Answer, Error>> {
    let mut trips = services.parked.claim(state?, &purpose_of(call, &target.upstream)).await?;
    let begun_with = token(trips.request());
    // The line of this round; that of the first one is written.
    call.attribution.note_attempt(target.name());
    let session = || trips.checkout()?.session().attachment().session_label();
    call.attribution.note_outcome(session, None);
    let is_lost = trips.failure().is_some_and(|error| matches!(error.kind(), Kind::ConnectionLost | Kind::SessionLost));
    if is_lost && is_repeatable(services, target, trips.request()).await {
        trips.repeat();
    } else {
        let params = Object::read(call.message.params()).ok();
        trips.answer(params.and_then(|params| params.get("inputResponses")));
        if let Some(level) = &client.log_level
            && let Some(checkout) = trips.checkout()
        {
            checkout.session().log_from(level, call.deadline).await;
        }
    }
    Some(Round::new(services, (call, client), target, &trips, begun_with).run(trips, events).await)
}

/// True if a request that may have been executed can be sent again.
async fn is_repeatable(services: &Services, target: &Target, request: &Message) -> bool {
    let method = request.method();
    let name = Object::read(request.params()).ok().and_then(|params| params.text("name").map(String::from));
    match name {
        Some(name) if method == "tools/call" => {
            services.catalog.tool(&target.upstream, &name, |tool| tool.is_repeatable).await == Some(true)
        }
        Some(_) | None => READING.contains(&method),
    }
}

/// Returns the purpose of a `requestState`: this principal's request at this upstream, in any round.
fn purpose_of(call: &Call, upstream: &Arc<Upstream>) -> Purpose {
    let message = &call.message;
    let whose = call.principal.to_string();
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

impl<'a> Round<'a> {
    /// Creates the round. `begun_with` is the progress token of a call that began in an earlier round.
    fn new(
        services: &'a Services,
        (call, client): (&'a Call, &'a ModernClient),
        target: &'a Target,
        trips: &RoundTrips,
        begun_with: Option<Box<str>>,
    ) -> Self {
        let handshake = trips.checkout().map(|checkout| checkout.session().handshake().clone());
        let server = handshake.as_ref().map_or("{}", |handshake| protocol::server_info(handshake)).into();
        let token = begun_with.map(|old| (old, token(&call.message)));
        Self { services, call, client, target, server, token }
    }

    /// Carries the call on until it is answered, or asks for input.
    async fn run(self, mut trips: RoundTrips, events: &Events) -> Result<Answer, Error> {
        loop {
            match trips.step(&self.client.capabilities).await {
                Step::Notified(message) => {
                    let message = self.for_this_round(message).and_then(|message| self.target.notification(message));
                    if let Some(message) = message {
                        notify(events, message, self.services.limits.queued_bytes).await;
                    }
                }
                Step::NeedsInput => return self.park(trips),
                Step::Answered(outcome) => return outcome.map(|answer| self.answer(&answer)),
            }
        }
    }

    /// Returns an upstream's notification as this round's stream carries it; `None` if the stream does not carry it.
    fn for_this_round(&self, bytes: Bytes) -> Option<Bytes> {
        let message = Message::parse(bytes.clone()).ok()?;
        let params = Object::read(message.params()).ok();
        match message.method() {
            "notifications/message" => {
                let level = params.and_then(|params| params.text("level").map(String::from))?;
                is_severe(&level, self.client.log_level.as_deref()?).then_some(bytes)
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

    fn park(&self, trips: RoundTrips) -> Result<Answer, Error> {
        let (services, upstream) = (self.services, &self.target.upstream);
        let reservation = services.parked.reserve(Arc::as_ptr(upstream).addr(), &purpose_of(self.call, upstream))?;
        let result = input_required(trips.asked(), &self.target.state(reservation.state()), &self.server);
        reservation.keep(trips, &self.client.capabilities, &services.tasks);
        Ok(Answer::given(protocol::result_response(self.call.message.id(), &result)))
    }

    fn answer(&self, answer: &Message) -> Answer {
        let request = &self.call.message;
        match answer.error_code() {
            Some(METHOD_NOT_FOUND) => {
                Answer { body: answer.with_id(request.id(), &[]).into(), class: Class::UnknownMethod }
            }
            Some(URL_ELICITATION_REQUIRED) => {
                let data = r#"{"requiredCapabilities":{"elicitation":{"url":{}}}}"#;
                let words = "The client must declare that it can visit URLs";
                let body = protocol::error_response(request.id(), MISSING_CAPABILITY, words, data);
                Answer { body: body.into(), class: Class::Refused }
            }
            _ => {
                let edits = self.target.modern_edits(answer);
                Answer::given(protocol::completed(request, answer, &self.server, &borrowed(&edits)))
            }
        }
    }
}
