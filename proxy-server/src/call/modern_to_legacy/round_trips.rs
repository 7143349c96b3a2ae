//! One call of a modern client at a legacy upstream, in as many rounds as the upstream's questions need. The call at
//! the upstream stays open between rounds.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use crate::call::attempt::in_session;
use crate::call::modern_to_legacy::input_request::{InputRequest, refuse};
use crate::call::modern_to_legacy::pooled_session::Checkout;
use crate::call::record::Attribution;
use crate::error::{Error, Kind};
use crate::protocol::{self, INTERNAL_ERROR, Message, Object, URL_ELICITATION_REQUIRED};
use crate::tasks::Tasks;
use crate::upstream::{Deadline, Event, EventQueue, Question, UpstreamCall, event_queue};

/// Time without another question after which the client is asked all of them in one round.
const COALESCING: Duration = Duration::from_millis(30);
const MAX_ROUNDS: u32 = 10;
/// Maximum number of questions per round.
const MAX_QUESTIONS: usize = 32;
/// Maximum number of notifications queued for the client; no more events are then taken from the upstream.
const MAX_TOLD: usize = 1_024;
/// Timeout for the end of a cancelled call.
const WITHDRAWAL: Duration = Duration::from_secs(3);
/// Requests during which a client can be asked questions.
const MAY_ASK: [&str; 3] = ["tools/call", "prompts/get", "resources/read"];

/// Call in progress. Cancelled at the upstream if dropped before its end.
pub(in crate::call) struct RoundTrips {
    /// Request in the upstream's form.
    request: Message,
    attribution: Attribution,
    checkout: Option<Checkout>,
    outcome: Outcome,
    events: EventQueue,
    cancel: Option<oneshot::Sender<Message>>,
    asked: Vec<InputRequest>,
    /// Time at which the round is closed to further questions.
    quiet_at: Instant,
    told: VecDeque<Bytes>,
    rounds: u32,
    questions: u32,
    /// True if the client has accepted every URL that the upstream wants it to visit.
    is_agreed: bool,
    deadline: Deadline,
    tasks: Tasks,
}

enum Outcome {
    Awaited(BoxFuture<'static, Result<Message, Error>>),
    Known(Result<Message, Error>),
    /// Refusal until the client has visited URLs.
    Refused(Message),
    Given,
}

/// Next step of a call.
pub(in crate::call) enum Step {
    /// Notification of the upstream.
    Notified(Bytes),
    /// The client has to answer the open questions before the call continues.
    NeedsInput,
    Answered(Result<Message, Error>),
}

impl RoundTrips {
    pub(in crate::call) fn begin(
        checkout: Checkout,
        (request, attribution): (Message, Attribution),
        deadline: Deadline,
        tasks: Tasks,
    ) -> Self {
        let (outcome, events, cancel) = send(&checkout, (&request, &attribution), deadline);
        Self {
            request,
            attribution,
            checkout: Some(checkout),
            outcome,
            events,
            cancel: Some(cancel),
            asked: Vec::new(),
            quiet_at: deadline.latest(),
            told: VecDeque::new(),
            rounds: 0,
            questions: 0,
            is_agreed: true,
            deadline,
            tasks,
        }
    }

    /// Waits for the next step. Refuses questions that a client with these raw capabilities cannot answer.
    pub(in crate::call) async fn step(&mut self, capabilities: &str) -> Step {
        loop {
            if let Some(told) = self.told.pop_front() {
                return Step::Notified(told);
            }
            if let Outcome::Known(_) = self.outcome {
                match self.events.try_recv() {
                    Some(event) => self.take(event, capabilities),
                    None => match self.finish(capabilities) {
                        Some(answer) => return Step::Answered(answer),
                        None => return Step::NeedsInput,
                    },
                }
                continue;
            }
            let is_asking = !self.asked.is_empty();
            tokio::select! {
                biased;
                // Questions beyond the limit of a round are left for the next one.
                Some(event) = self.events.recv(), if self.asked.len() < MAX_QUESTIONS => self.take(event, capabilities),
                outcome = self.outcome.known() => self.outcome = Outcome::Known(outcome),
                () = sleep_until(self.quiet_at), if is_asking => {
                    self.rounds += 1;
                    if self.rounds > MAX_ROUNDS {
                        return Step::Answered(Err(Kind::InvalidParams("too many rounds without an answer").into()));
                    }
                    return Step::NeedsInput;
                }
            }
        }
    }

