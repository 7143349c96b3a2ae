//! The lock of an owner, which prevents two concurrent runs for that owner.

use std::time::Duration;

use http::StatusCode;
use schemas::admin::{LockGrant, LockHeld, LockRequest, NO_SUCH_LOCK};
use schemas::{Holder, Owner, Secret};

use crate::client::Client;
use crate::error::Error;
use crate::request::{Call, segment};

const WHAT: &str = "locks";

/// A lock that was taken. It ends at [`expires_at`](Self::expires_at) unless renewed; dropping this value does not end
/// it.
///
/// ```no_run
/// use std::time::Duration;
///
/// use proxy_client::{Client, Locking};
///
/// # async fn run(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let (owner, holder) = ("team-a".parse()?, "ci-run-4711".parse()?);
/// if let Locking::Taken(lock) = client.lock(&owner, &holder, Duration::from_secs(30)).await? {
///     println!("{} keeps others from what {} owns, until {}", lock.holder, lock.owner, lock.expires_at);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lock {
    /// The owner whose registrations the lock guards.
    pub owner: Owner,
    /// The holder of the lock.
    pub holder: Holder,
    /// Time at which the lock was taken (RFC 3339, by the gateway's clock).
    pub since: String,
    /// Time at which the lock ends unless renewed (RFC 3339, by the gateway's clock).
    pub expires_at: String,
    token: Secret,
}

/// Result of taking a lock.
///
/// ```
/// use proxy_client::Locking;
/// use schemas::admin::LockHeld;
///
/// let told = |outcome: Locking| match outcome {
///     Locking::Taken(lock) => format!("mine until {}", lock.expires_at),
///     Locking::Held(held) => format!("{} has it until {}", held.holder, held.expires_at),
/// };
/// let held: LockHeld = serde_json::from_str(
///     r#"{"error":"Owner is locked","code":"lock_held","holder":"ci-run-4710",
///         "since":"2026-11-21T09:59:50Z","expiresAt":"2026-11-21T10:00:20Z"}"#,
/// )?;
/// assert_eq!(told(Locking::Held(held)), "ci-run-4710 has it until 2026-11-21T10:00:20Z");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Locking {
    /// The lock was taken.
    Taken(Lock),
    /// Another holder has the lock.
    Held(LockHeld),
}

/// Result of renewing a lock.
///
/// ```
/// use proxy_client::Renewal;
///
/// let may_go_on = |outcome: &Renewal| match outcome {
///     Renewal::Renewed(_) => true,
///     Renewal::Lost(_) => false,
/// };
/// assert!(!may_go_on(&Renewal::Lost(None)), "nobody has the lock, but somebody may have had it meanwhile");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Renewal {
    /// The lock was renewed; use this value from now on.
    Renewed(Lock),
    /// The lock had expired, so others may have changed the registrations it guarded. Names the present holder, if
    /// any.
    Lost(Option<LockHeld>),
}

impl Client {
    /// Takes the lock of an owner, without waiting if another holder has it.
    ///
    /// The time to live is 1 s to 10 min. Idempotent, because the client generates the lock's token.
    ///
    /// # Errors
    ///
    /// [`is_unsupported`](Error::is_unsupported) if the gateway has no locks.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use proxy_client::Locking;
    ///
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let (owner, holder) = ("team-a".parse()?, "ci-run-4711".parse()?);
    /// match client.lock(&owner, &holder, Duration::from_secs(30)).await? {
    ///     Locking::Taken(lock) => {
    ///         // ... change what team-a owns, and renew in time ...
    ///         client.unlock(&lock).await?;
    ///     }
    ///     Locking::Held(held) => eprintln!("{} holds it since {}", held.holder, held.since),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn lock(&self, owner: &Owner, holder: &Holder, ttl: Duration) -> Result<Locking, Error> {
        let request = LockRequest { holder: holder.clone(), ttl: ttl.into(), token: Some(draw()?), renew: false };
        match self.ask(owner, &request).await? {
            Some(Ok(grant)) => Ok(Locking::Taken(taken(owner, grant))),
            Some(Err(held)) => Ok(Locking::Held(held)),
            None => Err(Error::invalid("the gateway knows no lock to take")),
        }
    }

    /// Renews a lock, with this time to live. A lock that has expired is not taken again.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use proxy_client::{Lock, Renewal};
    ///
    /// # async fn run(client: proxy_client::Client, mut lock: Lock) -> Result<(), proxy_client::Error> {
    /// match client.renew(&lock, Duration::from_secs(30)).await? {
    ///     Renewal::Renewed(renewed) => lock = renewed,
    ///     Renewal::Lost(by) => eprintln!("the lock has expired, and is held by {by:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn renew(&self, lock: &Lock, ttl: Duration) -> Result<Renewal, Error> {
        let (holder, token) = (lock.holder.clone(), Some(lock.token.clone()));
        let request = LockRequest { holder, ttl: ttl.into(), token, renew: true };
        match self.ask(&lock.owner, &request).await? {
            Some(Ok(grant)) => Ok(Renewal::Renewed(taken(&lock.owner, grant))),
            Some(Err(held)) => Ok(Renewal::Lost(Some(held))),
            None => Ok(Renewal::Lost(None)),
        }
    }

    /// Releases a lock. Returns `false` if the lock had expired; after a retry, an earlier attempt may have released
    /// it.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client, lock: proxy_client::Lock) -> Result<(), proxy_client::Error> {
    /// if !client.unlock(&lock).await? {
    ///     eprintln!("the lock had expired before the work was done");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn unlock(&self, lock: &Lock) -> Result<bool, Error> {
        let answer = self.send(Call::delete(path(&lock.owner)).with("token", lock.token.expose())).await?;
        match answer.unsupported(WHAT) {
            Some(error) => Err(error),
            None => answer.removed(),
        }
    }

    /// Sends a lock request. Returns the grant, or the lock of another holder, or `None` if there is no lock to renew.
    async fn ask(&self, owner: &Owner, request: &LockRequest) -> Result<Option<Result<LockGrant, LockHeld>>, Error> {
        let answer = self.send(Call::put(path(owner), request)?).await?;
        match answer.status {
            StatusCode::CONFLICT => answer.json().map(|held| Some(Err(held))),
            StatusCode::NOT_FOUND if answer.refused().code() == Some(NO_SUCH_LOCK) => Ok(None),
            _ => answer.ok_if_supported(WHAT).map(|grant| Some(Ok(grant))),
        }
    }
}

fn path(owner: &Owner) -> String {
    format!("admin/locks/{}", segment(owner.as_str()))
}

fn taken(owner: &Owner, grant: LockGrant) -> Lock {
    let LockGrant { token, holder, since, expires_at } = grant;
    Lock { owner: owner.clone(), holder, since, expires_at, token }
}

/// Generates a random token of 128 bits.
fn draw() -> Result<Secret, Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| Error::invalid_because("cannot draw a token", error))?;
    Ok(Secret::new(format!("{:032x}", u128::from_be_bytes(random))))
}
