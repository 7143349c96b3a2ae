//! What a client asked of its upstream session whose effect outlasts the answer: noted, and asked for again in the next
//! session.

use std::collections::BTreeSet;
use std::sync::MutexGuard;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::error::{Error, Kind};
use crate::protocol::{self, Era, Message, Object};
use crate::upstream::attachment::{Attachment, INITIALIZED, MAX_SUBSCRIPTIONS, MAX_URI_BYTES, lock};
use crate::upstream::inbox::{self, LEVELS};
use crate::upstream::session::Session;

/// Requests whose effect outlasts their answer.
const NOTED: [&str; 3] = ["resources/subscribe", "resources/unsubscribe", "logging/setLevel"];
/// What ending all subscriptions of a client may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What has to be asked for again in a new upstream session.
#[derive(Default)]
pub(super) struct Wishes {
    pub(super) initialized: bool,
    pub(super) subscriptions: BTreeSet<String>,
    pub(super) level: Option<usize>,
}

/// What is noted of one wish.
pub(super) enum Noted {
    Nothing,
    Level(Option<usize>),
    Subscription { uri: String, is_held: bool },
}

impl Attachment {
    /// Ends the subscriptions that nobody else holds.
    pub(super) async fn let_go(&self, session: &Session) {
        let deadline = Instant::now() + LAST_WORDS;
        let subscriptions = std::mem::take(&mut self.wishes().subscriptions);
        for uri in subscriptions {
            if !session.inbox().unsubscribe(self.id, &uri) && session.era() == Era::Legacy {
                let uri = serde_json::Value::from(uri);
                session.ask("resources/unsubscribe", &format!(r#"{{"uri":{uri}}}"#), deadline).await.ok();
            }
        }
    }

    /// Asks in a new session for what was asked for in the old one. What the upstream refuses now, the client finds
    /// out as it would without a gateway: nothing arrives.
    pub(super) async fn renew_wishes(&self, session: &Session, deadline: Instant) {
        let (initialized, subscriptions, level) = {
            let wishes = self.wishes();
            (wishes.initialized, wishes.subscriptions.clone(), wishes.level)
        };
        if initialized && self.dedicated.is_some() {
            let patience = self.upstream.stream_patience();
            session.initialized_within(Bytes::from_static(INITIALIZED), patience).await.ok();
        }
        if session.era() == Era::Modern {
            for uri in subscriptions {
                session.inbox().subscribe(self.id, &uri);
            }
            return;
        }
        if let Some(name) = level.and_then(|level| LEVELS.get(session.inbox().set_level(self.id, level))) {
            session.ask("logging/setLevel", &format!(r#"{{"level":"{name}"}}"#), deadline).await.ok();
        }
        for uri in subscriptions {
            if !session.inbox().subscribe(self.id, &uri) {
                let uri = serde_json::Value::from(uri);
                session.ask("resources/subscribe", &format!(r#"{{"uri":{uri}}}"#), deadline).await.ok();
            }
        }
    }

    /// Notes what has to be asked for again, and answers what an upstream session that others share must not be told.
    pub(super) fn note(&self, session: &Session, message: &Message) -> Result<Option<Message>, Error> {
        let done = || Message::parse(protocol::result_response(message.id(), "{}")).ok();
        if !NOTED.contains(&message.method()) {
            return Ok(None);
        }
        let Ok(params) = Object::read(message.params()) else { return Ok(None) };
        let answered_here = match (message.method(), params.text("uri"), params.text("level")) {
            ("resources/subscribe", Some(uri), _) => {
                let mut wishes = self.wishes();
                let is_new = !wishes.subscriptions.contains(uri.as_ref());
                if is_new && (wishes.subscriptions.len() >= MAX_SUBSCRIPTIONS || uri.len() > MAX_URI_BYTES) {
                    return Err(Kind::InvalidParams("too many subscriptions, or too long a URI").into());
                }
                wishes.subscriptions.insert(uri.clone().into_owned());
                session.inbox().subscribe(self.id, &uri)
            }
            ("resources/unsubscribe", Some(uri), _) => {
                self.wishes().subscriptions.remove(uri.as_ref());
                session.inbox().unsubscribe(self.id, &uri)
            }
            ("logging/setLevel", _, Some(word)) => match inbox::level(&word) {
                Some(level) => {
                    self.wishes().level = Some(level);
                    // Another session wants more; this one's messages are sifted here.
                    session.inbox().set_level(self.id, level) < level
                }
                None => false,
            },
            _ => false,
        };
        Ok(answered_here.then(done).flatten())
    }

    /// What a request would change of what is noted, as it is before.
    pub(super) fn noted(&self, message: &Message) -> Noted {
        if !NOTED.contains(&message.method()) {
            return Noted::Nothing;
        }
        let wishes = self.wishes();
        if message.method() == "logging/setLevel" {
            return Noted::Level(wishes.level);
        }
        let params = Object::read(message.params()).ok();
        let uri = params.and_then(|params| params.text("uri").map(String::from));
        uri.map_or(Noted::Nothing, |uri| Noted::Subscription { is_held: wishes.subscriptions.contains(&uri), uri })
    }

    /// Restores what was noted before a request that failed: a refused request changes nothing.
    pub(super) fn restore(&self, session: &Session, before: Noted) {
        match before {
            Noted::Nothing => {}
            Noted::Level(level) => {
                self.wishes().level = level;
                session.inbox().set_level(self.id, level.unwrap_or_default());
            }
            Noted::Subscription { uri, is_held: true } => {
                session.inbox().subscribe(self.id, &uri);
                self.wishes().subscriptions.insert(uri);
            }
            Noted::Subscription { uri, is_held: false } => {
                session.inbox().unsubscribe(self.id, &uri);
                self.wishes().subscriptions.remove(&uri);
            }
        }
    }

    pub(super) fn wishes(&self) -> MutexGuard<'_, Wishes> {
        lock(&self.wishes)
    }
}
