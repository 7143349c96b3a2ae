//! What the gateway says of itself when it stands for all upstreams: their capabilities and instructions together.

use indexmap::IndexMap;

use super::Offered;
use crate::protocol::{Object, quote};

/// Announced whoever is connected: an upstream that comes later may bring any of it, and a client asks only for what was
/// announced at the beginning. What no upstream has is answered with an empty list, or is the gateway's own to answer.
const ALWAYS: &str = concat!(
    r#""tools":{"listChanged":true},"prompts":{"listChanged":true},"#,
    r#""resources":{"subscribe":true,"listChanged":true},"logging":{},"completions":{}"#
);
/// What can be done with a task whose id names its upstream. A list of all tasks is not among it.
const TASKS: &str = r#","tasks":{"cancel":{},"requests":{"tools":{"call":{}}}}"#;
/// Capabilities that are maps of capabilities, of which the first upstream to have each decides.
const MAPS: [&str; 2] = ["experimental", "extensions"];

#[derive(Debug)]
pub(super) struct Greeting {
    /// Raw.
    pub(super) capabilities: Box<str>,
    pub(super) instructions: Option<Box<str>>,
}

pub(super) fn greet(offers: &[Offered]) -> Greeting {
    let mut maps: [IndexMap<String, &str>; 2] = Default::default();
    let (mut has_tasks, mut instructions) = (false, Vec::new());
    for offered in offers {
        let Ok(result) = Object::read(&offered.handshake) else { continue };
        if let Some(text) = result.text("instructions").filter(|text| !text.trim().is_empty()) {
            instructions.push(format!("# {}\n\n{}", offered.name, text.trim()));
        }
        let Some(Ok(capabilities)) = result.get("capabilities").map(Object::read) else { continue };
        has_tasks |= capabilities.get("tasks").is_some();
        for (name, known) in MAPS.iter().zip(&mut maps) {
            let Some(Ok(map)) = capabilities.get(name).map(Object::read) else { continue };
            for (member, value) in map.members() {
                known.entry(member.to_owned()).or_insert(value);
            }
        }
    }
    let mut capabilities = format!("{{{ALWAYS}{}", if has_tasks { TASKS } else { "" });
    for (name, map) in MAPS.iter().zip(maps).filter(|(_, map)| !map.is_empty()) {
        let members: Vec<String> = map.iter().map(|(member, value)| format!("{}:{value}", quote(member))).collect();
        capabilities.push_str(&format!(",\"{name}\":{{{}}}", members.join(",")));
    }
    capabilities.push('}');
    let instructions = (!instructions.is_empty()).then(|| instructions.join("\n\n").into());
    Greeting { capabilities: capabilities.into(), instructions }
}
