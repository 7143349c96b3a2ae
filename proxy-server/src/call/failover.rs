//! Routes a call to candidates, and makes attempts at them until one gives the answer. After a failure, the next
//! candidate is tried only if nothing was sent or the call may be repeated.

use std::sync::Arc;

use tokio::sync::oneshot;
use tracing::debug;

use crate::call::attempt::in_session;
use crate::call::exchange::Exchange;
use crate::call::modern_client::ModernClient;
use crate::call::modern_to_legacy::{self, requested_state, resume};
use crate::call::modern_to_modern;
use crate::call::record::CallRecord;
use crate::call::relay::relay;
use crate::call::request::{Answer, Attached, Call, Client, Scope};
use crate::call::services::Services;
use crate::call::tally::BegunCall;
use crate::call::target::{Target, borrowed};
use crate::catalog::{Candidate, Tool, split_id};
use crate::error::{Error, Kind};
use crate::protocol::{self, Era, Message, Object, quote};
use crate::route::{Route, may_pass_on};
use crate::upstream::{Attachment, Events, Upstream, UpstreamCall, event_queue, forward_cancellation};

/// Requests of an extension that has no counterpart in the legacy era.
const TASKS: [&str; 3] = ["tasks/get", "tasks/update", "tasks/cancel"];

/// Error for a tool of a legacy upstream that modern clients cannot call.
const NEEDS_TASK: Kind =
    Kind::InvalidParams("this tool runs only as a task of 2025-11-25, which clients of this revision cannot ask for");

/// A call whose candidates are known.
pub(crate) struct RoutedCall {
    services: Arc<Services>,
    call: Call,
    /// Candidates; `None` at the endpoint of one upstream.
    route: Option<Route>,
}

/// Finds the candidates of a call.
pub(crate) fn route(services: &Arc<Services>, mut call: Call) -> Result<RoutedCall, Error> {
    let (principal, method) = (call.principal, call.message.method());
    debug!(%principal, method, "call admitted");
    call.attribution.record = CallRecord::begin(&services.access_log, principal, &call.message);
    let route = match &call.scope {
        Scope::One(_) => None,
        Scope::All { caller, view } => {
            let known = |name: &str| Some(services.reachable(caller, name)?.definition().name.clone());
            let found = crate::route::route(view, &known, &call.message);
            Some(found.inspect_err(|error| {
                services.tally.begin(principal, method, &call.attribution).end(Err(error.kind()));
            })?)
        }
    };
    debug!(%principal, method, candidates = route.as_ref().map_or(1, |route| route.candidates.len()), "call routed");
    Ok(RoutedCall { services: Arc::clone(services), call, route })
}

impl RoutedCall {
    /// Applies `read` to the properties of the tool that a `tools/call` names; `None` if nothing special is known. All
    /// candidates take the same arguments.
    pub(crate) async fn tool<T>(&self, read: impl FnOnce(&Tool) -> T) -> Option<T> {
        match (&self.call.scope, &self.route) {
            (Scope::One(upstream), _) => self.tool_of(upstream, read).await,
            (Scope::All { .. }, route) => self.listed_tool(route.as_ref()?.candidates.first()?).map(read),
        }
    }

    /// Starts the call of a modern client, which cancels it by dropping the exchange.
    pub(crate) fn start(self) -> Exchange<Result<Answer, Error>> {
        Exchange::new(|events| {
            Box::pin(async move {
                // Counts the call as cancelled if its client drops it.
                let counted = self.begin();
                let outcome = match &self.call.client {
                    Client::Modern(client) => self.run_with_access(client, &events).await,
                    Client::Legacy(_) => Err(Kind::NotReady.into()),
                };
                self.log_outcome(counted, outcome)
            })
        })
    }

    /// Carries out the call of a legacy client. Its events go to `events`; a message on `cancelled` cancels it.
    pub(crate) async fn run(self, events: Events, mut cancelled: oneshot::Receiver<Message>) -> Result<Answer, Error> {
        let counted = self.begin();
        let outcome = match (&self.route, &self.call.client) {
            // Boxed, so that a call at one upstream does not carry the size of this future.
            (Some(route), _) => Box::pin(self.attempt_in_turn(route, &events, &mut cancelled)).await,
            (None, Client::Legacy(Attached::One(attachment))) => {
                let (message, attribution) = (&self.call.message, &self.call.attribution);
                let deadline = attachment.upstream().call_deadline();
                let answer =
                    in_session(attachment, attribution, UpstreamCall { message, events, cancelled, deadline }).await;
                answer.map(|answer| Answer::given(answer.pieces_with_id(message.id())))
            }
            (None, Client::Legacy(Attached::All(_)) | Client::Modern(_)) => Err(Kind::NotReady.into()),
        };
        self.log_outcome(counted, outcome)
    }