    /// Drains the upstream's events while the client answers a question. Queues notifications until the client returns.
    /// Returns after each event.
    pub(in crate::call) async fn rest(&mut self, capabilities: &str) {
        let is_awaited = matches!(self.outcome, Outcome::Awaited(_));
        tokio::select! {
            Some(event) = self.events.recv(), if self.told.len() < MAX_TOLD && self.asked.len() < MAX_QUESTIONS => {
                self.take(event, capabilities);
            }
            outcome = self.outcome.known(), if is_awaited => self.outcome = Outcome::Known(outcome),
            else => std::future::pending::<()>().await,
        }
    }

    /// Returns the number of bytes held in memory.
    pub(in crate::call) fn bytes(&self) -> usize {
        let answer = match &self.outcome {
            Outcome::Known(Ok(answer)) | Outcome::Refused(answer) => answer.bytes().len(),
            Outcome::Known(Err(_)) | Outcome::Awaited(_) | Outcome::Given => 0,
        };
        self.request.bytes().len() + answer + self.told.iter().map(Bytes::len).sum::<usize>()
    }

    /// Takes the client's answers: raw results by key. Questions without an answer stay open and are asked again.
    pub(in crate::call) fn answer(&mut self, responses: Option<&str>) {
        let responses = responses.and_then(|raw| Object::read(raw).ok());
        let answer_to = |asked: &InputRequest| {
            let raw = responses.as_ref()?.get(asked.key())?;
            Object::read(raw).is_ok().then_some(raw)
        };
        for asked in std::mem::take(&mut self.asked) {
            match answer_to(&asked) {
                Some(result) => {
                    let action = Object::read(result).ok().and_then(|result| result.text("action").map(String::from));
                    self.is_agreed &= asked.serial().is_some() || action.as_deref() == Some("accept");
                    asked.answer(result);
                }
                None => self.asked.push(asked),
            }
        }
        self.quiet_at = Instant::now();
        if self.asked.is_empty()
            && let Outcome::Refused(refusal) = &self.outcome
        {
            self.outcome = if self.is_agreed { self.again() } else { Outcome::Known(declined(refusal)) };
        }
    }

    /// Sends the request again. Only for a request that is known to have had no effect, or to be harmless to repeat.
    pub(in crate::call) fn repeat(&mut self) {
        self.asked.clear();
        self.outcome = self.again();
    }

    /// Returns the open questions.
    pub(in crate::call) fn asked(&self) -> &[InputRequest] {
        &self.asked
    }

    pub(in crate::call) fn checkout(&self) -> Option<&Checkout> {
        self.checkout.as_ref()
    }

    pub(in crate::call) fn request(&self) -> &Message {
        &self.request
    }

    /// Returns the latest end of the call.
    pub(in crate::call) fn deadline(&self) -> Instant {
        self.deadline.latest()
    }

    /// Returns the failure that ended the call while its client was answering.
    pub(in crate::call) fn failure(&self) -> Option<&Error> {
        match &self.outcome {
            Outcome::Known(Err(error)) => Some(error),
            Outcome::Known(Ok(_)) | Outcome::Awaited(_) | Outcome::Refused(_) | Outcome::Given => None,
        }
    }

    fn take(&mut self, event: Event, capabilities: &str) {
        match event {
            Event::Notification(message) => self.hear(message),
            Event::Question(question) => self.ask(question, capabilities),
        }
    }

    fn hear(&mut self, bytes: Bytes) {
        let Ok(message) = Message::parse(bytes) else { return };
        match message.method() {
            "notifications/cancelled" => {
                let serial = protocol::requested_id(message.params()).and_then(|raw| raw.parse().ok());
                self.asked.retain(|asked| asked.serial() != serial);
            }
            // Clients learn the outcome of a question from the answer alone, and they do not know legacy tasks.
            "notifications/elicitation/complete" | "notifications/tasks/status" => {}
            _ => self.told.push_back(message.bytes().clone()),
        }
    }

    fn ask(&mut self, question: Question, capabilities: &str) {
        let Question { serial, message, reply } = question;
        let Ok(request) = Message::parse(message) else { return };
        if !MAY_ASK.contains(&self.request.method()) {
            return refuse(reply, "the client cannot be asked in the course of this request");
        }
        if !protocol::can_answer(capabilities, request.method(), request.params()) {
            return refuse(reply, "the client cannot be asked this");
        }
        if self.rounds >= MAX_ROUNDS {
            return refuse(reply, "too many questions in one call");
        }
        let key = self.next_key();
        self.asked.push(InputRequest::of_request(key, serial, &request, reply));
        self.quiet_at = Instant::now() + COALESCING;
    }

