//! Changes that are carried out only if a registration is still as the caller knew it.

use http::StatusCode;
use schemas::admin::{Acknowledgement, Revision, StaleRevision};
use schemas::{Definition, ServerName};
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::client::outcome::Updated;
use crate::error::Error;
use crate::request::{Answer, Call, registration};

/// What became of a change that depended on a revision.
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
    /// It was made.
    Done(T),
    /// The registration is in another state, and nothing was changed: look at it again, and decide again.
    Stale(StaleRevision),
}

impl<T> Conditional<T> {
    /// The change, for callers to whom a state that has moved on is an error of their own.
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
    /// Replaces a registration if it is still in this state. It must exist; otherwise the error
    /// [`is_not_found`](Error::is_not_found).
    ///
    /// Sending it twice is sending it once: if the registration is already as asked for, that is success, whatever the
    /// revision. A gateway without revisions replaces it in any case, and shows it by giving none back.
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

    /// Removes a registration if it is still in this state. `false` if there is none of that name, which after a retry
    /// may be the work of an earlier attempt. A gateway without revisions removes it in any case.
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

    /// Whether the gateway has revisions, locks and leases. Other makes and earlier versions have none of them: what
    /// is asked of them unconditionally works all the same.
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
    /// What the answer says, unless it says that the state has moved on.
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

    /// The body of a 200 on a path that other gateways do not have.
    pub(crate) fn ok_if_supported<T: DeserializeOwned>(self, what: &'static str) -> Result<T, Error> {
        match self.unsupported(what) {
            Some(error) => Err(error),
            None => self.ok(),
        }
    }
}
