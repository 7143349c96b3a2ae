//! `subscriptions/listen` in front of a legacy upstream (2026-07-28, basic, "Subscriptions"): one stream that tells what
//! was asked for, first of all what that is, and nothing else.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::downstream::modern::{Addressed, Asking};
use crate::downstream::pool::{Caller, Line, Pool, Use, lock};
use crate::downstream::reply::{events, frame};
use crate::downstream::respond;
use crate::error::{Error, Kind};
use crate::protocol::{self, Message, Object, SUBSCRIPTION_KEY};
use crate::tasks::Tasks;

/// How long an upstream may take to accept subscriptions before the client is told that it has none.
const SUBSCRIBING: Duration = Duration::from_secs(5);
const UNSUBSCRIBING: Duration = Duration::from_secs(2);
/// Resources of one listener.
const MAX_RESOURCES: usize = 1_000;

/// What one listener hears of.
#[derive(Debug, Default, PartialEq, Eq)]
struct Filter {
    tools: bool,
    prompts: bool,
    resources: bool,
    uris: BTreeSet<String>,
}

/// One open stream.
struct Listener {
    id: Box<str>,
    filter: Filter,
    notices: broadcast::Receiver<Bytes>,
    subscribed: Subscribed,
    /// Has a successor of the upstream session opened when it ends.
    kept: BoxFuture<'static, ()>,
    stopping: CancellationToken,
    _place: OwnedSemaphorePermit,
}

/// Subscriptions to resources; ended when dropped.
struct Subscribed {
    line: Arc<Line>,
    uris: BTreeSet<String>,
    tasks: Tasks,
}

/// Opens the stream.
pub(super) async fn open(to: Addressed) -> Response {
    let id: Box<str> = to.asking.message.id().into();
    match listen(&to).await {
        Ok((listener, keep_alive)) => events(body(listener, keep_alive)),
        Err(error) => respond::failure(&id, &error),
    }
}

async fn listen(to: &Addressed) -> Result<(Listener, Duration), Error> {
    let (upstream, Asking { edge, principal, message, capabilities, .. }) = (&to.upstream, &*to.asking);
    let wanted = Filter::read(message.params())?;
    let place = Arc::clone(&edge.listeners).try_acquire_owned();
    let place = place.map_err(|_| Error::from(Kind::TooManySessions))?;
    let caller = Caller { upstream, principal: *principal, capabilities };
    let seat = Pool::take(edge, caller, Use::Shared).await?;
    let line = Arc::clone(seat.line());
    // Heard from here on, so that nothing is missed between the subscription and the first event.
    let notices = line.notices();
    let mut filter = wanted.offered(line.handshake());
    let subscribed = subscribe(&line, std::mem::take(&mut filter.uris), &edge.tasks).await;
    filter.uris = subscribed.uris.clone();
    let attachment = Arc::clone(line.attachment());
    let kept = Box::pin(async move { attachment.keep().await });
    let (id, stopping) = (message.id().into(), edge.closing.clone());
    let listener = Listener { id, filter, notices, subscribed, kept, stopping, _place: place };
    Ok((listener, edge.config.keep_alive))
}

impl Filter {
    /// Reads what a client wants to hear of.
    fn read(params: &str) -> Result<Self, Error> {
        let malformed = || Error::from(Kind::InvalidParams("`notifications` must say what to listen for"));
        let params = Object::read(params).map_err(|_| malformed())?;
        let wanted = params.get("notifications").and_then(|raw| Object::read(raw).ok()).ok_or_else(malformed)?;
        let is = |name| wanted.get(name) == Some("true");
        let uris: Vec<String> = match wanted.get("resourceSubscriptions") {
            Some(raw) => serde_json::from_str(raw).map_err(|_| malformed())?,
            None => Vec::new(),
        };
        if uris.len() > MAX_RESOURCES {
            return Err(Kind::InvalidParams("too many resources in one subscription").into());
        }
        let (tools, prompts) = (is("toolsListChanged"), is("promptsListChanged"));
        Ok(Self { tools, prompts, resources: is("resourcesListChanged"), uris: uris.into_iter().collect() })
    }

