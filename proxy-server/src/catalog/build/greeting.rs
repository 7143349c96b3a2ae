//! What the gateway says of itself when it stands for all upstreams: their capabilities and instructions together.

use bytes::Bytes;
use indexmap::IndexMap;

use super::Offered;
use crate::catalog::list::List;
use crate::catalog::provenance::{Audience, names_gateway};
use crate::protocol::{Era, Object, SKILLS_EXTENSION, Skills, TASKS_EXTENSION, own_discovery, quote};

/// Announced whoever is connected: an upstream that comes later may bring any of it, and a client asks only for what was
/// announced at the beginning. What no upstream has is answered with an empty list, or is the gateway's own to answer.
const ALWAYS: &str = concat!(
    r#""tools":{"listChanged":true},"prompts":{"listChanged":true},"#,
    r#""resources":{"subscribe":true,"listChanged":true},"logging":{},"completions":{}"#
);
/// Extensions whose every request the gateway can take to the upstream that it means, or that need none: the pages of MCP
/// Apps are resources. Of what is not among them only skills are promised, with the settings that all have together.
const CARRIED: [&str; 2] = [TASKS_EXTENSION, "io.modelcontextprotocol/ui"];
/// What can be done with a task whose id names its upstream. A list of all tasks is not among it.
const TASKS: &str = r#","tasks":{"cancel":{},"requests":{"tools":{"call":{}}}}"#;

#[derive(Debug)]
pub(super) struct Greeting {
    /// Raw, for legacy clients.
    pub(super) capabilities: Box<str>,
    pub(super) all: Words,
    /// Without what other gateways said.
    pub(super) own: Words,
}

#[derive(Debug, Clone)]
pub(super) struct Words {
    pub(super) instructions: Option<Box<str>>,
    /// The raw result of `server/discover`.
    pub(super) discovery: Bytes,
}

/// Raw capabilities by name, of which the first upstream to have each decides.
#[derive(Default)]
struct Merged<'a>(IndexMap<String, &'a str>);

/// The skills that upstreams declare, for each kind of reader.
struct Promised {
    all: Option<Skills>,
    own: Option<Skills>,
}

impl Promised {
    /// A gateway is promised the skills of another gateway only where there are any: two that list each other would promise
    /// for ever what neither has.
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
            // Extensions of a modern upstream have no form that a legacy client could speak.
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

    /// Adds one more, if there is one.
    fn and(&self, name: &str, value: Option<&'a str>) -> Self {
        let added = value.map(|value| (name.to_owned(), value));
        Self(self.0.iter().map(|(name, value)| (name.clone(), *value)).chain(added).collect())
    }

    /// As one more member of an object.
    fn written(&self, map: &str) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let members: Vec<String> = self.0.iter().map(|(name, value)| format!("{}:{value}", quote(name))).collect();
        format!(",\"{map}\":{{{}}}", members.join(","))
    }
}
