//! Serves clients of all upstreams: answers the handshake and the lists from memory, and sends every other request to
//! the upstream that it is for. Answers from memory wait for no upstream.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tracing::{debug, info};

use crate::call::call;
use crate::catalog::{Candidate, List, Page, View, asked_by, audience};
use crate::downstream::edge::Edge;
use crate::downstream::hub::Hub;
use crate::downstream::respond;
use crate::downstream::session::{Scope, Session};
use crate::error::{Error, Kind};
use crate::pieces::Pieces;
use crate::policy::Caller;
use crate::protocol::{self, Era, Message, Object, own_legacy_list, quote, result_pieces, result_response};
use crate::route::{self, Route, answer_edits, may_pass_on, route};
use crate::sync::lock;
use crate::upstream::{Call, Event, EventQueue, Events, event_queue, forward_cancellation, is_level, list_changed};

/// Lists whose changes are announced as changes of resources.
const RESOURCES: [List; 3] = [List::Resources, List::Templates, List::Skills];
/// Delay in which changes of several upstreams are combined into one announcement.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// Opens a session with all upstreams, from memory. Returns the answer for the client.
pub(super) fn introduce(edge: &Arc<Edge>, session: &Arc<Session>, message: &Message, version: &str) -> Bytes {
    let view = view_of(edge, session);
    let answer = greeting(&view, message, version);
    if session.link_all(Arc::new(Hub::new(message.params())), version) {
        edge.tasks.spawn("session news", tell_news(Arc::clone(edge), Arc::clone(session), view));
    }
    info!(session = &*session.id, upstream = session.scope.name(), version, "session opened");
    answer
}

fn greeting(view: &View, hello: &Message, version: &str) -> Bytes {
    let instructions =
        view.instructions(audience(hello)).map(|text| format!(",\"instructions\":{}", quote(text))).unwrap_or_default();
    let result = format!(
        r#"{{"protocolVersion":"{version}","capabilities":{},"serverInfo":{{"name":"mcp-proxy","version":"{}"}}{instructions}}}"#,
        view.capabilities(),
        env!("CARGO_PKG_VERSION")
    );
    result_response(hello.id(), &result)
}

/// Forwards a client's notification to the upstreams that it may be for.
pub(super) async fn notify(session: &Session, message: &Message) -> Result<(), Error> {
    let attached = session.hub()?.open_ones();
    match (message.method(), attached.as_slice()) {
        // Each attachment completes its own handshake.
        ("notifications/initialized", _) => {}
        ("notifications/roots/list_changed", all) => {
            for attachment in all {
                // A failure at one upstream must not keep the notification from the others.
                if let Err(error) = attachment.notify(message).await {
                    debug!(upstream = %attachment.upstream().definition().name, %error, "notification not sent");
                }
            }
        }
        (_, [only]) => only.notify(message).await?,
        (method, _) => debug!(session = &*session.id, method, "notification belongs to no single upstream"),
    }
    Ok(())
}

/// Returns the response to a request, or `None` if the client has cancelled it.
pub(super) async fn run(
    edge: &Arc<Edge>,
    session: &Arc<Session>,
    caller: &Caller,
    message: &Message,
    events: Events,
) -> Option<Pieces> {
    let view = session.hub().map_or_else(|_| edge.view(caller), |hub| hub.own().view(edge, caller));
    let list = List::asked_by(message.method());
    let outcome = match (list, session.hub()) {
        (_, Err(error)) => Err(error),
        (Some(list), Ok(_)) => {
            let answer = if list == List::Skills { own_legacy_list } else { result_pieces };
            page(edge, &view, (Era::Legacy, list), message).map(|page| answer(message.id(), &page))
        }
        (None, Ok(hub)) if message.method() == "logging/setLevel" => set_level(hub, message).await.map(Pieces::from),
        (None, Ok(hub)) => {
            let errand = Errand { edge, session, hub, caller, view: &view };
            // Boxed, so that the future stays small for answers from memory.
            Box::pin(errand.forward(message, events)).await.map(Pieces::from)
        }
    };
    session.touch();
    match outcome {
        Ok(answer) => Some(answer),
        Err(error) if error.kind() == Kind::Cancelled => None,
        Err(error) => Some(respond::error_to(message, &error).into()),
    }
}

