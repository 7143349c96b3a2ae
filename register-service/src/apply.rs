//! Applies a plan, with a bounded number of requests at a time. Makes no decisions: `plan` has decided what is created,
//! changed or removed, and the gateway's answers are reported.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use proxy_client::{Client, Conditional, Registered, Together};
use schemas::admin::{self, Obstacle, RefusedChange, Revision};
use schemas::plan::Reason;
use schemas::{Definition, ServerName};
use serde::Serialize;

use crate::plan::change::{Change, Plan, Refusal};

/// Successful result of a change.
///
/// ```
/// use register_service::plan::Done;
///
/// assert_eq!(serde_json::to_string(&Done::Created)?, r#"{"done":"created"}"#);
/// let updated = Done::Updated { warning: Some("program not found".to_owned()) };
/// assert_eq!(serde_json::to_string(&updated)?, r#"{"done":"updated","warning":"program not found"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "done")]
pub enum Done {
    /// The server was registered.
    Created,
    /// A registration with other content was replaced.
    Updated {
        /// Reason why the gateway could not start the server with the new content, if so.
        #[serde(skip_serializing_if = "Option::is_none")]
        warning: Option<String>,
    },
    /// The server was registered as declared, and nothing was sent.
    Kept,
    /// The registration was removed.
    Deleted,
}

/// Reason why a change was not made, or may not have been made.
///
/// ```
/// use register_service::plan::{ApplyError, Refusal};
///
/// let name = "search".parse()?;
/// let error = ApplyError::Refused { name, why: Refusal::Foreign { holder: Some("ops".to_owned()) }, reasons: Vec::new() };
/// assert!(error.to_string().starts_with("`search` is registered by `ops` with other content"));
/// # Ok::<(), schemas::InvalidName>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The gateway refused or did not answer.
    #[error("cannot {doing} `{name}`")]
    Gateway {
        /// Request that failed: `register`, `read`, `update`, `deregister`.
        doing: &'static str,
        /// Name of the server.
        name: ServerName,
        /// Error of the request.
        source: proxy_client::Error,
    },
    /// The plan refuses the change.
    #[error("`{name}` {}: {}", .why, list(.reasons))]
    Refused {
        /// Name of the server.
        name: ServerName,
        /// Reason for the refusal.
        why: Refusal,
        /// Differences between declaration and registration.
        reasons: Vec<Reason>,
    },
    /// The registration changed since the plan was made.
    #[error("`{name}` was changed at the gateway in the meantime")]
    Stale {
        /// Name of the server.
        name: ServerName,
    },
    /// The gateway cannot make this change, and therefore made none of the changes.
    #[error("the gateway cannot have `{name}`: {details}")]
    Unusable {
        /// Name of the server.
        name: ServerName,
        /// Reason, in the gateway's words.
        details: String,
    },
    /// The change is fine, but others that had to be made together with it are not.
    #[error("`{name}` was left as it is, because other changes cannot be made")]
    Withheld {
        /// Name of the server.
        name: ServerName,
    },
}

impl ApplyError {
    /// Returns the server's name.
    ///
    /// ```
    /// use register_service::plan::ApplyError;
    ///
    /// let failures = [ApplyError::Stale { name: "search".parse()? }, ApplyError::Stale { name: "time".parse()? }];
    /// let names: Vec<_> = failures.iter().map(|failure| failure.name().as_str()).collect();
    /// assert_eq!(names, ["search", "time"]);
    /// # Ok::<(), schemas::InvalidName>(())
    /// ```
    pub fn name(&self) -> &ServerName {
        match self {
            Self::Gateway { name, .. }
            | Self::Refused { name, .. }
            | Self::Stale { name }
            | Self::Unusable { name, .. }
            | Self::Withheld { name } => name,
        }
    }

