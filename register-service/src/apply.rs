//! Carries out what a plan says, with a bounded number of requests at a time. Decides nothing: what may be created,
//! changed or removed was settled by `plan`, and what the gateway answers is reported.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use proxy_client::{Client, Registered};
use schemas::{Definition, ServerName};
use serde::Serialize;

use crate::plan::{Change, Plan, Reason, Refusal};

/// What was done about one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "done")]
pub enum Done {
    /// It was registered.
    Created,
    /// It was registered with other content and replaced.
    Updated {
        /// Why the gateway could not start it with the new content, if so.
        #[serde(skip_serializing_if = "Option::is_none")]
        warning: Option<String>,
    },
    /// It was registered as declared, and nothing was sent.
    Kept,
    /// It was removed.
    Deleted,
}

/// Why nothing was done about one name, or nobody knows whether.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The gateway refused or did not answer.
    #[error("cannot {doing} `{name}`")]
    Gateway {
        /// What was asked of it: `register`, `read`, `update`, `deregister`.
        doing: &'static str,
        /// The name.
        name: ServerName,
        /// What went wrong.
        source: proxy_client::Error,
    },
    /// It must not be carried out.
    #[error("`{name}` {}: {}", .why, list(.reasons))]
    Refused {
        /// The name.
        name: ServerName,
        /// Why not.
        why: Refusal,
        /// What differs.
        reasons: Vec<Reason>,
    },
    /// The gateway no longer had what the plan was made from.
    #[error("`{name}` was changed at the gateway in the meantime")]
    Stale {
        /// The name.
        name: ServerName,
    },
}

impl ApplyError {
    /// The name it is about.
    pub fn name(&self) -> &ServerName {
        match self {
            Self::Gateway { name, .. } | Self::Refused { name, .. } | Self::Stale { name } => name,
        }
    }

    /// What the gateway or the way to it said, if that was it.
    pub fn gateway(&self) -> Option<&proxy_client::Error> {
        match self {
            Self::Gateway { source, .. } => Some(source),
            Self::Refused { .. } | Self::Stale { .. } => None,
        }
    }

    pub(crate) fn at_gateway(doing: &'static str, name: &ServerName) -> impl FnOnce(proxy_client::Error) -> Self {
        move |source| Self::Gateway { doing, name: name.clone(), source }
    }
}

fn list(reasons: &[Reason]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What came of a plan: one result for each of its changes, by name.
pub type Outcome = BTreeMap<ServerName, Result<Done, ApplyError>>;

/// Carries out a plan, at most `concurrency` changes at a time. One failure stops nothing else.
///
/// ```no_run
/// use register_service::{Policy, apply, plan};
///
/// # async fn run(client: proxy_client::Client, desired: Vec<schemas::Definition>) -> Result<(), proxy_client::Error> {
/// let plan = plan(&desired, &client.list().await?, &Policy::default());
/// for (name, result) in apply(&client, &plan, 5).await {
///     println!("{name}: {result:?}");
/// }
/// # Ok(())
/// # }
/// ```
pub async fn apply(client: &Client, plan: &Plan, concurrency: usize) -> Outcome {
    let carried_out = stream::iter(&plan.changes).map(|change| async move {
        let name = change.name().clone();
        (name, carry_out(client, change).await)
    });
    carried_out.buffer_unordered(concurrency.max(1)).collect().await
}

async fn carry_out(client: &Client, change: &Change) -> Result<Done, ApplyError> {
    match change {
        Change::Keep { .. } => Ok(Done::Kept),
        Change::Create { definition } => create(client, definition).await,
        Change::Update { definition, .. } => update(client, definition).await,
        Change::Delete { name, .. } => {
            let gone = client.deregister(name).await.map_err(ApplyError::at_gateway("deregister", name))?;
            if gone { Ok(Done::Deleted) } else { Err(ApplyError::Stale { name: name.clone() }) }
        }
        Change::Refuse { name, why, reasons, .. } => {
            Err(ApplyError::Refused { name: name.clone(), why: why.clone(), reasons: reasons.clone() })
        }
    }
}

pub(crate) async fn create(client: &Client, definition: &Definition) -> Result<Done, ApplyError> {
    let name = &definition.name;
    match client.register(definition).await.map_err(ApplyError::at_gateway("register", name))? {
        Registered::Created => Ok(Done::Created),
        Registered::AlreadyExists => Err(ApplyError::Stale { name: name.clone() }),
    }
}

pub(crate) async fn update(client: &Client, definition: &Definition) -> Result<Done, ApplyError> {
    let name = &definition.name;
    match client.update(definition).await {
        Ok(updated) => Ok(Done::Updated { warning: updated.warning }),
        Err(error) if error.is_not_found() => Err(ApplyError::Stale { name: name.clone() }),
        Err(error) => Err(ApplyError::at_gateway("update", name)(error)),
    }
}

#[cfg(test)]
mod tests;
