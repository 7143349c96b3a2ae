//! Capabilities and instructions of the aggregated endpoint, merged from all upstreams.

use bytes::Bytes;
use indexmap::IndexMap;

use super::offered::Offered;
use crate::catalog::list::List;
use crate::catalog::provenance::{Audience, names_gateway};
use crate::protocol::{Era, Object, SKILLS_EXTENSION, Skills, TASKS_EXTENSION, own_discovery, quote};

/// Capabilities announced regardless of the connected upstreams: one that connects later may have any of them, and
/// clients rely on what was announced at the start. If no upstream has a feature, its lists are empty, or the gateway
/// answers itself.
const ALWAYS: &str = concat!(
    r#""tools":{"listChanged":true},"prompts":{"listChanged":true},"#,
    r#""resources":{"subscribe":true,"listChanged":true},"logging":{},"completions":{}"#
);
/// Extensions whose requests the gateway can route to the right upstream, or that have no requests: the pages of MCP
/// Apps are resources. Of other extensions, only skills are announced, with merged settings.
const CARRIED: [&str; 2] = [TASKS_EXTENSION, "io.modelcontextprotocol/ui"];
/// Task features that work when the id of a task names its upstream. Listing all tasks is not one of them.
const TASKS: &str = r#","tasks":{"cancel":{},"requests":{"tools":{"call":{}}}}"#;

#[derive(Debug)]
pub(super) struct Greeting {
    /// Raw capabilities for legacy clients.
    pub(super) capabilities: Box<str>,
    pub(super) all: Words,
    /// Texts without those of other gateways.
    pub(super) own: Words,
}

#[derive(Debug, Clone)]
pub(super) struct Words {
    pub(super) instructions: Option<Box<str>>,
    /// Raw result of `server/discover`.
    pub(super) discovery: Bytes,
}

/// Raw capabilities by name; the first upstream that has one determines its value.
#[derive(Default)]
struct Merged<'a>(IndexMap<String, &'a str>);

/// Merged skill settings of the upstreams, for each audience.
struct Promised {
    all: Option<Skills>,
    own: Option<Skills>,
}

impl Promised {
    /// Merges the declared skills. For another gateway, counts upstream gateways only if they list skills: two
    /// gateways that list each other would otherwise announce skills forever although none has any.
    fn by(offers: &[Offered]) -> Self {
        let declared = |offered: &Offered| Skills::declared(&offered.handshake);
        let is_real =
            |offered: &&Offered| !names_gateway(&offered.handshake) || !offered.lists.get(List::Skills).is_empty();
        Self {
            all: offers.iter().filter_map(declared).reduce(Skills::or),
            own: offers.iter().filter(is_real).filter_map(declared).reduce(Skills::or),
        }
    }
}

impl Greeting {
    pub(super) fn words(&self, audience: Audience) -> &Words {
        match audience {
            Audience::Client => &self.all,
            Audience::Gateway => &self.own,
        }
    }
}

pub(super) fn greet(offers: &[Offered]) -> Greeting {
    let (mut experimental, mut extensions, mut legacy_extensions) =
        (Merged::default(), Merged::default(), Merged::default());
    let (mut has_tasks, mut instructions, mut own) = (false, Vec::new(), Vec::new());
    for offered in offers {
        let Ok(result) = Object::read(&offered.handshake) else { continue };
        if let Some(text) = result.text("instructions").filter(|text| !text.trim().is_empty()) {
            let text = format!("# {}\n\n{}", offered.name, text.trim());
            if !names_gateway(&offered.handshake) {
                own.push(text.clone());
            }
            instructions.push(text);
        }
        let Some(Ok(capabilities)) = result.get("capabilities").map(Object::read) else { continue };
        experimental.add(&capabilities, "experimental", |_| true);
        match offered.era {
            Era::Legacy => {
                has_tasks |= capabilities.get("tasks").is_some();
                legacy_extensions.add(&capabilities, "extensions", |name| CARRIED.contains(&name));
                let is_carried = |name: &str| CARRIED.contains(&name) && name != TASKS_EXTENSION;
                extensions.add(&capabilities, "extensions", is_carried);
            }
            // Omit extensions of a modern upstream for legacy clients, which cannot speak them.
            Era::Modern => extensions.add(&capabilities, "extensions", |name| CARRIED.contains(&name)),
        }
    }
    let experimental = experimental.written("experimental");
    let written = |tasks: &str, extensions: &Merged<'_>, skills: Option<Skills>| {
        let extensions = extensions.and(SKILLS_EXTENSION, skills.map(Skills::settings)).written("extensions");
        format!("{{{ALWAYS}{tasks}{experimental}{extensions}}}")
    };
    let promised = Promised::by(offers);
    let capabilities = written(if has_tasks { TASKS } else { "" }, &legacy_extensions, promised.all);
    let words = |instructions: Vec<String>, skills: Option<Skills>| {
        let instructions: Option<Box<str>> = (!instructions.is_empty()).then(|| instructions.join("\n\n").into());
        let discovery = own_discovery(&written("", &extensions, skills), instructions.as_deref()).into();
        Words { instructions, discovery }
    };
    let (own, all) = (words(own, promised.own), words(instructions, promised.all));
    Greeting { capabilities: capabilities.into(), own, all }
}

impl<'a> Merged<'a> {
    fn add(&mut self, capabilities: &Object<'a>, map: &str, is_told: impl Fn(&str) -> bool) {
        let Some(Ok(map)) = capabilities.get(map).map(Object::read) else { return };
        for (name, value) in map.members().filter(|(name, _)| is_told(name)) {
            self.0.entry(name.to_owned()).or_insert(value);
        }
    }

    /// Returns a copy with one more member, if a value is given.
    fn and(&self, name: &str, value: Option<&'a str>) -> Self {
        let added = value.map(|value| (name.to_owned(), value));
        Self(self.0.iter().map(|(name, value)| (name.clone(), *value)).chain(added).collect())
    }

    /// Serialises as a member of an object, with a leading comma; empty if there is none.
    fn written(&self, map: &str) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let members: Vec<String> = self.0.iter().map(|(name, value)| format!("{}:{value}", quote(name))).collect();
        format!(",\"{map}\":{{{}}}", members.join(","))
    }
}
