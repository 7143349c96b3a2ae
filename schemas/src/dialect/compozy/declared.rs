//! A definition as a client declares it, read strictly: ignoring a misspelt `authTokens` would disable access control.
//!
//! The ancestor ignores unknown members. Its own clients send none: their type is closed (`name`, `env`, `headers`,
//! `url`, `transport`, `command`, `args`, `timeout`, and `startup_args` in the first generation). Other clients may
//! send some, so an unknown member is ignored with a warning. It is refused if it looks like a misspelt member or
//! concerns access.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::dialect::compozy::DefinitionDocument;
use crate::{Definition, InvalidDefinition, nearest};

/// A definition in a request, with the names of its unknown members.
///
/// Responses of a gateway are read as a plain [`DefinitionDocument`], which ignores members of later versions.
///
/// ```
/// use schemas::Definition;
/// use schemas::dialect::compozy::DeclaredDocument;
///
/// let posted = r#"{"name":"time","transport":"stdio","command":"x","authToken":["s3cret"]}"#;
/// let declared: DeclaredDocument = serde_json::from_str(posted)?;
/// let error = Definition::try_from(declared).map_err(|error| error.to_string());
/// assert_eq!(error, Err("unknown member `authToken`; did you mean `authTokens`?".to_owned()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeclaredDocument {
    /// The known members.
    pub document: DefinitionDocument,
    unknown: Vec<String>,
}

/// Lists all members of a definition, from its schema. Slow; called only to build an error.
fn members() -> Vec<String> {
    let schema = schemars::schema_for!(DefinitionDocument);
    let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let nested = ["mode", "list"].map(|member| format!("toolFilter.{member}"));
    properties.into_iter().map(|(member, _)| member).chain(nested).collect()
}

impl<'de> Deserialize<'de> for DeclaredDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut unknown = Vec::new();
        // Remove the `?` that `serde_ignored` inserts after an optional member: authors of the document do not know
        // it.
        let document =
            serde_ignored::deserialize(deserializer, |path| unknown.push(path.to_string().replace("?.", "")))?;
        Ok(Self { document, unknown })
    }
}

impl DeclaredDocument {
    /// Returns the definition, and a warning for each member that is ignored.
    ///
    /// # Errors
    ///
    /// [`InvalidDefinition::Unknown`] for a member that looks like a misspelt one or concerns access; otherwise the
    /// first failed check of the definition.
    ///
    /// ```
    /// use schemas::dialect::compozy::DeclaredDocument;
    ///
    /// let posted = r#"{"name":"time","transport":"stdio","command":"x","icon":"clock.png"}"#;
    /// let (_, warnings) = serde_json::from_str::<DeclaredDocument>(posted)?.into_definition()?;
    /// assert_eq!(warnings, ["unknown member `icon` has no effect"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_definition(self) -> Result<(Definition, Vec<String>), InvalidDefinition> {
        let mut warnings = Vec::new();
        for member in self.unknown {
            match refusal(&member) {
                Some(refusal) => return Err(refusal),
                None => warnings.push(format!("unknown member `{member}` has no effect")),
            }
        }
        Ok((self.document.try_into()?, warnings))
    }
}

/// Refuses every unknown member: for requests that only this gateway's own clients send.
impl TryFrom<DeclaredDocument> for Definition {
    type Error = InvalidDefinition;

    fn try_from(declared: DeclaredDocument) -> Result<Self, InvalidDefinition> {
        match declared.unknown.first() {
            Some(member) => Err(InvalidDefinition::Unknown { member: member.clone(), meant: meant(member) }),
            None => declared.document.try_into(),
        }
    }
}

/// Returns an error if the unknown member must not be ignored.
fn refusal(member: &str) -> Option<InvalidDefinition> {
    const ACCESS: [&str; 9] = ["auth", "token", "allow", "deny", "block", "filter", "secret", "password", "permission"];
    let meant = meant(member);
    let lower = member.to_lowercase();
    let is_about_access = ACCESS.iter().any(|word| lower.contains(word));
    (meant.is_some() || is_about_access).then(|| InvalidDefinition::Unknown { member: member.to_owned(), meant })
}

fn meant(member: &str) -> Option<String> {
    nearest(member, members().iter().map(String::as_str)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(member: &str, expected: &str) {
        let mut document = json!({ "name": "a", "transport": "stdio", "command": "x" });
        document[member] = json!(["s3cret"]);
        let error = serde_json::from_value::<Definition>(document.clone()).expect_err(member).to_string();
        assert_eq!(error, expected);
        let declared: DeclaredDocument = serde_json::from_value(document).expect("well-formed");
        assert_eq!(declared.into_definition().expect_err(member).to_string(), expected);
    }

    #[test]
    fn a_member_that_no_definition_has_is_refused_and_the_nearest_named() {
        for (member, meant) in [
            ("authToken", "authTokens"),
            ("auth_tokens", "authTokens"),
            ("AuthTokens", "authTokens"),
            ("require_auth", "requireAuth"),
            ("requireauth", "requireAuth"),
            ("allowedIps", "allowedIPs"),
            ("allowed_ips", "allowedIPs"),
            ("tool_filter", "toolFilter"),
            ("comand", "command"),
        ] {
            refused(member, &format!("unknown member `{member}`; did you mean `{meant}`?"));
        }
        for member in ["basicAuth", "bearerTokens", "clientSecret", "allowlist", "password"] {
            let document = json!({ "name": "a", "transport": "stdio", "command": "x", member: "s3cret" });
            let declared: DeclaredDocument = serde_json::from_value(document).expect("well-formed");
            assert!(declared.into_definition().is_err(), "{member}");
        }
    }

    #[test]
    fn a_member_that_means_nothing_is_told_or_refused_where_only_our_clients_ask() {
        let document =
            json!({ "name": "a", "transport": "stdio", "command": "x", "startup": 1, "icon": { "auth": 1 } });
        let declared: DeclaredDocument = serde_json::from_value(document.clone()).expect("well-formed");
        let (_, warnings) = declared.into_definition().expect("a definition");
        assert_eq!(warnings, ["unknown member `startup` has no effect", "unknown member `icon` has no effect"]);
        assert!(serde_json::from_value::<Definition>(document).is_err());
    }

    #[test]
    fn a_member_of_a_member_is_named_with_its_place() {
        let filter = json!({ "mode": "allow", "list": ["a"], "lists": [] });
        let document = json!({ "name": "a", "transport": "stdio", "command": "x", "toolFilter": filter });
        let error = serde_json::from_value::<Definition>(document).expect_err("unknown").to_string();
        assert_eq!(error, "unknown member `toolFilter.lists`; did you mean `toolFilter.list`?");
    }

    #[test]
    fn an_answer_may_hold_more() -> Result<(), serde_json::Error> {
        serde_json::from_str::<DefinitionDocument>(r#"{"name":"a","later":1}"#).map(drop)
    }
}
