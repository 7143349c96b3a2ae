//! Attachments of one legacy client of all upstreams: one per upstream, opened on first use with the client's own
//! `initialize` parameters. What upstreams send outside of calls goes to one queue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use schemas::ServerName;
use tokio::sync::{OnceCell, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::call::context::Context;
use crate::call::own_lists::{OwnLists, Stale};
use crate::call::services::Services;
use crate::catalog::View;
use crate::error::{Chain, Error, Kind};
use crate::policy::Caller;
use crate::protocol::{Message, Object, result_response};
use crate::route;
use crate::sync::lock;
use crate::upstream::{Attachment, Deadline, Event, EventQueue, Events, Upstream, UpstreamCall, event_queue, is_level};

/// Timeout for setting an upstream's log level.
const LEVEL_TIMEOUT: Duration = Duration::from_secs(5);

/// Attachments of one client by upstream.
pub(crate) struct Attachments {
    /// Raw `initialize` parameters of the client.
    hello: Box<str>,
    slots: Mutex<HashMap<ServerName, Arc<Slot>>>,
    /// Last `logging/setLevel` of the client.
    level: Mutex<Option<Message>>,
    /// Lists that upstreams show to this client alone.
    own: OwnLists,
    /// Caller of the newest request.
    caller: Arc<Mutex<Caller>>,
    /// Queue for events outside of calls.
    events: Events,
    /// Id of the client's session, for the log.
    session: Box<str>,
    /// Cancelled when the session ends.
    closed: CancellationToken,
}

/// Session of the client, as its attachments need it.
pub(crate) struct ClientSession {
    pub(crate) id: Box<str>,
    /// Caller of the newest request.
    pub(crate) caller: Arc<Mutex<Caller>>,
    /// Cancelled when the session ends.
    pub(crate) closed: CancellationToken,
}

struct Slot {
    upstream: Arc<Upstream>,
    attachment: OnceCell<Arc<Attachment>>,
}

impl Attachments {
    /// Creates the attachments of a client with these raw `initialize` parameters. Events outside of calls go to
    /// `events`.
    pub(crate) fn new(hello: &str, session: ClientSession, events: Events) -> Arc<Self> {
        let ClientSession { id: session, caller, closed } = session;
        let (slots, level, own) = (Mutex::default(), Mutex::default(), OwnLists::default());
        Arc::new(Self { hello: hello.into(), slots, level, own, caller, events, session, closed })
    }

    /// Returns the client's view of all upstreams.
    pub(crate) fn view(&self, services: &Context) -> Arc<View> {
        let caller = lock(&self.caller).clone();
        self.own.view(services, &caller)
    }

    /// Returns the attachment to this upstream. Callers that come while it is being opened wait for it.
    pub(crate) async fn attachment(
        self: &Arc<Self>,
        services: &Arc<Services>,
        upstream: &Arc<Upstream>,
    ) -> Result<Arc<Attachment>, Error> {
        let name = &upstream.definition().name;
        let slot = {
            let mut slots = lock(&self.slots);
            // An attachment to a replaced upstream of this name ends by itself.
            let known = slots.get(name).filter(|slot| Arc::ptr_eq(&slot.upstream, upstream)).cloned();
            known.unwrap_or_else(|| {
                slots.retain(|_, slot| !slot.upstream.retired().is_cancelled());
                let slot = Arc::new(Slot { upstream: Arc::clone(upstream), attachment: OnceCell::new() });
                slots.insert(name.clone(), Arc::clone(&slot));
                slot
            })
        };
        // Boxed, because opening is rare and its future large.
        let opening = || Box::pin(self.open(services, upstream));
        let attachment = slot.attachment.get_or_try_init(opening).await?;
        Ok(Arc::clone(attachment))
    }

    /// Returns the lists that upstreams show to this client alone.
    pub(crate) fn own(&self) -> &OwnLists {
        &self.own
    }

    /// Returns every open attachment.
    pub(crate) fn open_ones(&self) -> Vec<Arc<Attachment>> {
        lock(&self.slots).values().filter_map(|slot| slot.attachment.get().cloned()).collect()
    }

    /// Sets the log level of every upstream in use, and of those that come into use later. Returns the response.
    pub(crate) async fn set_level(&self, request: &Message) -> Result<Bytes, Error> {
        let level = Object::read(request.params()).ok().and_then(|params| params.text("level").map(String::from));
        if !level.is_some_and(|level| is_level(&level)) {
            return Err(Kind::InvalidParams("`params.level` must be a log level").into());
        }
        *lock(&self.level) = Some(request.clone().compact());
        let told = self.open_ones().into_iter().map(|attachment| async move { tell_level(&attachment, request).await });
        join_all(told).await;
        Ok(result_response(request.id(), "{}"))
    }

    /// Forwards a client's notification to the upstreams that it may be for.
    pub(crate) async fn notify(&self, message: &Message) -> Result<(), Error> {
        let attached = self.open_ones();
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
            (method, _) => debug!(session = &*self.session, method, "notification belongs to no single upstream"),
        }
        Ok(())
    }

    async fn open(
        self: &Arc<Self>,
        services: &Arc<Services>,
        upstream: &Arc<Upstream>,
    ) -> Result<Arc<Attachment>, Error> {
        let name = &upstream.definition().name;
        let deadline = Instant::now() + services.limits.initialize_timeout;
        let opened = services.attach(upstream, &self.hello, deadline).await;
        let (attachment, handshake, events) = opened.map_err(|error| Error::from(error).at(name))?;
        attachment.complete_handshake(deadline).await.map_err(|error| error.at(name))?;
        let forwarded = Arc::clone(self).forward_events(Arc::clone(services), Arc::clone(&attachment), events);
        services.tasks.spawn("session events", forwarded);
        let level = lock(&self.level).clone();
        if let Some(level) = level.filter(|_| logs(&handshake)) {
            tell_level(&attachment, &level).await;
        }
        debug!(session = &*self.session, upstream = %name, "session attached");
        Ok(attachment)
    }

    /// Forwards an upstream's events outside of calls, until the session or the upstream ends.
    async fn forward_events(
        self: Arc<Self>,
        services: Arc<Services>,
        attachment: Arc<Attachment>,
        mut events: EventQueue,
    ) {
        let (upstream, limit) = (Arc::clone(attachment.upstream()), services.limits.queued_bytes);
        let mut doubts = attachment.doubts();
        let mut stale = Stale::default();
        let mut reading: Option<BoxFuture<'_, ()>> = None;
        let kept = attachment.keep();
        tokio::pin!(kept);
        loop {
            tokio::select! {
                () = self.closed.cancelled() => break,
                () = upstream.retired().cancelled() => break,
                // After a gap in the upstream session, its lists may be outdated.
                Ok(()) = doubts.changed() => stale.doubt(),
                () = stale.is_due(), if reading.is_none() => {
                    let (kinds, own, context, attachment) = (stale.take(), &self.own, &services, &attachment);
                    reading = Some(Box::pin(async move { own.read(context, attachment, &kinds).await }));
                }
                () = async { if let Some(reading) = &mut reading { reading.await } }, if reading.is_some() => {
                    reading = None;
                }
                () = self.events.room(limit), if !self.events.has_room(limit) => {}
                Some(event) = events.recv(), if self.events.has_room(limit) => {
                    self.pass_on(&services, &attachment, event, &mut stale);
                }
                () = &mut kept => {}
            }
        }
        self.own.forget(&upstream.definition().name);
        attachment.close().await;
    }

    /// Translates an event for the client and queues it.
    fn pass_on(&self, services: &Services, attachment: &Arc<Attachment>, event: Event, stale: &mut Stale) {
        let event = match event {
            Event::Notification(notification) => {
                if !attachment.is_shared() {
                    stale.hear(&notification);
                }
                let name = attachment.upstream().definition().name.as_str();
                route::notification(&self.view(services), name, notification).map(Event::Notification)
            }
            question @ Event::Question(_) => Some(question),
        };
        if let Some(event) = event
            && let Err(error) = self.events.put(event, services.limits.queued_bytes)
        {
            debug!(%error, "event dropped");
        }
    }
}

async fn tell_level(attachment: &Arc<Attachment>, request: &Message) {
    let (events, _nobody) = event_queue();
    let (_never, cancelled) = oneshot::channel();
    let call =
        UpstreamCall { message: request, events, cancelled, deadline: Deadline::at(Instant::now() + LEVEL_TIMEOUT) };
    match timeout(LEVEL_TIMEOUT, attachment.request(call)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => debug!(error = %Chain(&error), "log level not set"),
        Err(_) => debug!("log level not set in time"),
    }
}

fn logs(handshake: &Message) -> bool {
    let result = Object::read(handshake.body()).ok();
    let capabilities = result.and_then(|result| Object::read(result.get("capabilities")?).ok());
    capabilities.is_some_and(|capabilities| capabilities.get("logging").is_some())
}