    /// Returns the answer. For a refusal until URLs are visited, asks the client to visit them and returns `None`.
    fn finish(&mut self, capabilities: &str) -> Option<Result<Message, Error>> {
        let Outcome::Known(outcome) = std::mem::replace(&mut self.outcome, Outcome::Given) else { return None };
        // An upstream that has answered no longer waits for answers to its questions.
        self.asked.drain(..).for_each(|asked| asked.refuse("the request has been answered"));
        let wants_urls = outcome.as_ref().is_ok_and(|answer| answer.error_code() == Some(URL_ELICITATION_REQUIRED));
        let refusal = match outcome {
            Ok(refusal) if wants_urls && MAY_ASK.contains(&self.request.method()) => refusal,
            outcome => {
                self.checkout = None;
                return Some(outcome);
            }
        };
        let mut asked = InputRequest::of_refusal(&refusal, || self.next_key());
        let can = |asked: &InputRequest| protocol::can_answer(capabilities, asked.method(), asked.params());
        if asked.is_empty() || asked.len() > MAX_QUESTIONS || self.rounds >= MAX_ROUNDS || !asked.iter().all(can) {
            self.checkout = None;
            return Some(Ok(refusal));
        }
        self.rounds += 1;
        self.is_agreed = true;
        self.asked.append(&mut asked);
        self.outcome = Outcome::Refused(refusal);
        None
    }

    fn again(&mut self) -> Outcome {
        let Some(checkout) = &self.checkout else { return Outcome::Given };
        let (outcome, events, cancel) =
            send(checkout, (&self.request, &self.attribution), self.deadline.after(Instant::now()));
        self.events = events;
        self.cancel = Some(cancel);
        outcome
    }

    fn next_key(&mut self) -> String {
        self.questions += 1;
        format!("question-{}", self.questions)
    }
}

impl Outcome {
    /// Waits for the outcome; pending for ever if none is awaited.
    async fn known(&mut self) -> Result<Message, Error> {
        match self {
            Self::Awaited(outcome) => outcome.await,
            Self::Known(_) | Self::Refused(_) | Self::Given => std::future::pending().await,
        }
    }
}

impl Drop for RoundTrips {
    fn drop(&mut self) {
        let Outcome::Awaited(outcome) = std::mem::replace(&mut self.outcome, Outcome::Given) else { return };
        let (Some(cancel), Some(mut checkout)) = (self.cancel.take(), self.checkout.take()) else { return };
        self.asked.clear();
        self.tasks.spawn("withdraw call", async move {
            let words = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":0,"reason":"the client closed the response stream"}}"#;
            if let Ok(words) = Message::parse(Bytes::from_static(words.as_bytes())) {
                cancel.send(words).ok();
                timeout(WITHDRAWAL, outcome).await.ok();
            }
            // Many upstreams ignore the cancellation, and would ask the next caller the questions of this call.
            checkout.discard();
        });
    }
}

/// Sends the request on the pooled session of `checkout`.
fn send(
    checkout: &Checkout,
    (request, attribution): (&Message, &Attribution),
    deadline: Deadline,
) -> (Outcome, EventQueue, oneshot::Sender<Message>) {
    let (events, queue) = event_queue();
    let (cancel, cancelled) = oneshot::channel();
    let attachment = checkout.session().attachment().clone();
    let (message, attribution) = (request.clone(), attribution.clone());
    let outcome = async move {
        in_session(&attachment, &attribution, UpstreamCall { message: &message, events, cancelled, deadline }).await
    };
    (Outcome::Awaited(Box::pin(outcome)), queue, cancel)
}

/// Returns the error for a client that declines to visit the URLs. The code of the refusal does not exist in this era.
fn declined(refusal: &Message) -> Result<Message, Error> {
    let words = "the request needs URLs to be visited, and the client declined";
    Ok(Message::parse(protocol::error_response(refusal.id(), INTERNAL_ERROR, words, "")).unwrap_or(refusal.clone()))
}

#[cfg(test)]
impl RoundTrips {
    /// Creates a trips with an upstream that sends nothing.
    pub(in crate::call) fn silent(deadline: Instant, tasks: &Tasks) -> Self {
        let request = Message::parse(protocol::request(1, "tools/call", "{}")).expect("a request");
        Self {
            request,
            attribution: crate::tenant::Tenant::GATEWAY.into(),
            checkout: None,
            outcome: Outcome::Awaited(Box::pin(std::future::pending())),
            events: event_queue().1,
            cancel: None,
            asked: Vec::new(),
            quiet_at: deadline,
            told: VecDeque::new(),
            rounds: 0,
            questions: 0,
            is_agreed: true,
            deadline: Deadline::at(deadline),
            tasks: tasks.clone(),
        }
    }
}
