//! Conditional changes, applied only if a registration still has the expected revision.

use http::StatusCode;
use schemas::admin::{Acknowledgement, Revision, StaleRevision};
use schemas::{Definition, ServerName};
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::client::outcome::Updated;
use crate::error::Error;
use crate::request::{Answer, Call, registration};

/// Result of a conditional change.
///
/// ```
/// use proxy_client::Conditional;
/// use schemas::admin::{Revision, StaleRevision};
///
/// let told = |outcome: Conditional<bool>| match outcome {
///     Conditional::Done(was_there) => format!("removed: {was_there}"),
///     Conditional::Stale(stale) => format!("look again, it is at {}", stale.revision),
/// };
/// assert_eq!(told(Conditional::Done(true)), "removed: true");
/// let stale = StaleRevision::new("time", Revision::new(8), None);
/// assert_eq!(told(Conditional::Stale(stale)), "look again, it is at 8");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Conditional<T> {
    /// The change was applied.
    Done(T),
    /// The registration has another revision, and nothing was changed: read it again and decide anew.
    Stale(StaleRevision),
}

impl<T> Conditional<T> {
    /// Converts to a `Result`, for callers that treat a changed revision as an error.
    ///
    /// ```
    /// use proxy_client::Conditional;
    /// use schemas::admin::{Revision, StaleRevision};
    ///
    /// assert_eq!(Conditional::Done(7).done(), Ok(7));
    /// let stale = StaleRevision::new("time", Revision::new(8), Some("team-b"));
    /// let owner = Conditional::<()>::Stale(stale).done().err().and_then(|stale| stale.owner);
    /// assert_eq!(owner.as_deref(), Some("team-b"));
    /// ```
    pub fn done(self) -> Result<T, StaleRevision> {
        match self {
            Self::Done(done) => Ok(done),
            Self::Stale(stale) => Err(stale),
        }
    }
}

impl Client {
    /// Replaces a registration if it still has this revision.
    ///
    /// Idempotent: if the registration already equals `definition`, the result is a success at any revision. A gateway
    /// without revisions always replaces the registration, and returns no revision.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if there is no registration of that name.
    ///
    /// ```no_run
    /// use proxy_client::Conditional;
    ///
    /// # async fn run(client: proxy_client::Client, wanted: schemas::Definition) -> Result<(), proxy_client::Error> {
    /// let Some(registered) = client.get(&wanted.name).await? else { return Ok(()) };
    /// let Some(revision) = registered.revision else {
    ///     eprintln!("this gateway has no revisions: somebody else's change may be overwritten");
    ///     return Ok(());
    /// };
    /// match client.update_if(&wanted, revision).await? {
    ///     Conditional::Done(updated) => println!("now at {:?}", updated.revision),
    ///     Conditional::Stale(stale) => println!("{:?} changed it: {}", stale.owner, stale.revision),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn update_if(&self, definition: &Definition, revision: Revision) -> Result<Conditional<Updated>, Error> {
        let call = Call::put(registration(&definition.name)?, definition)?.only_at(Some(revision));
        let answer = self.send(call).await?;
        answer.unless_stale(Answer::updated)
    }

    /// Removes a registration if it still has this revision. Returns `false` if there is none of that name; after a
    /// retry, an earlier attempt may have removed it. A gateway without revisions always removes the registration.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client, name: schemas::ServerName) -> Result<(), proxy_client::Error> {
    /// let revision = client.get(&name).await?.and_then(|registered| registered.revision);
    /// if let Some(revision) = revision {
    ///     let is_gone = client.deregister_if(&name, revision).await?.done().is_ok();
    ///     println!("gone: {is_gone}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn deregister_if(&self, name: &ServerName, revision: Revision) -> Result<Conditional<bool>, Error> {
        let answer = self.send(Call::delete(registration(name)?).only_at(Some(revision))).await?;
        answer.unless_stale(Answer::removed)
    }

    /// Returns true if the gateway supports revisions, locks and leases. Other proxies and earlier versions do not,
    /// but unconditional requests work with them too.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), proxy_client::Error> {
    /// if !client.has_ownership().await? {
    ///     eprintln!("this gateway cannot keep two writers apart");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn has_ownership(&self) -> Result<bool, Error> {
        match self.leases().await {
            Ok(_) => Ok(true),
            Err(error) if error.is_unsupported() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Answer {
    /// Reads the answer with `read`, unless it reports a stale revision (412).
    pub(crate) fn unless_stale<T>(self, read: fn(Self) -> Result<T, Error>) -> Result<Conditional<T>, Error> {
        match self.status {
            StatusCode::PRECONDITION_FAILED => self.json().map(Conditional::Stale),
            _ => read(self).map(Conditional::Done),
        }
    }

    pub(crate) fn updated(self) -> Result<Updated, Error> {
        let warning = match self.status {
            StatusCode::OK => None,
            StatusCode::ACCEPTED => {
                let said = self.json::<Acknowledgement>().ok().map(|said| said.warning.unwrap_or(said.message));
                Some(said.unwrap_or_else(|| "saved, but not connected".to_owned()))
            }
            _ => return Err(self.refused()),
        };
        Ok(Updated { warning, revision: self.revision() })
    }

    pub(crate) fn removed(self) -> Result<bool, Error> {
        match self.status {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused()),
        }
    }

    /// Reads the body of a 200 response, or returns an error if the gateway does not have this endpoint.
    pub(crate) fn ok_if_supported<T: DeserializeOwned>(self, what: &'static str) -> Result<T, Error> {
        match self.unsupported(what) {
            Some(error) => Err(error),
            None => self.ok(),
        }
    }
}