/// Returns the page of a list that a request asks for.
pub(super) fn page(edge: &Edge, view: &View, (era, list): (Era, List), message: &Message) -> Result<Bytes, Error> {
    if list == List::Skills && !view.members().have_skills() {
        return Err(Kind::UnknownMethod.into());
    }
    let params = Object::read(message.params()).ok();
    let cursor = params.as_ref().and_then(|params| params.get("cursor")).filter(|cursor| *cursor != "null");
    let cursor = cursor.map(|cursor| protocol::text(cursor).unwrap_or_default());
    let place = Page { era, list, cursor: cursor.as_deref() };
    let page = match asked_by(message) {
        Some(gateway) => edge.catalog.page_for_gateway(view, place, &gateway),
        None => {
            // A request of another gateway is no demand of a client: two gateways that list each other would refresh
            // for ever.
            edge.catalog.asked();
            view.page(place).cloned()
        }
    };
    page.ok_or_else(|| Kind::InvalidParams("the cursor is not one of this list's").into())
}

async fn set_level(hub: &Hub, message: &Message) -> Result<Bytes, Error> {
    let level = Object::read(message.params()).ok().and_then(|params| params.text("level").map(String::from));
    if !level.is_some_and(|level| is_level(&level)) {
        return Err(Kind::InvalidParams("`params.level` must be a log level").into());
    }
    hub.set_level(message).await;
    Ok(result_response(message.id(), "{}"))
}

/// Context of a request of a client of all upstreams.
struct Errand<'a> {
    edge: &'a Arc<Edge>,
    session: &'a Arc<Session>,
    hub: &'a Hub,
    caller: &'a Caller,
    view: &'a View,
}

impl Errand<'_> {
    /// Sends a request to its upstream. If that fails, tries the next candidate, provided that nothing was sent or the
    /// call may be repeated.
    async fn forward(&self, message: &Message, events: Events) -> Result<Bytes, Error> {
        let known = |name: &str| Some(self.edge.reachable(self.caller, name)?.definition().name.clone());
        let route = route(self.view, &known, message)?;
        let (_running, mut cancelled) = self.session.begin(message)?;
        let mut failure = Error::new(Kind::NotReady);
        for candidate in &route.candidates {
            let attempt = Attempt { route: &route, candidate, events: &events };
            match self.attempt(message, attempt, &mut cancelled).await {
                Ok(answer) => return Ok(answer),
                Err(error) if may_pass_on(error.kind(), candidate) => failure = error,
                Err(error) => return Err(error),
            }
        }
        Err(failure)
    }

    async fn attempt(
        &self,
        message: &Message,
        attempt: Attempt<'_>,
        cancelled: &mut oneshot::Receiver<Message>,
    ) -> Result<Bytes, Error> {
        let Attempt { route, candidate, events } = attempt;
        let name = candidate.upstream.as_str();
        // The view may be older than the definition.
        let upstream = self.edge.reachable(self.caller, name);
        let upstream = upstream.ok_or_else(|| Error::new(Kind::NotReady).at(&candidate.upstream))?;
        let opening = self.hub.attachment(self.edge, self.session, &upstream);
        let attachment = tokio::select! {
            attachment = opening => attachment?,
            Ok(_) = &mut *cancelled => return Err(Kind::Cancelled.into()),
        };
        let request = route.request(message, candidate);
        let deadline = upstream.call_deadline();
        let (relay, once) = oneshot::channel();
        let has_tasks = self.view.members().get(name).is_some_and(|member| member.has_tasks());
        let answer = if has_tasks {
            let (sink, queue) = event_queue();
            let call = call(&attachment, Call { message: &request, events: sink, cancelled: once, deadline });
            let relayed = self.relayed(name, queue, events, call);
            forward_cancellation(relayed, cancelled, relay).await?
        } else {
            let call = call(&attachment, Call { message: &request, events: events.clone(), cancelled: once, deadline });
            forward_cancellation(call, cancelled, relay).await?
        };
        let edits = answer_edits(self.view, name, message.method(), &answer);
        let edits: Vec<(&str, &str)> = edits.iter().map(|(old, new)| (*old, new.as_str())).collect();
        Ok(answer.with_id(message.id(), &edits))
    }

    /// Translates and forwards the events of a call until its answer.
    async fn relayed(
        &self,
        upstream: &str,
        mut queue: EventQueue,
        events: &Events,
        call: impl Future<Output = Result<Message, Error>>,
    ) -> Result<Message, Error> {
        let limit = self.edge.config.stream_bytes;
        let pass = |event| {
            if let Some(event) = translate(self.edge, self.session, upstream, event)
                && let Err(error) = events.put(event, limit)
            {
                debug!(%error, "event dropped");
            }
        };
        tokio::pin!(call);
        let outcome = loop {
            tokio::select! {
                biased;
                Some(event) = queue.recv(), if events.has_room(limit) => pass(event),
                outcome = &mut call => break outcome,
                () = events.room(limit), if !events.has_room(limit) => {}
            }
        };
        while let Some(event) = queue.try_recv() {
            pass(event);
        }
        outcome
    }
}

