//! Attachments of one client of all upstreams: one per upstream, opened on first use with the client's own `initialize`
//! parameters.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use schemas::ServerName;
use tokio::sync::{OnceCell, oneshot};
use tokio::time::{Instant, timeout};
use tracing::debug;

use crate::downstream::aggregate::translate;
use crate::downstream::edge::Edge;
use crate::downstream::own_lists::{OwnLists, Stale};
use crate::downstream::session::Session;
use crate::error::{Chain, Error, Kind};
use crate::protocol::{Message, Object};
use crate::sync::lock;
use crate::upstream::{Attachment, Call, Deadline, Event, EventQueue, OpenError, Upstream, event_queue};

const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
/// Timeout for setting an upstream's log level.
const LEVEL_TIMEOUT: Duration = Duration::from_secs(5);

/// Attachments of one client by upstream.
pub(super) struct Hub {
    /// Raw `initialize` parameters of the client.
    hello: Box<str>,
    slots: Mutex<HashMap<ServerName, Arc<Slot>>>,
    /// Last `logging/setLevel` of the client.
    level: Mutex<Option<Message>>,
    /// Lists that upstreams show to this client alone.
    own: OwnLists,
}

struct Slot {
    upstream: Arc<Upstream>,
    attachment: OnceCell<Arc<Attachment>>,
}

impl Hub {
    pub(super) fn new(hello: &str) -> Self {
        Self { hello: hello.into(), slots: Mutex::default(), level: Mutex::default(), own: OwnLists::default() }
    }

    /// Returns the attachment to this upstream. Callers that come while it is being opened wait for it.
    pub(super) async fn attachment(
        &self,
        edge: &Arc<Edge>,
        session: &Arc<Session>,
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
        let opening = || Box::pin(self.open(edge, session, upstream));
        let attachment = slot.attachment.get_or_try_init(opening).await?;
        Ok(Arc::clone(attachment))
    }

    /// Returns the lists that upstreams show to this client alone.
    pub(super) fn own(&self) -> &OwnLists {
        &self.own
    }

    /// Returns every open attachment.
    pub(super) fn open_ones(&self) -> Vec<Arc<Attachment>> {
        lock(&self.slots).values().filter_map(|slot| slot.attachment.get().cloned()).collect()
    }

    /// Sets the log level of every upstream in use, and of those that come into use later.
    pub(super) async fn set_level(&self, request: &Message) {
        *lock(&self.level) = Some(request.clone().compact());
        let told = self.open_ones().into_iter().map(|attachment| async move { tell_level(&attachment, request).await });
        futures_util::future::join_all(told).await;
    }

    async fn open(
        &self,
        edge: &Arc<Edge>,
        session: &Arc<Session>,
        upstream: &Arc<Upstream>,
    ) -> Result<Arc<Attachment>, Error> {
        let name = upstream.definition().name.clone();
        let opened = edge.attach(upstream, &self.hello).await;
        let (attachment, handshake, events) = opened.map_err(|error| match error {
            OpenError::Failed(error) => error.at(&name),
            OpenError::Refused(answer) => {
                Error::new(Kind::BadAnswer).at(&name).because(format!("it answered {}", answer.body()))
            }
        })?;
        let carried = carry_over(Arc::clone(edge), Arc::clone(session), Arc::clone(&attachment), events);
        edge.tasks.spawn("session events", carried);
        if let Ok(initialized) = Message::parse(Bytes::from_static(INITIALIZED)) {
            attachment.notify(&initialized).await?;
        }
        let level = lock(&self.level).clone();
        if let Some(level) = level.filter(|_| logs(&handshake)) {
            tell_level(&attachment, &level).await;
        }
        debug!(session = &*session.id, upstream = %name, "session attached");
        Ok(attachment)
    }
}

/// Forwards the upstream's events outside any call, until the session or the upstream ends.
async fn carry_over(edge: Arc<Edge>, session: Arc<Session>, attachment: Arc<Attachment>, mut events: EventQueue) {
    let (own, upstream) = (session.own_stream(), Arc::clone(attachment.upstream()));
    let mut doubts = attachment.doubts();
    let mut stale = Stale::default();
    let mut reading: Option<BoxFuture<'_, ()>> = None;
    let kept = attachment.keep();
    tokio::pin!(kept);
    loop {
        tokio::select! {
            () = session.closed().cancelled() => break,
            () = upstream.retired().cancelled() => break,
            // After a gap in the upstream session, its lists may be outdated.
            Ok(()) = doubts.changed() => stale.doubt(),
            () = stale.is_due(), if reading.is_none() => {
                let (kinds, attachment, session) = (stale.take(), &attachment, &session);
                let edge = &edge;
                reading = Some(Box::pin(async move {
                    if let Ok(hub) = session.hub() {
                        hub.own.read(edge, attachment, &kinds).await;
                    }
                }));
            }
            () = async { if let Some(reading) = &mut reading { reading.await } }, if reading.is_some() => reading = None,
            () = own.room(), if !own.has_room() => {}
            Some(event) = events.recv(), if own.has_room() => {
                if let Event::Notification(notification) = &event
                    && !attachment.is_shared()
                {
                    stale.hear(notification);
                }
                if let Some(event) = translate(&edge, &session, upstream.definition().name.as_str(), event) {
                    session.put(&own, event);
                }
            }
            () = &mut kept => {}
        }
    }
    if let Ok(hub) = session.hub() {
        hub.own.forget(&upstream.definition().name);
    }
    attachment.close().await;
}

async fn tell_level(attachment: &Arc<Attachment>, request: &Message) {
    let (events, _nobody) = event_queue();
    let (_never, cancelled) = oneshot::channel();
    let call = Call { message: request, events, cancelled, deadline: Deadline::at(Instant::now() + LEVEL_TIMEOUT) };
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