    /// Carries out the call for as long as its client may make it: an access token may be revoked meanwhile.
    async fn run_with_access(&self, client: &ModernClient, events: &Events) -> Result<Answer, Error> {
        let place = match &self.call.scope {
            Scope::One(upstream) => (None, Some(upstream.definition())),
            Scope::All { .. } => (None, None),
        };
        tokio::select! {
            outcome = self.run_for_modern(client, events) => outcome,
            () = self.services.policy.access_lost(self.call.principal, place) => Err(Kind::Cancelled.into()),
        }
    }

    async fn run_for_modern(&self, client: &ModernClient, events: &Events) -> Result<Answer, Error> {
        if let Some(state) = requested_state(&self.call.message) {
            return Box::pin(self.go_on(client, state, events)).await;
        }
        match (&self.route, &self.call.scope) {
            (None, Scope::One(upstream)) => {
                let request = self.call.message.clone();
                let target = Target { upstream: Arc::clone(upstream), request, view: None };
                self.attempt_for_modern(&target, client, None, events).await
            }
            (Some(route), _) => {
                let (_never, mut cancelled) = oneshot::channel();
                Box::pin(self.attempt_in_turn(route, events, &mut cancelled)).await
            }
            (None, Scope::All { .. }) => Err(Kind::NotReady.into()),
        }
    }

