//! Registrations as the admin API shows and lists them.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::admin::{Lease, OWNER_TAG, Revision, Source, Status, null_is_empty};
use crate::dialect::compozy::DefinitionDocument;
use crate::{Definition, FingerprintSalt, WireDuration, format_duration};

/// A definition that is safe to show: every secret is replaced by a placeholder, unless a caller with an admin token asked
/// for the secrets.
///
/// Other proxies show secrets in clear text. A view read from such a proxy keeps the values, but its `Debug` output is
/// redacted.
///
/// ```
/// use schemas::admin::DefinitionView;
///
/// let answer = r#"{"name":"docs","transport":"sse","url":"https://x.example/sse","headers":{"X-Key":"[redacted]"}}"#;
/// let view: DefinitionView = serde_json::from_str(answer)?;
/// assert_eq!(view.document().url, "https://x.example/sse");
/// assert!(view.document().headers["X-Key"].is_redacted());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DefinitionView(DefinitionDocument);

impl DefinitionView {
    /// Redacts a definition and adds the times (RFC 3339) of its registration and last change.
    ///
    /// ```
    /// use schemas::Definition;
    /// use schemas::admin::DefinitionView;
    ///
    /// let posted = r#"{"name":"time","transport":"stdio","command":"mcp-server-time","env":{"TOKEN":"s3cret"}}"#;
    /// let definition: Definition = serde_json::from_str(posted)?;
    /// let now = "2026-11-21T10:00:00Z".to_owned();
    /// let shown = serde_json::to_value(DefinitionView::new(definition, now.clone(), now))?;
    /// assert_eq!(shown["env"]["TOKEN"], "[redacted]");
    /// assert_eq!(shown["createdAt"], "2026-11-21T10:00:00Z");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn new(definition: Definition, created_at: String, updated_at: String) -> Self {
        let document = DefinitionDocument::from(definition).redacted();
        Self(DefinitionDocument { created_at: Some(created_at), updated_at: Some(updated_at), ..document })
    }

    /// Redacts a definition that is not registered, so that it has no times.
    pub(crate) fn unregistered(document: DefinitionDocument) -> Self {
        Self(document.redacted())
    }

    /// Returns the definition with every secret in clear text, for a backup. The gateway decides which callers may read it.
    ///
    /// ```
    /// use schemas::Definition;
    /// use schemas::admin::DefinitionView;
    ///
    /// let posted = r#"{"name":"time","transport":"stdio","command":"mcp-server-time","env":{"TOKEN":"s3cret"}}"#;
    /// let definition: Definition = serde_json::from_str(posted)?;
    /// let now = "2026-11-21T10:00:00Z".to_owned();
    /// let view = DefinitionView::whole(definition, now.clone(), now);
    /// assert_eq!(serde_json::to_value(&view)?["env"]["TOKEN"], "s3cret");
    /// assert!(!format!("{view:?}").contains("s3cret"), "what is printed is redacted");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn whole(definition: Definition, created_at: String, updated_at: String) -> Self {
        let document = DefinitionDocument::from(definition);
        Self(DefinitionDocument { created_at: Some(created_at), updated_at: Some(updated_at), ..document })
    }

    /// Returns the registered name.
    ///
    /// ```
    /// let view: schemas::admin::DefinitionView = serde_json::from_str(r#"{"name":"docs"}"#)?;
    /// assert_eq!(view.name(), "docs");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the whole document.
    ///
    /// ```
    /// use schemas::Definition;
    /// use schemas::admin::DefinitionView;
    ///
    /// let answer = r#"{"name":"docs","transport":"sse","url":"https://x.example/sse"}"#;
    /// let view: DefinitionView = serde_json::from_str(answer)?;
    /// let definition = Definition::try_from(view.document().clone())?;
    /// assert_eq!(definition.transport.kind(), "sse");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn document(&self) -> &DefinitionDocument {
        &self.0
    }

    /// Returns the owner named in the tags, if any.
    ///
    /// ```
    /// use schemas::admin::DefinitionView;
    ///
    /// let view: DefinitionView = serde_json::from_str(r#"{"name":"docs","tags":{"owner":"team-a"}}"#)?;
    /// assert_eq!(view.owner(), Some("team-a"));
    /// assert_eq!(DefinitionView::default().owner(), None);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn owner(&self) -> Option<&str> {
        self.0.tags.get(OWNER_TAG).map(String::as_str).filter(|owner| !owner.is_empty())
    }

    /// Returns the place of the declaration, as named in the tags.
    ///
    /// ```
    /// use schemas::admin::DefinitionView;
    ///
    /// let view: DefinitionView = serde_json::from_str(r#"{"name":"docs","tags":{"source":"chat.yaml:7"}}"#)?;
    /// let place = view.source().map(|source| (source.file, source.line));
    /// assert_eq!(place, Some(("chat.yaml".to_owned(), Some(7))));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn source(&self) -> Option<Source> {
        Source::from_tags(&self.0.tags)
    }
}

