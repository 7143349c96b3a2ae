//! Receives a modern upstream's notifications: one `subscriptions/listen` for the whole session, reopened whenever
//! the clients' subscriptions change (2026-07-28, "Subscriptions").

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::debug;

use crate::error::{Chain, Error, Kind};
use crate::protocol::{self, ClientMeta, INTERNAL_ERROR, METHOD_NOT_FOUND, Message, Object, SUBSCRIPTION_KEY};
use crate::upstream::connection::{Connection, Sender};
use crate::upstream::deadline::Deadline;
use crate::upstream::event::Event;
use crate::upstream::events::event_queue;
use crate::upstream::ids::NOBODY;
use crate::upstream::inbox::Inbox;

/// Timeout for the acknowledgement of a `subscriptions/listen`.
const PATIENCE: Duration = Duration::from_secs(10);
const FIRST_RETRY: Duration = Duration::from_millis(500);
/// Maximum pause before a retry, so that a recovered upstream is listened to soon.
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// Streams that end sooner than this increase the pause before the next one.
const SHORT_LIFE: Duration = Duration::from_secs(10);
/// Maximum time for which a client waits until a change of its subscriptions has reached the upstream, if no answer depends
/// on it.
const SETTLING: Duration = Duration::from_secs(1);
/// Deadline of a listen stream, which only the upstream ends.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The kinds of change notifications that an upstream offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offers {
    tools: bool,
    prompts: bool,
    resources: bool,
    subscriptions: bool,
}

/// The notifications that the upstream has acknowledged. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Listening {
    agreed: watch::Sender<Agreed>,
}

#[derive(Default)]
struct Agreed {
    /// Count of subscription changes that the acknowledgement covers.
    revision: Option<u64>,
    uris: BTreeSet<Box<str>>,
}

impl Offers {
    /// Reads the offers from the upstream's capabilities.
    pub(super) fn read(discovery: &Message) -> Self {
        let raw = Object::read(discovery.body()).ok().and_then(|result| result.get("capabilities"));
        let all = raw.and_then(|raw| Object::read(raw).ok());
        let says = |part: &str, what: &str| {
            let part = all.as_ref().and_then(|all| all.get(part)).and_then(|raw| Object::read(raw).ok());
            part.is_some_and(|part| part.get(what) == Some("true"))
        };
        Self {
            tools: says("tools", "listChanged"),
            prompts: says("prompts", "listChanged"),
            resources: says("resources", "listChanged"),
            subscriptions: says("resources", "subscribe"),
        }
    }

