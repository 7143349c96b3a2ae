//! What is registered, as shown and as listed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::admin::{Lease, OWNER_TAG, Revision, Source, Status, null_is_empty};
use crate::dialect::compozy::DefinitionDocument;
use crate::{Definition, FingerprintSalt};

/// A definition as it may be shown: every secret is a placeholder.
///
/// Other proxies show secrets in the clear; what was read from one of those is kept, and still prints redacted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DefinitionView(DefinitionDocument);

impl DefinitionView {
    /// What may be shown of a definition registered and changed at these times (RFC 3339).
    pub fn new(definition: Definition, created_at: String, updated_at: String) -> Self {
        let document = DefinitionDocument::from(definition).redacted();
        Self(DefinitionDocument { created_at: Some(created_at), updated_at: Some(updated_at), ..document })
    }

    /// The registered name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The whole document.
    pub fn document(&self) -> &DefinitionDocument {
        &self.0
    }

    /// Whose it is, as its tags tell, if anyone's.
    pub fn owner(&self) -> Option<&str> {
        self.0.tags.get(OWNER_TAG).map(String::as_str).filter(|owner| !owner.is_empty())
    }

    /// Where it is declared, as its tags tell.
    pub fn source(&self) -> Option<Source> {
        Source::from_tags(&self.0.tags)
    }
}

/// One registration, as listed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Registration {
    /// What is registered.
    #[serde(default)]
    pub definition: DefinitionView,
    /// How it does.
    #[serde(default)]
    pub status: Status,
    /// Digests of the secrets that `definition` does not show. Absent from other proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprints: Option<Fingerprints>,
    /// Which state of it this is. Absent from other proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Whose it is, from the definition's tags. Absent from other proxies: see [`DefinitionView::owner`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Where it is declared, from the definition's tags. Absent from other proxies: see [`DefinitionView::source`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Whether it is removed with the last lease on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leased: bool,
    /// Who holds a lease on it, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<Lease>,
}

impl Registration {
    /// A registration with its status; owner and source are those of its tags.
    pub fn new(definition: DefinitionView, status: Status) -> Self {
        let (owner, source) = (definition.owner().map(str::to_owned), definition.source());
        Self { definition, status, owner, source, ..Self::default() }
    }
}

/// Digests of a definition's secrets, keyed by place (`headers.Authorization`), under one gateway's salt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fingerprints {
    /// The salt to compute one's own digests with.
    pub salt: FingerprintSalt,
    /// The digests.
    pub values: BTreeMap<String, String>,
}

/// `GET /admin/mcps`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RegistrationList {
    /// Every registration, in the order they were made.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub mcps: Vec<Registration>,
    /// How many there are. Absent from early proxies.
    #[serde(default)]
    pub count: usize,
}

/// The answer to a registration, a change or its warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Acknowledgement {
    /// What was done.
    pub message: String,
    /// To which registration.
    pub name: String,
    /// What did not work out (status 202).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// When the lease that was asked for ends unless it is renewed (RFC 3339). Absent from other proxies.
    #[serde(default, rename = "expiresAt", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}