/// One registration with its status, as shown and listed by the admin API.
///
/// ```
/// use schemas::admin::{Registration, Revision, State};
///
/// let answer = r#"{"definition":{"name":"docs"},"status":{"status":"error","lastError":"status 401"},"revision":7}"#;
/// let registration: Registration = serde_json::from_str(answer)?;
/// assert_eq!(registration.status.status, State::Error);
/// assert_eq!(registration.status.last_error.as_deref(), Some("status 401"));
/// assert_eq!(registration.revision, Some(Revision::new(7)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Registration {
    /// The definition, redacted.
    #[serde(default)]
    pub definition: DefinitionView,
    /// The status of the upstream.
    #[serde(default)]
    pub status: Status,
    /// Digests of the secrets that `definition` does not show. Absent from other proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprints: Option<Fingerprints>,
    /// Durations in `definition` and `status`, which are nanoseconds there, as text (`30s`), by member name. Absent
    /// from other proxies.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub durations: BTreeMap<String, String>,
    /// The current revision. Absent from other proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// The owner, from the definition's tags. Absent from other proxies: see [`DefinitionView::owner`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Place of the declaration, from the definition's tags. Absent from other proxies: see
    /// [`DefinitionView::source`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// True if the registration is removed together with its last lease.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leased: bool,
    /// The leases on this registration, sorted by holder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<Lease>,
}

impl Registration {
    /// Creates a registration from a definition and a status; owner and source are read from the tags.
    ///
    /// ```
    /// use schemas::admin::{Registration, Status};
    ///
    /// let view = serde_json::from_str(r#"{"name":"docs","tags":{"owner":"team-a","source":"chat.yaml:7"}}"#)?;
    /// let registration = Registration::new(view, Status::new("docs"));
    /// assert_eq!(registration.owner.as_deref(), Some("team-a"));
    /// assert_eq!(registration.source.and_then(|source| source.line), Some(7));
    ///
    /// let view = serde_json::from_str(r#"{"name":"docs","timeout":30000000000}"#)?;
    /// assert_eq!(Registration::new(view, Status::new("docs")).durations["timeout"], "30s");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn new(definition: DefinitionView, status: Status) -> Self {
        let (owner, source) = (definition.owner().map(str::to_owned), definition.source());
        let durations = durations(definition.document(), &status);
        Self { definition, status, durations, owner, source, ..Self::default() }
    }
}

/// Formats every duration that is set, by its name on the wire.
fn durations(document: &DefinitionDocument, status: &Status) -> BTreeMap<String, String> {
    // Truncate measured durations to milliseconds, or microseconds if below 1 ms: more digits are noise.
    let rounded = |duration: WireDuration| {
        let duration = duration.get().unwrap_or_default();
        let unit = if duration < Duration::from_millis(1) { 1_000 } else { 1_000_000 };
        Duration::from_nanos(u64::try_from(duration.as_nanos() / unit * unit).unwrap_or(u64::MAX))
    };
    let all = [
        ("timeout", document.timeout.get().unwrap_or_default()),
        ("reconnectDelay", document.reconnect_delay.get().unwrap_or_default()),
        ("healthCheckInterval", document.health_check_interval.get().unwrap_or_default()),
        ("upTime", rounded(status.up_time)),
        ("avgResponseTime", rounded(status.avg_response_time)),
    ];
    let set = all.into_iter().filter(|(_, duration)| !duration.is_zero());
    set.map(|(name, duration)| (name.to_owned(), format_duration(duration))).collect()
}

/// Digests of a definition's secrets, keyed by member (`headers.Authorization`) and computed with the gateway's salt.
///
/// ```
/// use schemas::admin::Fingerprints;
/// use schemas::{FingerprintSalt, Secret};
///
/// let salt = FingerprintSalt::new([7; 16]);
/// let print = |secret: &str, salt: &FingerprintSalt| Secret::from(secret).fingerprint(salt, "headers.X-Key");
/// let shown = Fingerprints { values: [("headers.X-Key".to_owned(), print("old", &salt))].into(), salt };
///
/// let declared = print("new", &shown.salt);
/// assert_ne!(shown.values["headers.X-Key"], declared);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fingerprints {
    /// Salt for computing comparable digests.
    pub salt: FingerprintSalt,
    /// The digests, by member.
    pub values: BTreeMap<String, String>,
}

/// Answer of `GET /admin/mcps`.
///
/// ```
/// use schemas::admin::RegistrationList;
///
/// // Answer of a proxy written in Go that has no registrations.
/// let list: RegistrationList = serde_json::from_str(r#"{"mcps":null,"count":0}"#)?;
/// assert!(list.mcps.is_empty());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RegistrationList {
    /// All registrations, in the order in which they were created.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub mcps: Vec<Registration>,
    /// Number of registrations. Absent from early proxies.
    #[serde(default)]
    pub count: usize,
    /// True if definitions are whole, because that was asked for and allowed. Absent from other proxies, which may show
    /// secrets all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secrets: bool,
}

/// Answer to a request that creates, updates or deletes a registration.
///
/// ```
/// use schemas::admin::Acknowledgement;
///
/// let answer = r#"{"message":"MCP definition updated but connection failed","name":"time",
///     "warning":"cannot start `mcp-server-time`"}"#;
/// let said: Acknowledgement = serde_json::from_str(answer)?;
/// assert_eq!(said.warning.as_deref(), Some("cannot start `mcp-server-time`"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Acknowledgement {
    /// A sentence that says what was done.
    pub message: String,
    /// Name of the registration.
    pub name: String,
    /// Part of the request that failed although the registration is stored (status 202).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// Members of the request that have no effect, each with the reason. Absent from other proxies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Time at which the requested lease ends unless renewed (RFC 3339). Absent from other proxies.
    #[serde(default, rename = "expiresAt", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}