    fn filter(self, uris: &BTreeSet<Box<str>>) -> Option<String> {
        let flags = [
            (self.tools, "toolsListChanged"),
            (self.prompts, "promptsListChanged"),
            (self.resources, "resourcesListChanged"),
        ];
        let mut members: Vec<String> =
            flags.iter().filter(|(offered, _)| *offered).map(|(_, name)| format!(r#""{name}":true"#)).collect();
        if self.subscriptions && !uris.is_empty() {
            members.push(format!(r#""resourceSubscriptions":{}"#, serde_json::json!(uris)));
        }
        (!members.is_empty()).then(|| format!(r#"{{"notifications":{{{}}}}}"#, members.join(",")))
    }
}

impl Listening {
    /// Waits until the upstream has acknowledged notifications for this resource.
    pub(super) async fn covers(&self, inbox: &Inbox, uri: &str, deadline: Instant) -> Result<(), Error> {
        match self.settled(inbox, deadline.min(Instant::now() + PATIENCE), |agreed| agreed.uris.contains(uri)).await {
            Some(true) => Ok(()),
            Some(false) => Err(Kind::InvalidParams("the upstream does not tell of changes of this resource").into()),
            None => Err(Kind::TimedOut.into()),
        }
    }

    /// Waits, for a moment at the most, until the upstream has acknowledged the subscriptions as they are now. Then no
    /// notification comes twice, from the former stream and from the next one.
    pub(super) async fn settle(&self, inbox: &Inbox) {
        self.settled(inbox, Instant::now() + SETTLING, |_| ()).await;
    }

    /// Applies `read` to what the upstream has acknowledged once that covers the subscriptions as they are now; `None` if
    /// it does not by the deadline.
    async fn settled<T>(&self, inbox: &Inbox, deadline: Instant, read: impl FnOnce(&Agreed) -> T) -> Option<T> {
        let revision = *inbox.subscriptions_changed.borrow();
        let mut agreed = self.agreed.subscribe();
        let answered = agreed.wait_for(|agreed| agreed.revision.is_some_and(|answered| answered >= revision));
        let answered = timeout_at(deadline, answered).await;
        answered.ok().and_then(Result::ok).map(|agreed| read(&agreed))
    }
}

/// Keeps a stream open while polled. Opens the new stream before it drops the old one, so that nothing is missed.
pub(super) async fn run(connection: Arc<Connection>, offers: Offers, listening: Listening) {
    let mut changes = connection.inbox.subscriptions_changed.subscribe();
    let mut streams = Streams { connection: &connection, listening: &listening, current: None, was_lost: false };
    let (mut delay, mut pause) = (FIRST_RETRY, FIRST_RETRY);
    loop {
        let count = *changes.borrow_and_update();
        let Some(filter) = offers.filter(&connection.inbox.subscriptions()) else {
            streams.current = None;
            listening.agreed.send_replace(Agreed { revision: Some(count), uris: BTreeSet::new() });
            if changes.changed().await.is_err() {
                return;
            }
            continue;
        };
        let ended = match streams.renew(&filter, count).await {
            Ok(ended) => ended,
            Err(error) if streams.gives_up(&error) => return,
            Err(error) => {
                debug!(error = %Chain(&error), "cannot listen to the upstream");
                sleep(delay).await;
                delay = (delay * 2).min(LONGEST_RETRY);
                continue;
            }
        };
        delay = FIRST_RETRY;
        let opened = Instant::now();
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = ended.cancelled() => {
                (streams.current, streams.was_lost) = (None, true);
                // Back off if the upstream ends each stream at once.
                pause = if opened.elapsed() < SHORT_LIFE { (pause * 2).min(LONGEST_RETRY) } else { FIRST_RETRY };
                sleep(pause).await;
            }
        }
    }
}

/// The streams of a session, one after the other.
struct Streams<'a> {
    connection: &'a Arc<Connection>,
    listening: &'a Listening,
    current: Option<Stream>,
    /// True after the upstream has ended a stream, until the next one is open.
    was_lost: bool,
}

impl Streams<'_> {
    /// Replaces the current stream. `count` is the number of subscription changes that the filter covers. Returns the
    /// token that is cancelled when the new stream ends.
    async fn renew(&mut self, filter: &str, count: u64) -> Result<CancellationToken, Error> {
        let (stream, uris) = open(self.connection, filter).await?;
        let ended = stream.ended.clone();
        let old = self.current.replace(stream);
        let is_first = old.is_none();
        // A change that follows on the acknowledgement comes on the new stream alone.
        if let Some(old) = old {
            old.end().await;
        }
        self.listening.agreed.send_replace(Agreed { revision: Some(count), uris });
        // Changes during a time without a stream were not announced.
        match (std::mem::take(&mut self.was_lost), is_first) {
            (true, _) => self.connection.inbox.gap(),
            (false, true) => self.connection.inbox.late_stream(),
            (false, false) => {}
        }
        Ok(ended)
    }

    /// Stops listening after an error that no retry can help. Returns false for any other error.
    fn gives_up(&self, error: &Error) -> bool {
        // The upstream came back as a server without subscriptions: end the session, so that the era is probed again.
        if self.was_lost && is_refusal(error) {
            self.connection.inbox.close("the upstream came back and refuses to be listened to");
            return true;
        }
        let is_unknown = error.kind() == Kind::InvalidRequest(NOT_OFFERED);
        if is_unknown {
            debug!("upstream offers no `subscriptions/listen`");
            self.listening.agreed.send_replace(Agreed { revision: Some(u64::MAX), uris: BTreeSet::new() });
        }
        is_unknown
    }
}

/// True if the upstream rejects the method itself, rather than being busy or requiring other credentials.
fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), Kind::InvalidRequest(NOT_OFFERED | REFUSED) | Kind::UpstreamStatus(400 | 404 | 405))
}

const NOT_OFFERED: &str = "the upstream offers no `subscriptions/listen`";
const REFUSED: &str = "the upstream refuses `subscriptions/listen`";

/// One `subscriptions/listen` in flight; dropping it ends the stream.
struct Stream {
    ended: CancellationToken,
    _stop: DropGuard,
}

impl Stream {
    /// Ends the stream. Nothing of it is published after this.
    async fn end(self) {
        let Self { ended, _stop: stop } = self;
        drop(stop);
        timeout(SETTLING, ended.cancelled()).await.ok();
    }
}

