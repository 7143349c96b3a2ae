//! JSON-RPC batches, which one revision of the legacy era allows (2025-03-26, basic, "Batching").

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::join_all;

use crate::downstream::edge::Edge;
use crate::downstream::legacy::dialogue::{notify, run};
use crate::downstream::legacy::session::Session;
use crate::pieces::Pieces;
use crate::protocol::{Invalid, Kind, Message};
use crate::upstream::Events;

const REVISION: &str = "2025-03-26";
const MAX_MESSAGES: usize = 100;

/// Parses a body that is an array. Fails with `Invalid::Batch` if the session has agreed on another revision.
pub(in crate::downstream) fn read(session: &Session, body: &Bytes) -> Result<Vec<Message>, Invalid> {
    if session.version() != REVISION {
        return Err(Invalid::Batch);
    }
    let messages = Message::parse_batch(body, MAX_MESSAGES)?;
    match messages.iter().any(|message| message.method() == "initialize") {
        true => Err(Invalid::Envelope("`initialize` must not be part of a batch")),
        false => Ok(messages),
    }
}

/// Handles notifications and responses, and returns the requests.
pub(in crate::downstream) async fn take(session: &Session, messages: Vec<Message>) -> Vec<Message> {
    let mut requests = Vec::new();
    for message in messages {
        match message.kind() {
            Kind::Request => requests.push(message),
            // A batch response has no place for an error about a notification.
            Kind::Notification => drop(notify(session, message).await),
            Kind::Result | Kind::Error => session.answer(&message),
        }
    }
    requests
}

/// Runs all requests at once and returns their responses in one array, in order. A cancelled request has none.
pub(in crate::downstream) async fn run_all(
    edge: Arc<Edge>,
    session: Arc<Session>,
    requests: Vec<Message>,
    events: Events,
) -> Option<Pieces> {
    let run = |message| run(Arc::clone(&edge), Arc::clone(&session), message, events.clone());
    let answers: Vec<Pieces> = join_all(requests.into_iter().map(run)).await.into_iter().flatten().collect();
    let mut array = BytesMut::with_capacity(answers.iter().map(|answer| answer.len() + 1).sum::<usize>() + 1);
    for (index, answer) in answers.iter().enumerate() {
        array.put_u8(if index == 0 { b'[' } else { b',' });
        answer.iter().for_each(|piece| array.put_slice(piece));
    }
    array.put_u8(b']');
    (!answers.is_empty()).then(|| array.freeze().into())
}
