//! Records as they are stored: JSON texts. A definition is stored in Compozy's form, in which its proxy stores them too.
//!
//! Reading is tolerant of unknown members, which a newer version or another proxy may have written.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use schemas::admin::{Revision, Right};
use schemas::dialect::compozy::DefinitionDocument;
use schemas::{Definition, Holder, Secret, ServerName};
use serde::{Deserialize, Serialize};
use tracing::error;

use crate::registry::leases::Held;
use crate::registry::locks::Lock;
use crate::registry::registration::{Registration, Tenure};
use crate::registry::tokens::{AccessToken, TokenDigest, TokenGrant};

/// Revisions and lifetime of a registration, stored beside its definition in Compozy's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marks {
    pub(super) revision: Revision,
    pub(super) incarnation: Revision,
    pub(super) created: Revision,
    #[serde(default)]
    pub(super) leased: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredLeases {
    ends_at: Timestamp,
    names: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredLock {
    holder: Holder,
    token: Secret,
    since: Timestamp,
    ends_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredToken {
    rights: BTreeSet<Right>,
    servers: BTreeSet<ServerName>,
    /// In seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifetime: Option<u64>,
    /// SHA-256 of the secret in base64.
    digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    former: Option<FormerSecret>,
    created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Timestamp>,
    revision: Revision,
    epoch: Revision,
}

#[derive(Serialize, Deserialize)]
struct FormerSecret {
    digest: String,
    until: Timestamp,
}

/// The reason why a stored record cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// Shown without the text, which may hold secrets.
    #[error("not a JSON text of the expected form, at line {} column {}", .0.line(), .0.column())]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Definition(#[from] schemas::InvalidDefinition),
    #[error(transparent)]
    Name(#[from] schemas::InvalidName),
    #[error("holds the definition of `{0}`")]
    OtherName(String),
    #[error("has no digest of a secret")]
    Digest,
}

/// Writes a definition in Compozy's form, with the registration's times.
pub(super) fn write_definition(registration: &Registration) -> Result<String, serde_json::Error> {
    let document = DefinitionDocument::from(registration.definition.clone());
    let created_at = Some(registration.created_at.to_string());
    let updated_at = Some(registration.updated_at.to_string());
    serde_json::to_string(&DefinitionDocument { created_at, updated_at, ..document })
}

/// Reads a definition in Compozy's form that is stored under this name, with its times if they are readable. Names that
/// could not be registered today are accepted, because stored registrations must still load.
pub(super) fn read_definition(
    name: &str,
    text: &str,
) -> Result<(Definition, Option<Timestamp>, Option<Timestamp>), Unreadable> {
    let mut document: DefinitionDocument = serde_json::from_str(text)?;
    if document.name != name {
        return Err(Unreadable::OtherName(document.name));
    }
    let time = |text: &Option<String>| text.as_deref()?.parse::<Timestamp>().ok();
    let (created_at, updated_at) = (time(&document.created_at), time(&document.updated_at));
    "stored".clone_into(&mut document.name);
    let mut definition = Definition::try_from(document)?;
    definition.name = ServerName::stored(name)?;
    Ok((definition, created_at, updated_at))
}

pub(super) fn marks(registration: &Registration) -> Marks {
    let Registration { revision, incarnation, created, tenure, .. } = *registration;
    Marks { revision, incarnation, created, leased: tenure == Tenure::Leased }
}

/// Puts a registration together from its parts.
pub(super) fn registration(
    (definition, created_at, updated_at): (Definition, Option<Timestamp>, Option<Timestamp>),
    marks: &Marks,
) -> Registration {
    let created_at = created_at.or(updated_at).unwrap_or_default();
    Registration {
        definition,
        created_at,
        updated_at: updated_at.unwrap_or(created_at),
        revision: marks.revision,
        incarnation: marks.incarnation,
        created: marks.created,
        tenure: if marks.leased { Tenure::Leased } else { Tenure::Permanent },
    }
}

pub(super) fn write_leases(held: &Held) -> Result<String, serde_json::Error> {
    let names = held.names.iter().map(ServerName::to_string).collect();
    serde_json::to_string(&StoredLeases { ends_at: held.ends_at, names })
}

pub(super) fn read_leases(text: &str) -> Result<Held, Unreadable> {
    let StoredLeases { ends_at, names } = serde_json::from_str(text)?;
    let names: BTreeSet<ServerName> = names.iter().map(|name| ServerName::stored(name)).collect::<Result<_, _>>()?;
    Ok(Held { ends_at, names })
}

pub(super) fn write_lock(lock: &Lock) -> Result<String, serde_json::Error> {
    let Lock { holder, token, since, ends_at } = lock.clone();
    serde_json::to_string(&StoredLock { holder, token, since, ends_at })
}

pub(super) fn read_lock(text: &str) -> Result<Lock, Unreadable> {
    let StoredLock { holder, token, since, ends_at } = serde_json::from_str(text)?;
    Ok(Lock { holder, token, since, ends_at })
}

pub(super) fn write_token(token: &AccessToken) -> Result<String, serde_json::Error> {
    let AccessToken { grant, digest, former, created_at, expires_at, last_used_at, revision, epoch } = token.clone();
    serde_json::to_string(&StoredToken {
        rights: grant.rights,
        servers: grant.servers,
        lifetime: grant.lifetime.map(|lifetime| lifetime.as_secs()),
        digest: BASE64.encode(digest),
        former: former.map(|(digest, until)| FormerSecret { digest: BASE64.encode(digest), until }),
        created_at,
        expires_at,
        last_used_at,
        revision,
        epoch,
    })
}

pub(super) fn read_token(text: &str) -> Result<AccessToken, Unreadable> {
    let stored: StoredToken = serde_json::from_str(text)?;
    let read = |digest: &str| -> Result<TokenDigest, Unreadable> {
        let bytes = BASE64.decode(digest).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or(Unreadable::Digest)
    };
    let former = stored.former.map(|former| Ok::<_, Unreadable>((read(&former.digest)?, former.until)));
    let lifetime = stored.lifetime.map(Duration::from_secs);
    Ok(AccessToken {
        grant: TokenGrant { rights: stored.rights, servers: stored.servers, lifetime },
        digest: read(&stored.digest)?,
        former: former.transpose()?,
        created_at: stored.created_at,
        expires_at: stored.expires_at,
        last_used_at: stored.last_used_at,
        revision: stored.revision,
        epoch: stored.epoch,
    })
}

/// Logs that a record cannot be read and is left as it is. The error names members, and no values.
pub(super) fn skipped(key: &str, error: &Unreadable) {
    error!(key, %error, "skipping a stored record that cannot be read");
}

/// Parses the keys of records, and skips those that are none.
pub(super) fn keyed<K: TryFrom<String, Error: std::error::Error>, V>(records: Vec<(String, V)>) -> Vec<(K, V)> {
    let parse = |(key, value): (String, V)| match K::try_from(key.clone()) {
        Ok(key) => Some((key, value)),
        Err(error) => {
            error!(key, %error, "skipping a stored record that cannot be read");
            None
        }
    };
    records.into_iter().filter_map(parse).collect()
}
