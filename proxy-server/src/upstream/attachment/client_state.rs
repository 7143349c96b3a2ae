//! Tracks the subscriptions and the log level of a client, and requests them again in a new upstream session.

use std::sync::MutexGuard;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Kind};
use crate::protocol::{self, Era, INITIALIZED, Message, Object};
use crate::sync::lock;
use crate::upstream::attachment::{Attachment, ClientState, MAX_SUBSCRIPTIONS, MAX_URI_BYTES};
use crate::upstream::level::{self, LEVELS};
use crate::upstream::session::Session;

/// Requests with a lasting effect on the session.
const NOTED: [&str; 3] = ["resources/subscribe", "resources/unsubscribe", "logging/setLevel"];
/// Timeout for ending all subscriptions of a client.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The state before one request, for [`Attachment::restore`].
pub(super) enum Noted {
    Nothing,
    Level(Option<usize>),
    Subscription { uri: String, is_held: bool },
}

impl Attachment {
    /// Ends the subscriptions that no other client of the session holds.
    pub(super) async fn let_go(&self, session: &Session) {
        let deadline = Instant::now() + LAST_WORDS;
        let subscriptions = std::mem::take(&mut self.client_state().subscriptions);
        for uri in subscriptions {
            if !session.inbox().unsubscribe(self.id, &uri) && session.era() == Era::Legacy {
                let uri = serde_json::Value::from(uri);
                session.ask("resources/unsubscribe", &format!(r#"{{"uri":{uri}}}"#), deadline).await.ok();
            }
        }
    }

    /// Restores the client's state in a new session. If the upstream refuses something, the client gets no error: it
    /// misses the notifications, as it would without a gateway.
    pub(super) async fn restore_client_state(&self, session: &Session, deadline: Instant) {
        let (initialized, subscriptions, level) = {
            let state = self.client_state();
            (state.initialized, state.subscriptions.clone(), state.level)
        };
        if initialized && self.dedicated.is_some() {
            let patience = self.upstream.stream_patience();
            session.initialized_within(INITIALIZED.into(), patience).await.ok();
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

    /// Records the state to restore. Returns the response if the request must not reach an upstream session that others
    /// share.
    pub(super) fn note(&self, session: &Session, message: &Message) -> Result<Option<Message>, Error> {
        let done = || Message::parse(protocol::result_response(message.id(), "{}")).ok();
        if !NOTED.contains(&message.method()) {
            return Ok(None);
        }
        let Ok(params) = Object::read(message.params()) else { return Ok(None) };
        let answered_here = match (message.method(), params.text("uri"), params.text("level")) {
            ("resources/subscribe", Some(uri), _) => {
                let mut state = self.client_state();
                let is_new = !state.subscriptions.contains(uri.as_ref());
                if is_new && (state.subscriptions.len() >= MAX_SUBSCRIPTIONS || uri.len() > MAX_URI_BYTES) {
                    return Err(Kind::InvalidParams("too many subscriptions, or too long a URI").into());
                }
                state.subscriptions.insert(uri.clone().into_owned());
                session.inbox().subscribe(self.id, &uri)
            }
            ("resources/unsubscribe", Some(uri), _) => {
                self.client_state().subscriptions.remove(uri.as_ref());
                session.inbox().unsubscribe(self.id, &uri)
            }
            ("logging/setLevel", _, Some(word)) => match level::level(&word) {
                Some(level) => {
                    self.client_state().level = Some(level);
                    // Another client wants more verbose logs; this client's messages are filtered here.
                    session.inbox().set_level(self.id, level) < level
                }
                None => false,
            },
            _ => false,
        };
        Ok(answered_here.then(done).flatten())
    }

    /// Returns the recorded state that a request is about to change.
    pub(super) fn noted(&self, message: &Message) -> Noted {
        if !NOTED.contains(&message.method()) {
            return Noted::Nothing;
        }
        let state = self.client_state();
        if message.method() == "logging/setLevel" {
            return Noted::Level(state.level);
        }
        let params = Object::read(message.params()).ok();
        let uri = params.and_then(|params| params.text("uri").map(String::from));
        uri.map_or(Noted::Nothing, |uri| Noted::Subscription { is_held: state.subscriptions.contains(&uri), uri })
    }

    /// Restores the recorded state after a request failed, because a refused request changes nothing.
    pub(super) fn restore(&self, session: &Session, before: Noted) {
        match before {
            Noted::Nothing => {}
            Noted::Level(level) => {
                self.client_state().level = level;
                session.inbox().set_level(self.id, level.unwrap_or_default());
            }
            Noted::Subscription { uri, is_held: true } => {
                session.inbox().subscribe(self.id, &uri);
                self.client_state().subscriptions.insert(uri);
            }
            Noted::Subscription { uri, is_held: false } => {
                session.inbox().unsubscribe(self.id, &uri);
                self.client_state().subscriptions.remove(&uri);
            }
        }
    }

    pub(super) fn client_state(&self) -> MutexGuard<'_, ClientState> {
        lock(&self.client_state)
    }
}