    /// What of it an upstream offers.
    fn offered(self, handshake: &Message) -> Self {
        let result = Object::read(handshake.body()).ok();
        let all = result.and_then(|result| Object::read(result.get("capabilities")?).ok());
        let has = |name: &str, what: &str| {
            let one = all.as_ref().and_then(|all| Object::read(all.get(name)?).ok());
            one.is_some_and(|one| one.get(what) == Some("true"))
        };
        Self {
            tools: self.tools && has("tools", "listChanged"),
            prompts: self.prompts && has("prompts", "listChanged"),
            resources: self.resources && has("resources", "listChanged"),
            uris: if has("resources", "subscribe") { self.uris } else { BTreeSet::new() },
        }
    }

    /// In the words of the client.
    fn written(&self) -> String {
        let mut members = Vec::new();
        for (is, name) in [
            (self.tools, "toolsListChanged"),
            (self.prompts, "promptsListChanged"),
            (self.resources, "resourcesListChanged"),
        ] {
            if is {
                members.push(format!("\"{name}\":true"));
            }
        }
        if !self.uris.is_empty() {
            let uris = serde_json::Value::from_iter(self.uris.iter().map(String::as_str));
            members.push(format!("\"resourceSubscriptions\":{uris}"));
        }
        format!("{{{}}}", members.join(","))
    }

    fn wants(&self, message: &Message) -> bool {
        match message.method() {
            "notifications/tools/list_changed" => self.tools,
            "notifications/prompts/list_changed" => self.prompts,
            "notifications/resources/list_changed" => self.resources,
            "notifications/resources/updated" => {
                let params = Object::read(message.params()).ok();
                let uri = params.and_then(|params| params.text("uri").map(String::from)).unwrap_or_default();
                // It may be a part of what was subscribed to (2025-11-25, resources, "Subscriptions").
                self.uris.iter().any(|wanted| uri.strip_prefix(wanted.as_str()).is_some_and(is_part))
            }
            _ => false,
        }
    }
}

fn is_part(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['/', '#', '?'])
}

impl Listener {
    fn acknowledgement(&self) -> Bytes {
        let (id, filter) = (&self.id, self.filter.written());
        Bytes::from(format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"{SUBSCRIPTION_KEY}":{id}}},"notifications":{filter}}}}}"#
        ))
    }

    /// What comes last when the gateway is the one that ends it.
    fn end(&self) -> Bytes {
        protocol::listening_ended(&self.id)
    }

    /// The next event; nothing when the upstream has gone for good or the gateway stops.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            tokio::select! {
                biased;
                () = self.subscribed.line.closed().cancelled() => return None,
                () = self.stopping.cancelled() => return None,
                notice = self.notices.recv() => match notice.map(Message::parse) {
                    Ok(Ok(message)) if self.filter.wants(&message) => {
                        return Some(protocol::subscribed(&message, &self.id));
                    }
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(missed)) => debug!(missed, "listener is far behind"),
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
                () = &mut self.kept => {}
            }
        }
    }
}

fn body(listener: Listener, keep_alive: Duration) -> Body {
    let first = frame(listener.acknowledgement());
    let frames = stream::unfold((Some(listener), Some(first)), move |(listener, first)| async move {
        let mut listener = listener?;
        if let Some(first) = first {
            return Some((Ok::<_, Infallible>(first), (Some(listener), None)));
        }
        match timeout(keep_alive, listener.next()).await {
            Ok(Some(message)) => Some((Ok(frame(message)), (Some(listener), None))),
            Ok(None) => Some((Ok(frame(listener.end())), (None, None))),
            Err(_) => Some((Ok(Bytes::from_static(b": keep-alive\n\n")), (Some(listener), None))),
        }
    });
    Body::from_stream(frames)
}

