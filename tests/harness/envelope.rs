//! The envelope of a JSON-RPC message, with its members as raw text.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Raw members of a message; empty if the member is missing or the text is not a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The raw id.
    pub id: String,
    /// The method as text; `response` for a response.
    pub method: String,
    /// The raw parameters.
    pub params: String,
}

impl Envelope {
    /// Parses an envelope.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let members = members(bytes);
        let raw = |name| members.get(name).map(|raw| raw.get().to_owned()).unwrap_or_default();
        let is_response = members.contains_key("result") || members.contains_key("error");
        let method = if is_response { Some("response".to_owned()) } else { serde_json::from_str(&raw("method")).ok() };
        Self { id: raw("id"), method: method.unwrap_or_default(), params: raw("params") }
    }

    /// Returns the raw value of a member of the parameters; empty if absent.
    #[must_use]
    pub fn param(&self, name: &str) -> String {
        members(self.params.as_bytes()).get(name).map(|raw| raw.get().to_owned()).unwrap_or_default()
    }

    /// Returns a member of the parameters as decoded text; empty if absent.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        serde_json::from_str(&self.param(name)).unwrap_or_default()
    }

    /// Returns the raw progress token; empty if absent.
    #[must_use]
    pub fn progress_token(&self) -> String {
        members(self.param("_meta").as_bytes()).get("progressToken").map(|raw| raw.get().to_owned()).unwrap_or_default()
    }
}

fn members(bytes: &[u8]) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_slice(bytes).unwrap_or_default()
}
