//! Leases: a leased registration is removed when its last lease ends.

use std::time::Duration;

use http::StatusCode;
use schemas::admin::{Acknowledgement, HeldLeases, LeaseGrant, LeaseList, LeaseRelease, LeaseRequest, Revision};
use schemas::{Definition, Holder, ServerName};

use crate::client::Client;
use crate::client::conditional::Conditional;
use crate::client::outcome::Updated;
use crate::error::Error;
use crate::request::{Answer, Call, registration, segment};
use crate::retry::Rule;

const WHAT: &str = "leases";

/// Result of [`Client::register_leased`].
///
/// ```
/// use proxy_client::RegisteredLeased;
/// use schemas::admin::Revision;
///
/// let must_be_removed = |outcome: &RegisteredLeased| match outcome {
///     RegisteredLeased::CreatedForGood => true,
///     RegisteredLeased::Created { .. } | RegisteredLeased::AlreadyExists => false,
/// };
/// let expires_at = "2026-11-21T10:00:30Z".to_owned();
/// assert!(!must_be_removed(&RegisteredLeased::Created { revision: Revision::new(7), expires_at }));
/// assert!(must_be_removed(&RegisteredLeased::CreatedForGood));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegisteredLeased {
    /// The gateway stored the registration and removes it when its last lease ends.
    Created {
        /// The revision of the registration.
        revision: Revision,
        /// Time at which the lease ends unless renewed (RFC 3339, by the gateway's clock).
        expires_at: String,
    },
    /// The gateway stored the registration but has no leases: it stays until a client removes it.
    CreatedForGood,
    /// The name is taken, by an equal or a different definition: nothing was changed, and no lease was taken.
    AlreadyExists,
}

impl Client {
    /// Registers an upstream and takes a lease on the registration for this holder. The registration is removed when
    /// its last lease ends.
    ///
    /// The time to live is 1 s to 1 h. All leases of a holder end at the same time: this call may prolong the holder's
    /// other leases, but never shortens them. If the name is taken, nothing is changed; [`lease`](Self::lease) takes a
    /// lease then.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use proxy_client::RegisteredLeased;
    ///
    /// # async fn run(client: proxy_client::Client, wanted: schemas::Definition) -> Result<(), Box<dyn std::error::Error>> {
    /// let (holder, ttl) = ("worker-1".parse()?, Duration::from_secs(30));
    /// match client.register_leased(&wanted, &holder, ttl).await? {
    ///     RegisteredLeased::Created { .. } => {}
    ///     RegisteredLeased::AlreadyExists => {
    ///         client.lease(&holder, ttl, &[wanted.name]).await?;
    ///     }
    ///     RegisteredLeased::CreatedForGood => eprintln!("{} has to be removed by hand", wanted.name),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn register_leased(
        &self,
        definition: &Definition,
        holder: &Holder,
        ttl: Duration,
    ) -> Result<RegisteredLeased, Error> {
        let call = Call::post("admin/mcps", Rule::Register, definition)?.leased(holder, ttl);
        let answer = self.send(call).await?;
        match answer.status {
            StatusCode::CREATED => {
                let expires_at = answer.json::<Acknowledgement>().ok().and_then(|said| said.expires_at);
                Ok(match (answer.revision(), expires_at) {
                    (Some(revision), Some(expires_at)) => RegisteredLeased::Created { revision, expires_at },
                    _ => RegisteredLeased::CreatedForGood,
                })
            }
            StatusCode::CONFLICT => Ok(RegisteredLeased::AlreadyExists),
            _ => Err(answer.refused()),
        }
    }

    /// Replaces a registration, if it still has `revision` where one is given, and takes a lease on it for this
    /// holder. A leased registration stays leased, while [`update`](Self::update) and [`update_if`](Self::update_if)
    /// make it permanent.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn run(client: proxy_client::Client, wanted: schemas::Definition) -> Result<(), Box<dyn std::error::Error>> {
    /// let revision = client.get(&wanted.name).await?.and_then(|registered| registered.revision);
    /// let holder = "worker-1".parse()?;
    /// let outcome = client.update_leased(&wanted, revision, &holder, Duration::from_secs(30)).await?;
    /// println!("{:?}", outcome.done());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn update_leased(
        &self,
        definition: &Definition,
        revision: Option<Revision>,
        holder: &Holder,
        ttl: Duration,
    ) -> Result<Conditional<Updated>, Error> {
        let call = Call::put(registration(&definition.name)?, definition)?.only_at(revision).leased(holder, ttl);
        self.send(call).await?.unless_stale(Answer::updated)
    }

    /// Sets the leases of this holder to exactly these registrations, with this time to live: takes missing leases,
    /// renews present ones, and returns all others. The answer lists unregistered names in `missing`.
    ///
    /// A registration made without a lease can be leased too; it is kept when the lease ends.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let names = ["search".parse()?, "time".parse()?];
    /// let grant = client.lease(&"worker-1".parse()?, Duration::from_secs(30), &names).await?;
    /// println!("{:?} until {}, without {:?}", grant.held, grant.expires_at, grant.missing);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn lease(&self, holder: &Holder, ttl: Duration, names: &[ServerName]) -> Result<LeaseGrant, Error> {
        let names = names.iter().map(ServerName::to_string).collect();
        self.ask_for_leases(holder, LeaseRequest { ttl: ttl.into(), mcps: Some(names) }).await
    }

    /// Renews all leases of this holder, with this time to live. The answer omits leases that have ended.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let grant = client.renew_leases(&"worker-1".parse()?, Duration::from_secs(30)).await?;
    /// println!("still held: {:?}", grant.held);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn renew_leases(&self, holder: &Holder, ttl: Duration) -> Result<LeaseGrant, Error> {
        self.ask_for_leases(holder, LeaseRequest { ttl: ttl.into(), mcps: None }).await
    }

    /// Returns all leases of this holder, and reports which registrations were removed as a result.
    ///
    /// After a retry, both lists may be empty because an earlier attempt succeeded.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let released = client.release(&"worker-1".parse()?).await?;
    /// println!("gone: {:?}, kept: {:?}", released.removed, released.kept);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn release(&self, holder: &Holder) -> Result<LeaseRelease, Error> {
        self.send(Call::delete(path(holder))).await?.ok_if_supported(WHAT)
    }

    /// Lists all holders with their leases.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), proxy_client::Error> {
    /// for held in client.leases().await? {
    ///     println!("{} holds {:?} until {}", held.holder, held.mcps, held.expires_at);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn leases(&self) -> Result<Vec<HeldLeases>, Error> {
        let list: LeaseList = self.send(Call::get("admin/leases")).await?.ok_if_supported(WHAT)?;
        Ok(list.leases)
    }

    async fn ask_for_leases(&self, holder: &Holder, request: LeaseRequest) -> Result<LeaseGrant, Error> {
        self.send(Call::put(path(holder), &request)?).await?.ok_if_supported(WHAT)
    }
}

fn path(holder: &Holder) -> String {
    format!("admin/leases/{}", segment(holder.as_str()))
}