    /// Returns the error of the gateway or of the connection, if that was the reason.
    ///
    /// ```
    /// use register_service::plan::ApplyError;
    ///
    /// # let Err(source) = proxy_client::Client::builder("ftp://gateway").build() else { unreachable!() };
    /// let error = ApplyError::Gateway { doing: "register", name: "search".parse()?, source };
    /// let is_worth_another_try = error.gateway().is_some_and(|source| source.is_unreachable() || source.is_timeout());
    /// assert!(!is_worth_another_try);
    /// # Ok::<(), schemas::InvalidName>(())
    /// ```
    pub fn gateway(&self) -> Option<&proxy_client::Error> {
        match self {
            Self::Gateway { source, .. } => Some(source),
            Self::Refused { .. } | Self::Stale { .. } | Self::Unusable { .. } | Self::Withheld { .. } => None,
        }
    }

    pub(crate) fn at_gateway(doing: &'static str, name: &ServerName) -> impl FnOnce(proxy_client::Error) -> Self {
        move |source| Self::Gateway { doing, name: name.clone(), source }
    }
}

fn list(reasons: &[Reason]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Outcome of a plan: one result for each of its changes, by name.
///
/// ```
/// use register_service::plan::{ApplyError, Done, Outcome};
///
/// let stale = ApplyError::Stale { name: "time".parse()? };
/// let outcome: Outcome = [("search".parse()?, Ok(Done::Created)), ("time".parse()?, Err(stale))].into();
/// assert_eq!(outcome.values().filter(|result| result.is_err()).count(), 1);
/// # Ok::<(), schemas::InvalidName>(())
/// ```
pub type Outcome = BTreeMap<ServerName, Result<Done, ApplyError>>;

/// Applies a plan, at most `concurrency` changes at a time. A failure does not stop the other changes.
///
/// ```no_run
/// use register_service::plan::{Policy, apply, plan};
///
/// # async fn run(client: proxy_client::Client, desired: Vec<schemas::Definition>) -> Result<(), Box<dyn std::error::Error>> {
/// let policy = Policy::new("team-a".parse()?);
/// let plan = plan(&desired, &client.list().await?, &policy);
/// for (name, result) in apply(&client, &plan, 5).await {
///     println!("{name}: {result:?}");
/// }
/// # Ok(())
/// # }
/// ```
pub async fn apply(client: &Client, plan: &Plan, concurrency: usize) -> Outcome {
    let carried_out = stream::iter(&plan.changes).map(|change| async move {
        let name = change.name().clone();
        (name, apply_one(client, change).await)
    });
    carried_out.buffer_unordered(concurrency.max(1)).collect().await
}

/// Applies a plan as one generation: all changes, or none. A single change takes a request of its own. For a gateway
/// that makes changes only one by one, returns an error for which
/// [`is_unsupported`](proxy_client::Error::is_unsupported) is true, and nothing was changed. After any other error it
/// is unknown whether the changes were made.
///
/// ```no_run
/// use register_service::plan::{Policy, apply, apply_together, plan};
///
/// # async fn run(client: proxy_client::Client, desired: Vec<schemas::Definition>) -> Result<(), Box<dyn std::error::Error>> {
/// let plan = plan(&desired, &client.list().await?, &Policy::new("team-a".parse()?));
/// let outcome = match apply_together(&client, &plan).await {
///     Err(error) if error.is_unsupported() => apply(&client, &plan, 5).await,
///     outcome => outcome?,
/// };
/// println!("{} changes", outcome.values().filter(|result| result.is_ok()).count());
/// # Ok(())
/// # }
/// ```
pub async fn apply_together(client: &Client, plan: &Plan) -> Result<Outcome, proxy_client::Error> {
    let changes: Vec<admin::Change> = plan.changes.iter().filter_map(wanted).collect();
    if changes.len() < 2 {
        return Ok(apply(client, plan, 1).await);
    }
    let together = client.change_together(changes).await?;
    let came = |change: &Change| match (&together, change) {
        (_, Change::Keep { .. }) => Ok(Done::Kept),
        (_, Change::Refuse { name, why, reasons, .. }) => {
            Err(ApplyError::Refused { name: name.clone(), why: why.clone(), reasons: reasons.clone() })
        }
        (Together::Refused(refused), _) => Err(stopped(change.name(), refused)),
        (Together::Made(_), Change::Create { .. }) => Ok(Done::Created),
        (Together::Made(_), Change::Delete { .. }) => Ok(Done::Deleted),
        (Together::Made(changed), Change::Update { definition, .. }) => {
            let changed = changed.iter().find(|changed| changed.name == definition.name);
            Ok(Done::Updated { warning: changed.and_then(|changed| changed.warning.clone()) })
        }
    };
    Ok(plan.changes.iter().map(|change| (change.name().clone(), came(change))).collect())
}

/// Converts a change to the admin API's form; `None` if nothing has to be sent.
fn wanted(change: &Change) -> Option<admin::Change> {
    match change {
        Change::Create { definition } => Some(admin::Change::Create { definition: (**definition).clone() }),
        Change::Update { definition, revision, .. } => {
            Some(admin::Change::Update { definition: (**definition).clone(), revision: *revision })
        }
        Change::Delete { name, revision, .. } => {
            Some(admin::Change::Delete { name: name.clone(), revision: *revision })
        }
        Change::Keep { .. } | Change::Refuse { .. } => None,
    }
}

/// Returns the reason why a change was not made when none was.
fn stopped(name: &ServerName, refused: &[RefusedChange]) -> ApplyError {
    let name = name.clone();
    match refused.iter().find(|refused| refused.name == name.as_str()) {
        Some(RefusedChange { why: Obstacle::Exists | Obstacle::Missing | Obstacle::Stale, .. }) => {
            ApplyError::Stale { name }
        }
        Some(refused) => ApplyError::Unusable { name, details: refused.details.clone() },
        None => ApplyError::Withheld { name },
    }
}

async fn apply_one(client: &Client, change: &Change) -> Result<Done, ApplyError> {
    match change {
        Change::Keep { .. } => Ok(Done::Kept),
        Change::Create { definition } => create(client, definition).await,
        Change::Update { definition, revision, .. } => update(client, definition, *revision).await,
        Change::Delete { name, revision, .. } => delete(client, name, *revision).await,
        Change::Refuse { name, why, reasons, .. } => {
            Err(ApplyError::Refused { name: name.clone(), why: why.clone(), reasons: reasons.clone() })
        }
    }
}

async fn create(client: &Client, definition: &Definition) -> Result<Done, ApplyError> {
    let name = &definition.name;
    match client.register(definition).await.map_err(ApplyError::at_gateway("register", name))? {
        Registered::Created => Ok(Done::Created),
        Registered::AlreadyExists => Err(ApplyError::Stale { name: name.clone() }),
    }
}

/// Replaces a registration, on condition of its revision if the gateway has revisions.
async fn update(client: &Client, definition: &Definition, revision: Option<Revision>) -> Result<Done, ApplyError> {
    let name = &definition.name;
    let stale = || ApplyError::Stale { name: name.clone() };
    let updated = match revision {
        Some(revision) => client.update_if(definition, revision).await.map(Conditional::done),
        None => client.update(definition).await.map(Ok),
    };
    match updated {
        Ok(updated) => Ok(Done::Updated { warning: updated.map_err(|_| stale())?.warning }),
        Err(error) if error.is_not_found() => Err(stale()),
        Err(error) => Err(ApplyError::at_gateway("update", name)(error)),
    }
}

async fn delete(client: &Client, name: &ServerName, revision: Option<Revision>) -> Result<Done, ApplyError> {
    let gone = match revision {
        Some(revision) => client.deregister_if(name, revision).await.map(Conditional::done),
        None => client.deregister(name).await.map(Ok),
    };
    match gone.map_err(ApplyError::at_gateway("deregister", name))? {
        Ok(true) => Ok(Done::Deleted),
        Ok(false) | Err(_) => Err(ApplyError::Stale { name: name.clone() }),
    }
}

#[cfg(test)]
mod tests;
