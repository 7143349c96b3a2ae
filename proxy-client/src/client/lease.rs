//! Leases: what a worker needs stays for as long as one that needs it lives.

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

/// How a registration with a lease ended well.
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
    /// The gateway stored it, and removes it when the last lease on it has ended.
    Created {
        /// The state it is in.
        revision: Revision,
        /// When the lease ends unless it is renewed (RFC 3339, by the gateway's clock).
        expires_at: String,
    },
    /// The gateway stored it, but has no leases: it stays until somebody removes it.
    CreatedForGood,
    /// The name is taken, by an equal definition or another: nothing was changed, and no lease was taken on it.
    AlreadyExists,
}

impl Client {
    /// Registers an upstream that goes when the last lease on it has ended, and takes a lease on it for this holder.
    ///
    /// The time to live is 1 s to 1 h. All leases of a holder end together: this prolongs the others too, and never
    /// shortens them. A name that is taken is no error; [`lease`](Self::lease) holds on to it.
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

    /// Replaces a registration, only in this state where one is given, and takes a lease on it for this holder. What
    /// was leased stays so, where [`update`](Self::update) and [`update_if`](Self::update_if) make it permanent.
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

    /// Has this holder hold leases on exactly these registrations, for so long from now on: takes what is not held,
    /// renews what is, gives back what is not named. Names that are not registered are in the answer's `missing`.
    ///
    /// What was registered without a lease can be leased too; it stays at the lease's end.
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

    /// Renews the leases that this holder holds, for so long from now on. Those that have ended are not in the answer.
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

    /// Gives all leases of this holder back, and says which registrations went with them.
    ///
    /// After a retry both lists may be empty, because an earlier attempt did it.
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

    /// Every holder with what it holds.
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
