//! The sender of a request, and the form of results for its era.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::lock;
use crate::message::{Fault, INVALID_PARAMS, Level, Request, UNSUPPORTED_VERSION};
use crate::server::{MODERN, TASKS};
use crate::session::Session;

/// The sender of a request.
pub(crate) enum Caller {
    Legacy(Arc<Session>),
    Modern { version: String, capabilities: Value, level: Option<Level> },
}

impl Caller {
    /// Returns the sender of a modern request, from the request's metadata.
    pub(crate) fn modern(request: &Request) -> Result<Self, Fault> {
        let (params, meta) = (&request.params, &request.params.meta);
        match (&meta.version, &meta.capabilities) {
            (Some(version), Some(capabilities)) => {
                Ok(Self::Modern { version: version.clone(), capabilities: capabilities.clone(), level: meta.log_level })
            }
            (None, _) if request.method == "initialize" => {
                Err(unsupported(params.protocol_version.as_deref().unwrap_or_default()))
            }
            _ => Err(Fault::new(INVALID_PARAMS, "`_meta` lacks the protocol version or the client's capabilities")),
        }
    }

    pub(crate) fn declares(&self, capability: &str) -> bool {
        self.capabilities().get(capability).is_some()
    }

    pub(crate) fn declares_tasks(&self) -> bool {
        self.capabilities()["extensions"].get(TASKS).is_some()
    }

    /// Returns true if the caller wants log messages of this level.
    pub(crate) fn logs(&self, level: Level) -> bool {
        match self {
            Self::Legacy(session) => lock(&session.level).is_none_or(|least| level >= least),
            Self::Modern { level: least, .. } => least.is_some_and(|least| level >= least),
        }
    }

    /// Converts a complete result to the form of the caller's era.
    pub(crate) fn complete(&self, method: &str, result: &str) -> String {
        if let Self::Legacy(_) = self {
            return result.to_owned();
        }
        let hint = match method {
            "resources/read" => r#""ttlMs":1000,"cacheScope":"private","#,
            "server/discover" => r#""ttlMs":300000,"cacheScope":"public","#,
            list if list.ends_with("/list") => r#""ttlMs":300000,"cacheScope":"public","#,
            _ => "",
        };
        let members = result.strip_prefix('{').unwrap_or_default();
        let comma = if members == "}" { "" } else { "," };
        let identity =
            r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"reference-upstream","version":"1.0.0"}}"#;
        [r#"{"resultType":"complete","#, hint, identity, comma, members].concat()
    }

    fn capabilities(&self) -> &Value {
        match self {
            Self::Legacy(session) => &session.capabilities,
            Self::Modern { capabilities, .. } => capabilities,
        }
    }
}

pub(crate) fn unsupported(version: &str) -> Fault {
    let data = json!({ "supported": [MODERN], "requested": version });
    Fault::new(UNSUPPORTED_VERSION, "Unsupported protocol version").with(data)
}
