//! Skills over MCP (extension `io.modelcontextprotocol/skills`, SEP-2640): reads a server's declaration, and finds the
//! URIs in an entry.

use serde_json::value::RawValue;

use super::object::Object;
use super::scan::text;

/// The extension that servers with skills declare. Clients do not declare it.
pub(crate) const SKILLS_EXTENSION: &str = "io.modelcontextprotocol/skills";
/// Suffix of a skill's URI: its main file.
const ENTRY_FILE: &str = "/SKILL.md";

/// A server's declaration of skills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Skills {
    /// True if the server lists directories of resources (`directoryRead`).
    pub(crate) has_directories: bool,
}

impl Skills {
    /// Reads the declaration from the raw result of a handshake of either era; `None` for a server without skills.
    pub(crate) fn declared(handshake: &str) -> Option<Self> {
        let path = ["capabilities", "extensions", SKILLS_EXTENSION];
        let settings = path.into_iter().try_fold(handshake, |raw, name| Object::read(raw).ok()?.get(name))?;
        if settings == "null" {
            return None;
        }
        let has_directories = Object::read(settings).is_ok_and(|all| all.get("directoryRead") == Some("true"));
        Some(Self { has_directories })
    }

    /// Combines the declarations of two servers: each request goes to a server that supports it.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { has_directories: self.has_directories || other.has_directories }
    }

    /// Returns the raw settings of the extension.
    pub(crate) fn settings(self) -> &'static str {
        if self.has_directories { r#"{"directoryRead":true}"# } else { "{}" }
    }
}

/// True for requests that only servers with skills understand.
pub(crate) fn is_about_skills(method: &str) -> bool {
    method.starts_with("skills/") || method == "resources/directory/read"
}

/// Returns the slices with the URI of a skill and of each of its files, each with the decoded URI.
pub(crate) fn skill_uris<'a>(skill: &Object<'a>) -> Vec<(&'a str, String)> {
    let files = skill.get("resources").and_then(|raw| serde_json::from_str::<Vec<&'a RawValue>>(raw).ok());
    let files = files.into_iter().flatten().filter_map(|file| Object::read(file.get()).ok()?.get("uri"));
    let places = skill.get("uri").into_iter().chain(files);
    places.filter_map(|place| Some((place, text(place)?.into_owned()))).collect()
}

/// Returns the URI of a skill's directory.
pub(crate) fn skill_root(uri: &str) -> Option<&str> {
    uri.strip_suffix(ENTRY_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_is_read_from_the_handshake_of_either_era() {
        let check = |extensions: &str, expected: Option<bool>| {
            let handshake = format!(r#"{{"capabilities":{{"extensions":{extensions}}}}}"#);
            let found = Skills::declared(&handshake).map(|skills| skills.has_directories);
            assert_eq!(found, expected, "{extensions}");
        };
        check(r#"{"io.modelcontextprotocol/skills":{}}"#, Some(false));
        check(r#"{"io.modelcontextprotocol/skills":{"directoryRead":true}}"#, Some(true));
        check(r#"{"io.modelcontextprotocol/skills":{"directoryRead":"true"}}"#, Some(false));
        check(r#"{"io.modelcontextprotocol/skills":null}"#, None);
        check(r#"{"io.modelcontextprotocol/ui":{}}"#, None);
        check("[]", None);
        assert_eq!(Skills::declared("{}"), None);
    }

    #[test]
    fn an_entry_names_its_skill_and_every_file() {
        let check = |entry: &str, expected: &[&str]| {
            let uris = skill_uris(&Object::read(entry).expect("an object"));
            assert_eq!(uris.iter().map(|(_, uri)| uri.as_str()).collect::<Vec<_>>(), expected, "{entry}");
            assert!(uris.iter().all(|(place, _)| entry.contains(place)));
        };
        check(
            r#"{"uri":"skill://a/SKILL.md","resources":[{"uri":"skill:\/\/a/SKILL.md","size":1},{"size":2},{"uri":"b"}]}"#,
            &["skill://a/SKILL.md", "skill://a/SKILL.md", "b"],
        );
        check(r#"{"uri":"skill://a/SKILL.md","resources":"dynamic"}"#, &["skill://a/SKILL.md"]);
        check(r#"{"uri":1}"#, &[]);
    }
}