    fn begin(&self) -> BegunCall<'_> {
        self.services.tally.begin(self.call.principal, self.call.message.method(), &self.call.attribution)
    }

    /// Notes the end of a call.
    fn log_outcome(&self, counted: BegunCall<'_>, outcome: Result<Answer, Error>) -> Result<Answer, Error> {
        let (principal, method) = (self.call.principal, self.call.message.method());
        let failure = outcome.as_ref().err().map(|error| error.kind().word());
        counted.end(outcome.as_ref().map(|answer| answer.body.len()).map_err(Error::kind));
        debug!(%principal, method, failure, "call ended");
        outcome
    }

    /// Makes attempts at the candidates in order.
    async fn attempt_in_turn(
        &self,
        route: &Route,
        events: &Events,
        cancelled: &mut oneshot::Receiver<Message>,
    ) -> Result<Answer, Error> {
        let mut failure = Error::new(Kind::NotReady);
        for (number, candidate) in route.candidates.iter().enumerate() {
            if number > 0 {
                self.services.tally.count_failover();
            }
            let attempt = async {
                let target = self.target(route, candidate)?;
                match &self.call.client {
                    Client::Legacy(Attached::All(attachments)) => {
                        let opening = attachments.attachment(&self.services, &target.upstream);
                        let attachment = tokio::select! {
                            attachment = opening => attachment?,
                            Ok(_) = &mut *cancelled => return Err(Kind::Cancelled.into()),
                        };
                        self.attempt_for_legacy(&target, &attachment, events, cancelled).await
                    }
                    // A session with one upstream does not come to the endpoint of all.
                    Client::Legacy(Attached::One(_)) => Err(Kind::NotReady.into()),
                    Client::Modern(client) => self.attempt_for_modern(&target, client, Some(candidate), events).await,
                }
            };
            match attempt.await {
                Err(error) if may_pass_on(error.kind(), candidate) => {
                    failure = error;
                }
                outcome => return outcome,
            }
        }
        Err(failure)
    }

    async fn attempt_for_legacy(
        &self,
        target: &Target,
        attachment: &Arc<Attachment>,
        events: &Events,
        cancelled: &mut oneshot::Receiver<Message>,
    ) -> Result<Answer, Error> {
        let (message, attribution) = (&target.request, &self.call.attribution);
        let deadline = target.upstream.call_deadline();
        let (cancel, once) = oneshot::channel();
        let has_tasks = target
            .view
            .as_ref()
            .is_some_and(|view| view.members().get(target.name()).is_some_and(|member| member.has_tasks()));
        let answer = if has_tasks {
            let (own, queue) = event_queue();
            let call =
                in_session(attachment, attribution, UpstreamCall { message, events: own, cancelled: once, deadline });
            let limit = self.services.limits.queued_bytes;
            let relayed = relay(queue, events, limit, |event| target.event(event), call);
            forward_cancellation(relayed, cancelled, cancel).await?
        } else {
            let events = events.clone();
            let call = in_session(attachment, attribution, UpstreamCall { message, events, cancelled: once, deadline });
            forward_cancellation(call, cancelled, cancel).await?
        };
        Ok(Answer::given(answer.with_id(self.call.message.id(), &borrowed(&target.edits(&answer)))))
    }

    async fn attempt_for_modern(
        &self,
        target: &Target,
        client: &ModernClient,
        candidate: Option<&Candidate>,
        events: &Events,
    ) -> Result<Answer, Error> {
        let (services, call) = (&self.services, &self.call);
        match target.era(call.deadline).await? {
            Era::Modern => modern_to_modern::send(services, call, target, events).await,
            Era::Legacy if TASKS.contains(&call.message.method()) => Err(Kind::UnknownMethod.into()),
            Era::Legacy if self.needs_task(target, candidate).await => Err(NEEDS_TASK.into()),
            // Boxed, so that a request that is forwarded unchanged does not carry the size of this future.
            Era::Legacy => Box::pin(modern_to_legacy::send(services, (call, client), target, events)).await,
        }
    }

    /// True if the called tool runs only as a task of the legacy era.
    async fn needs_task(&self, target: &Target, candidate: Option<&Candidate>) -> bool {
        match candidate {
            Some(candidate) => self.listed_tool(candidate).is_some_and(|tool| tool.needs_task),
            None => self.tool_of(&target.upstream, |tool| tool.needs_task).await == Some(true),
        }
    }

    /// Continues a call whose client answers questions, at the upstream that its state names, and at no other.
    async fn go_on(&self, client: &ModernClient, state: Option<String>, events: &Events) -> Result<Answer, Error> {
        let (services, call) = (&self.services, &self.call);
        let invalid = || Error::from(Kind::InvalidParams("the `requestState` is not valid"));
        let (target, own, is_known) = match (&self.route, &call.scope) {
            (None, Scope::One(upstream)) => {
                let target = Target { upstream: Arc::clone(upstream), request: call.message.clone(), view: None };
                (target, state.as_deref().map(str::to_owned), true)
            }
            (Some(route), Scope::All { .. }) => {
                let (upstream, own) = state.as_deref().and_then(split_id).ok_or_else(invalid)?;
                let (target, is_known) = self.stated_target(route, &upstream, own).ok_or_else(invalid)?;
                (target, Some(own.to_owned()), is_known)
            }
            (_, _) => return Err(invalid()),
        };
        match target.era(call.deadline).await? {
            Era::Modern if is_known => modern_to_modern::send(services, call, &target, events).await,
            Era::Modern => Err(invalid()),
            // A parked call is found by its state alone.
            Era::Legacy => {
                let resumed = resume(services, (call, client), &target, own.as_deref(), events).await;
                resumed.unwrap_or_else(|| Err(invalid()))
            }
        }
    }

    /// Returns the target that a state names; with true, if the request itself is routed to it.
    fn stated_target(&self, route: &Route, upstream: &str, own: &str) -> Option<(Target, bool)> {
        let Scope::All { caller, view } = &self.call.scope else { return None };
        let message = &self.call.message;
        let candidate = route.candidates.iter().find(|candidate| candidate.upstream.as_str() == upstream);
        let upstream = self.services.reachable(caller, upstream)?;
        let request = candidate.and_then(|candidate| {
            let request = route.request(message, candidate);
            let place = Object::read(request.params()).ok()?.get("requestState")?;
            Some(request.replaced(&[(place, &quote(own))]))
        });
        let is_known = request.is_some();
        let (request, view) = (request.unwrap_or_else(|| message.clone()), Some(Arc::clone(view)));
        Some((Target { upstream, request, view }, is_known))
    }

    /// Addresses the request, with the candidate's own names, to its upstream. Fails if the upstream is gone or no
    /// longer permitted: the view may be older than the definition.
    fn target(&self, route: &Route, candidate: &Candidate) -> Result<Target, Error> {
        let Scope::All { caller, view } = &self.call.scope else { return Err(Kind::NotReady.into()) };
        let upstream = self.services.reachable(caller, candidate.upstream.as_str());
        let upstream = upstream.ok_or_else(|| Error::new(Kind::NotReady).at(&candidate.upstream))?;
        Ok(Target { upstream, request: route.request(&self.call.message, candidate), view: Some(Arc::clone(view)) })
    }

    /// Returns the tool of a candidate, as the client's view lists it.
    fn listed_tool(&self, candidate: &Candidate) -> Option<&Tool> {
        let Scope::All { view, .. } = &self.call.scope else { return None };
        let member = view.members().get(candidate.upstream.as_str());
        member.filter(|_| self.call.message.method() == "tools/call")?.tool(&candidate.name)
    }

    /// Applies `read` to the tool that a `tools/call` names, as its upstream lists it.
    async fn tool_of<T>(&self, upstream: &Arc<Upstream>, read: impl FnOnce(&Tool) -> T) -> Option<T> {
        let message = &self.call.message;
        if message.method() != "tools/call" {
            return None;
        }
        let name = message.parameter("name").and_then(protocol::text)?;
        self.services.catalog.tool(upstream, &name, read).await
    }
}
