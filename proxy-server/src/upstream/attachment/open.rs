//! Opens an attachment for a client.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::protocol::{ClientMeta, Era, Message};
use crate::upstream::Upstream;
use crate::upstream::attachment::choice::choose;
use crate::upstream::attachment::{Attachment, Slot, stateless};
use crate::upstream::events::{EventQueue, event_queue};
use crate::upstream::ids::next_id;
use crate::upstream::session::OpenError;

impl Attachment {
    /// Attaches a client with these raw `initialize` parameters. Returns the upstream's response to the handshake, and
    /// the queue of events outside of any call.
    pub(crate) async fn open(
        upstream: Arc<Upstream>,
        hello: &str,
        deadline: Instant,
    ) -> Result<(Arc<Self>, Message, EventQueue), OpenError> {
        let (session, dedicated) = choose(&upstream, hello, deadline).await?;
        let (events, queue) = event_queue();
        let id = next_id();
        session.inbox().attach(id, events.clone());
        let handshake = match session.era() {
            Era::Legacy => session.handshake().clone(),
            Era::Modern => stateless::handshake(session.handshake(), &upstream.definition().name)?,
        };
        let era = session.era();
        let (slot, _) = watch::channel(Slot::Live(session));
        let attachment = Self {
            id,
            upstream,
            dedicated,
            era,
            client_meta: ClientMeta::of(hello),
            slot,
            events,
            client_state: Mutex::default(),
            shown: Mutex::default(),
            doubts: watch::Sender::default(),
            caught_up: Mutex::default(),
            closed: AtomicBool::new(false),
        };
        Ok((Arc::new(attachment), handshake, queue))
    }
}