/// Subscribes to what nobody else on this session has subscribed to. What the upstream refuses is left out.
async fn subscribe(line: &Arc<Line>, uris: BTreeSet<String>, tasks: &Tasks) -> Subscribed {
    let deadline = Instant::now() + SUBSCRIBING;
    let mut subscribed = Subscribed { line: Arc::clone(line), uris: BTreeSet::new(), tasks: tasks.clone() };
    let mut asked = Vec::new();
    for uri in uris {
        let is_first = {
            let mut counts = lock(&line.subscriptions);
            let count = counts.entry(uri.clone()).or_insert(0);
            *count += 1;
            *count == 1
        };
        subscribed.uris.insert(uri.clone());
        if is_first {
            asked.push(async move {
                let params = params(&uri);
                let answer = line.ask("resources/subscribe", &params, deadline).await;
                let is_accepted = answer.is_ok_and(|answer| answer.kind() == protocol::Kind::Result);
                (!is_accepted).then_some(uri)
            });
        }
    }
    for refused in join_all(asked).await.into_iter().flatten() {
        subscribed.uris.remove(&refused);
        forget(line, &refused);
    }
    subscribed
}

/// Whether nobody is left who subscribed to it.
fn forget(line: &Line, uri: &str) -> bool {
    let mut counts = lock(&line.subscriptions);
    let Some(count) = counts.get_mut(uri) else { return false };
    *count -= 1;
    let is_last = *count == 0;
    if is_last {
        counts.remove(uri);
    }
    is_last
}

fn params(uri: &str) -> String {
    format!(r#"{{"uri":{}}}"#, serde_json::Value::from(uri))
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        let uris = std::mem::take(&mut self.uris);
        let last: Vec<String> = uris.into_iter().filter(|uri| forget(&self.line, uri)).collect();
        if last.is_empty() || self.line.closed().is_cancelled() {
            return;
        }
        let line = Arc::clone(&self.line);
        self.tasks.spawn("unsubscribe", async move {
            let deadline = Instant::now() + UNSUBSCRIBING;
            for uri in last {
                line.ask("resources/unsubscribe", &params(&uri), deadline).await.ok();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes())).expect(text)
    }

    #[test]
    fn acknowledges_what_is_wanted_and_offered() {
        let check = |wanted: &str, capabilities: &str, expected: &str| {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"capabilities":{capabilities}}}}}"#);
            let wanted = Filter::read(&format!(r#"{{"notifications":{wanted}}}"#)).expect(wanted);
            assert_eq!(wanted.offered(&message(&text)).written(), expected);
        };
        let all = r#"{"tools":{"listChanged":true},"resources":{"subscribe":true}}"#;
        check("{}", all, "{}");
        check(r#"{"toolsListChanged":true,"promptsListChanged":true}"#, all, r#"{"toolsListChanged":true}"#);
        check(r#"{"resourceSubscriptions":["a"]}"#, all, r#"{"resourceSubscriptions":["a"]}"#);
        check(r#"{"resourceSubscriptions":["a"],"toolsListChanged":false}"#, r#"{"resources":{}}"#, "{}");
        check(r#"{"taskIds":["a"]}"#, all, "{}");
        assert!(Filter::read("{}").is_err());
        assert!(Filter::read(r#"{"notifications":{"resourceSubscriptions":[1]}}"#).is_err());
    }

    #[test]
    fn tells_what_was_asked_for_only() {
        let filter = Filter { tools: true, uris: ["a://b".to_owned()].into(), ..Filter::default() };
        let check = |method: &str, uri: &str, expected: bool| {
            let text = format!(r#"{{"jsonrpc":"2.0","method":"notifications/{method}","params":{{"uri":"{uri}"}}}}"#);
            assert_eq!(filter.wants(&message(&text)), expected, "{text}");
        };
        check("tools/list_changed", "", true);
        check("prompts/list_changed", "", false);
        check("resources/list_changed", "", false);
        check("resources/updated", "a://b", true);
        check("resources/updated", "a://b/c", true);
        check("resources/updated", "a://bc", false);
        check("message", "", false);
    }
}