/// One attempt, at one candidate.
struct Attempt<'a> {
    route: &'a Route<'a>,
    candidate: &'a Candidate,
    events: &'a Events,
}

/// Translates an event of an upstream for the client; returns `None` if it is not for the client.
pub(super) fn translate(edge: &Edge, session: &Session, upstream: &str, event: Event) -> Option<Event> {
    match event {
        Event::Notification(bytes) => {
            let view = view_of(edge, session);
            route::notification(&view, upstream, bytes).map(Event::Notification)
        }
        Event::Question(question) => Some(Event::Question(question)),
    }
}

fn view_of(edge: &Edge, session: &Session) -> Arc<View> {
    match &session.scope {
        Scope::All(caller) => {
            let caller = lock(caller).clone();
            session.hub().map_or_else(|_| edge.view(&caller), |hub| hub.own().view(edge, &caller))
        }
        Scope::One(_) => edge.catalog.view(&|_| false),
    }
}

/// Announces changed lists to the client until the session ends.
async fn tell_news(edge: Arc<Edge>, session: Arc<Session>, mut seen: Arc<View>) {
    let (own, mut snapshots) = (session.own_stream(), edge.catalog.watch());
    let Ok(mut own_lists) = session.hub().map(|hub| hub.own().watch()) else { return };
    // Changes during the opening of the session are announced as well.
    snapshots.mark_changed();
    loop {
        tokio::select! {
            Ok(()) = own_lists.changed() => {}
            () = session.closed().cancelled() => return,
            () = edge.tasks.stopping().cancelled() => return,
            changed = snapshots.changed() => if changed.is_err() { return },
        }
        sleep(DEBOUNCE).await;
        snapshots.mark_unchanged();
        let view = view_of(&edge, &session);
        changes(&seen, &view).into_iter().flatten().for_each(|notice| own.push(notice));
        seen = view;
    }
}

/// Returns notifications for the lists that differ between two views: tools, prompts and resources. Skills, which have
/// no notification of their own, count as resources.
pub(super) fn changes(seen: &View, view: &View) -> [Option<Bytes>; 3] {
    let changed = |list| !view.agrees(seen, list);
    let kinds = [
        ("tools", changed(List::Tools)),
        ("prompts", changed(List::Prompts)),
        ("resources", RESOURCES.into_iter().any(changed)),
    ];
    kinds.map(|(kind, changed)| changed.then(|| list_changed(kind)))
}
