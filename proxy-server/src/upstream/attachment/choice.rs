//! Chooses a client's upstream session: the gateway's own, one shared by clients of its era, or a dedicated one.

use std::sync::Arc;

use schemas::{SessionMode, Transport};
use tokio::time::Instant;

use crate::protocol::{Era, Object};
use crate::upstream::Upstream;
use crate::upstream::attachment::{Attachment, Dedicated};
use crate::upstream::session::{Hello, OpenError, Session};

/// Client capabilities that allow server requests.
const ASKABLE: [&str; 3] = ["sampling", "elicitation", "roots"];

/// A session, with the client's data if it is dedicated.
type Chosen = (Arc<Session>, Option<Dedicated>);

/// Chooses the session of a legacy client with these raw `initialize` parameters.
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

/// Opens a legacy session with a modern upstream that also speaks the legacy era. At the session limit returns `None`,
/// and the client is served through the modern session.
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
    /// Opens the successor of a session that has ended.
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

/// True if the client may share a session. A client that can be asked something needs its own legacy process, so that
/// questions reach no other client. In the modern era questions are part of responses, so sharing is safe.
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
