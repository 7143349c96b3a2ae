//! Reads the members of a message, and those members of `params` that every call needs, in one pass.

use std::borrow::Cow;

use super::invalid::Invalid;
use super::keys::OWN_NAMES;
use super::object::{MAX_MEMBERS, MemberValues, Seen, is_case_variant, pick};
use super::scan::{Malformed, Scanner};

const KNOWN: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];
/// Parameters that the gateway reads, or whose case variants must be refused. The most frequent ones come first.
pub(super) const PARAMETERS: [&str; 14] = [
    "name",
    "arguments",
    "_meta",
    "uri",
    "cursor",
    "level",
    "ref",
    "task",
    "taskId",
    "requestId",
    "requestState",
    "inputResponses",
    "protocolVersion",
    "capabilities",
];

/// The raw members of a message.
#[derive(Default)]
pub(super) struct Envelope<'a> {
    pub(super) jsonrpc: Option<&'a str>,
    pub(super) id: Option<&'a str>,
    pub(super) method: Option<&'a str>,
    pub(super) params: Option<&'a str>,
    pub(super) result: Option<&'a str>,
    pub(super) error: Option<&'a str>,
    /// True if a member differs from a known one by case only.
    pub(super) has_case_variants: bool,
    /// Members of `params` found in the pass; `None` if `params` need a full parse.
    pub(super) prepared: Option<PreparedParams<'a>>,
}

/// Members of `params` that were found while the envelope was read.
pub(crate) struct PreparedParams<'a> {
    /// The raw `name`.
    pub(crate) name: Option<&'a str>,
    /// The raw `_meta`.
    pub(crate) meta: Option<&'a str>,
    /// The raw members of `_meta` listed in [`OWN_NAMES`]; `None` if `_meta` needs a full parse.
    pub(super) own: Option<MemberValues<'a, { OWN_NAMES.len() }>>,
}

impl<'a> Envelope<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, Invalid> {
        let mut scanner = Scanner::new(text);
        let mut envelope = Self::default();
        let mut others = Vec::new();
        let read = scanner.object(|name, scanner| envelope.take(name, scanner, &mut others));
        read.and_then(|_| scanner.end())?;
        let is_variant = |name: &Cow<'_, str>| KNOWN.iter().any(|known| is_case_variant(name, known));
        envelope.has_case_variants = others.iter().any(is_variant);
        Ok(envelope)
    }

    fn take(
        &mut self,
        name: Cow<'a, str>,
        scanner: &mut Scanner<'a>,
        others: &mut Vec<Cow<'a, str>>,
    ) -> Result<(), Malformed> {
        let place = match name.as_ref() {
            "jsonrpc" => &mut self.jsonrpc,
            "id" => &mut self.id,
            "method" => &mut self.method,
            "params" => &mut self.params,
            "result" => &mut self.result,
            "error" => &mut self.error,
            _ if others.len() == MAX_MEMBERS => return Err(Malformed::TooMany),
            _ if others.contains(&name) => return Err(Malformed::Twice),
            _ => {
                others.push(name);
                return scanner.value().map(drop);
            }
        };
        let value = match (name.as_ref(), scanner.peek()) {
            ("params", Some(b'{')) => parameters(scanner, &mut self.prepared)?,
            _ => scanner.value()?,
        };
        if place.replace(value).is_some() { Err(Malformed::Twice) } else { Ok(()) }
    }
}

/// Reads `params` and keeps the members that every call needs.
fn parameters<'a>(scanner: &mut Scanner<'a>, prepared: &mut Option<PreparedParams<'a>>) -> Result<&'a str, Malformed> {
    let (mut seen, mut has_variants) = (Seen::default(), false);
    let mut found = PreparedParams { name: None, meta: None, own: None };
    let params = scanner.object(|name, scanner| {
        match (name.as_ref(), scanner.peek()) {
            ("_meta", Some(b'{')) => {
                let (meta, own) = pick(scanner, OWN_NAMES)?;
                (found.meta, found.own) = (Some(meta), own);
            }
            ("_meta", _) => found.meta = Some(scanner.value()?),
            ("name", _) => found.name = Some(scanner.value()?),
            (_, _) => drop(scanner.value()?),
        }
        // An exact name is not a variant of another one.
        has_variants |= !PARAMETERS.contains(&&*name) && PARAMETERS.iter().any(|known| is_case_variant(&name, known));
        seen.note(name);
        Ok(())
    })?;
    *prepared = (seen.is_clear() && !has_variants).then_some(found);
    Ok(params)
}
