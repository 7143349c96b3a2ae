//! Which session with its upstream a client gets: the gateway's own, one that clients of its era share, or one of its own.

use std::sync::Arc;

use schemas::{SessionMode, Transport};
use tokio::time::Instant;

use crate::protocol::{Era, Object};
use crate::upstream::Upstream;
use crate::upstream::attachment::{Attachment, Dedicated};
use crate::upstream::session::{Hello, OpenError, Session};

/// Capabilities by which a client lets itself be asked something.
const ASKABLE: [&str; 3] = ["sampling", "elicitation", "roots"];

/// A session, and what belongs to it when it is the client's own.
type Chosen = (Arc<Session>, Option<Dedicated>);

/// The session of a legacy client that introduced itself with these raw `initialize` parameters.
pub(super) async fn choose(upstream: &Upstream, hello: &str, deadline: Instant) -> Result<Chosen, OpenError> {
    let era = upstream.era(deadline).await?;
    if era == Era::Modern
        && let Some(chosen) = in_its_own_era(upstream, hello, deadline).await?
    {
        return Ok(chosen);
    }
    if shares(upstream, era, hello) {
        return Ok((upstream.own_session(deadline).await?, None));
    }
    let place = upstream.place()?;
    let deadline = deadline.min(upstream.start_deadline());
    let session = open_dedicated(upstream, era, hello, deadline).await?;
    Ok((session, Some(Dedicated { hello: hello.into(), _place: place })))
}

/// A session of the legacy era with a modern upstream that speaks both. Where there is no place left for it, the client is
/// served as one of a modern upstream is.
async fn in_its_own_era(upstream: &Upstream, hello: &str, deadline: Instant) -> Result<Option<Chosen>, OpenError> {
    if shares(upstream, Era::Legacy, hello) {
        let session = upstream.legacy_session(None, deadline).await?;
        return Ok(session.map(|session| (session, None)));
    }
    let Ok(place) = upstream.place() else { return Ok(None) };
    let session = upstream.legacy_session(Some(hello), deadline).await?;
    Ok(session.map(|session| (session, Some(Dedicated { hello: hello.into(), _place: place }))))
}

impl Attachment {
    /// The successor of a session that has ended.
    pub(super) async fn choose_again(&self, deadline: Instant) -> Result<Arc<Session>, OpenError> {
        let upstream = &self.upstream;
        let hello = self.dedicated.as_ref().map(|dedicated| &*dedicated.hello);
        let era = upstream.era(deadline).await?;
        if (self.era, era) == (Era::Legacy, Era::Modern)
            && let Some(session) = upstream.legacy_session(hello, deadline).await?
        {
            return Ok(session);
        }
        match hello {
            Some(hello) => open_dedicated(upstream, era, hello, deadline).await,
            None => Ok(upstream.own_session(deadline).await?),
        }
    }
}

async fn open_dedicated(
    upstream: &Upstream,
    era: Era,
    hello: &str,
    deadline: Instant,
) -> Result<Arc<Session>, OpenError> {
    let hello = match era {
        Era::Legacy => Hello::Legacy(hello),
        Era::Modern => Hello::Modern,
    };
    Session::open(upstream.environment(), upstream.definition(), hello, deadline).await
}

/// A process may be shared by clients that cannot be asked anything. One that can has its own, so that questions reach
/// it and nobody else. In the modern era questions are answers, and a process knows no clients to be told apart.
fn shares(upstream: &Upstream, era: Era, hello: &str) -> bool {
    let definition = upstream.definition();
    match (definition.sessions.mode, era) {
        (SessionMode::Shared, _) | (SessionMode::Auto, Era::Modern) => true,
        (SessionMode::Dedicated, _) => false,
        (SessionMode::Auto, Era::Legacy) => matches!(definition.transport, Transport::Stdio(_)) && !can_be_asked(hello),
    }
}

fn can_be_asked(hello: &str) -> bool {
    let capabilities = Object::read(hello).ok().and_then(|hello| hello.get("capabilities"));
    let capabilities = capabilities.and_then(|capabilities| Object::read(capabilities).ok());
    capabilities.is_some_and(|capabilities| ASKABLE.iter().any(|name| capabilities.get(name).is_some()))
}