/// Opens a stream and waits for the acknowledgement. Returns the resources that it covers.
async fn open(connection: &Arc<Connection>, filter: &str) -> Result<(Stream, BTreeSet<Box<str>>), Error> {
    let malformed = |invalid| Error::new(Kind::Malformed).because(invalid);
    let request = Message::parse(protocol::request(0, "subscriptions/listen", filter)).map_err(malformed)?;
    let request = ClientMeta::own().apply(&request, None, &[]).map_err(malformed)?;
    let (acknowledge, acknowledged) = oneshot::channel();
    let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
    let stream = Stream { ended: ended.clone(), _stop: stop.clone().drop_guard() };
    let (following, until) = (Arc::clone(connection), connection.inbox.closed().clone());
    connection.tasks().spawn("listen", async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = until.cancelled() => {}
            () = follow(following, request, acknowledge) => {}
        }
        ended.cancel();
    });
    let acknowledged = timeout(PATIENCE, acknowledged).await.map_err(|_| Error::new(Kind::TimedOut))?;
    let uris = acknowledged.unwrap_or_else(|_| Err(Kind::ConnectionLost.into()))?;
    Ok((stream, uris))
}

/// Reads a stream to its end.
async fn follow(
    connection: Arc<Connection>,
    request: Message,
    acknowledge: oneshot::Sender<Result<BTreeSet<Box<str>>, Error>>,
) {
    let (events, mut queue) = event_queue();
    let (_never, mut cancelled) = oneshot::channel();
    let deadline = Deadline::at(Instant::now() + FOREVER);
    let listen = connection.request(&request, Sender { caller: NOBODY, events, cancelled: &mut cancelled, deadline });
    tokio::pin!(listen);
    let mut acknowledge = Some(acknowledge);
    let ended = loop {
        tokio::select! {
            biased;
            Some(Event::Notification(bytes)) = queue.recv() => {
                let Ok(message) = Message::parse(bytes) else { continue };
                if message.method() == "notifications/subscriptions/acknowledged" {
                    acknowledge.take().map(|acknowledge| acknowledge.send(Ok(honoured(&message))));
                } else if let Ok(plain) = Message::parse(without_subscription(&message)) {
                    connection.inbox.publish(&plain);
                }
            }
            ended = &mut listen => break ended,
        }
    };
    let Some(acknowledge) = acknowledge else { return };
    let error = match ended {
        Ok(answer) if answer.error_code() == Some(METHOD_NOT_FOUND) => Kind::InvalidRequest(NOT_OFFERED).into(),
        Ok(answer) if answer.error_code().is_some_and(|code| code != INTERNAL_ERROR) => {
            Error::new(Kind::InvalidRequest(REFUSED)).because(format!("it answered {}", answer.body()))
        }
        Ok(answer) => Error::new(Kind::InvalidResponse).because(format!("it answered {}", answer.body())),
        Err(error) => error,
    };
    acknowledge.send(Err(error)).ok();
}

fn honoured(acknowledgement: &Message) -> BTreeSet<Box<str>> {
    let uris = || {
        let filter = Object::read(acknowledgement.params()).ok()?.get("notifications")?;
        serde_json::from_str(Object::read(filter).ok()?.get("resourceSubscriptions")?).ok()
    };
    uris().unwrap_or_default()
}

/// Removes the subscription id from a notification for legacy clients.
fn without_subscription(message: &Message) -> Bytes {
    let cut = || {
        let params = Object::read(message.params()).ok()?;
        let raw = params.get("_meta")?;
        let meta = Object::read(raw).ok()?;
        if meta.members().count() == 1 {
            return params.cut(message.params(), "_meta");
        }
        meta.cut(raw, SUBSCRIPTION_KEY)
    };
    cut().map_or_else(|| message.bytes().clone(), |cut| message.with(&[(cut, "")]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes())).expect("a message")
    }

    #[test]
    fn asks_for_what_is_offered_and_wanted() {
        let offers = Offers { tools: true, prompts: false, resources: true, subscriptions: true };
        let none = BTreeSet::new();
        assert_eq!(
            offers.filter(&none).as_deref(),
            Some(r#"{"notifications":{"toolsListChanged":true,"resourcesListChanged":true}}"#)
        );
        let silent = Offers { tools: false, prompts: false, resources: false, subscriptions: true };
        assert_eq!(silent.filter(&none), None);
        assert_eq!(
            silent.filter(&BTreeSet::from(["a:\"".into()])).as_deref(),
            Some(r#"{"notifications":{"resourceSubscriptions":["a:\""]}}"#)
        );
    }

    #[test]
    fn legacy_clients_see_no_subscription() {
        let check = |params: &str, expected: &str| {
            let text = format!(r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{params}}}"#);
            let expected = text.replace(params, expected);
            assert_eq!(without_subscription(&message(&text)), expected.as_bytes());
        };
        check(r#"{"uri":"a","_meta":{"io.modelcontextprotocol/subscriptionId":7}}"#, r#"{"uri":"a"}"#);
        check(
            r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":7,"x":1},"uri":"a"}"#,
            r#"{"_meta":{"x":1},"uri":"a"}"#,
        );
        check(r#"{"uri":"a"}"#, r#"{"uri":"a"}"#);
    }
}
