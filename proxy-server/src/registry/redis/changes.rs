//! A change of the records as operations on keys.

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::layout::{DEFINITIONS, LEASES, LOCKS, MARKS, STATUSES, TOKENS, hex};
use crate::registry::delta::Delta;
use crate::registry::record::{self, Marks};

/// Keys that every change may use, in the order in which the script has them, from its third key on.
const SHARED_KEYS: [&str; 4] = [MARKS, LEASES, LOCKS, TOKENS];
/// Number of keys before those of single operations.
const FIRST_OWN_KEY: usize = 2 + SHARED_KEYS.len();

/// An operation on one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    Set { key: String, text: String },
    Delete { key: String },
    SetField { key: &'static str, field: String, text: String },
    DeleteField { key: &'static str, field: String },
}

/// The marks of a registration with a digest of the definition that they are for.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredMarks {
    #[serde(flatten)]
    pub(super) marks: Marks,
    pub(super) digest: String,
}

/// Translates a change into operations.
pub(super) fn ops(delta: &Delta) -> Result<Vec<Op>, serde_json::Error> {
    let mut ops = Vec::new();
    for (name, stored) in &delta.registrations {
        let key = format!("{DEFINITIONS}{name}");
        match stored {
            Some(stored) => {
                let text = as_go(&record::write_definition(stored)?);
                ops.push(mark(name.as_str(), record::marks(stored), &text)?);
                ops.push(Op::Set { key, text });
            }
            None => {
                ops.push(Op::DeleteField { key: MARKS, field: name.to_string() });
                ops.push(Op::Delete { key });
                ops.push(Op::Delete { key: format!("{STATUSES}{name}") });
            }
        }
    }
    for (holder, held) in &delta.leases {
        ops.push(field(LEASES, holder.as_str(), held.as_ref().map(record::write_leases).transpose()?));
    }
    for (owner, lock) in &delta.locks {
        ops.push(field(LOCKS, owner.as_str(), lock.as_ref().map(record::write_lock).transpose()?));
    }
    for (name, token) in &delta.tokens {
        ops.push(field(TOKENS, name.as_str(), token.as_deref().map(record::write_token).transpose()?));
    }
    Ok(ops)
}

/// Returns the operation that stores the marks of a definition.
pub(super) fn mark(name: &str, marks: Marks, definition: &str) -> Result<Op, serde_json::Error> {
    let text = serde_json::to_string(&StoredMarks { marks, digest: digest_of(definition) })?;
    Ok(Op::SetField { key: MARKS, field: name.to_owned(), text })
}

/// Returns the digest by which a definition that another proxy has written is recognised.
pub(super) fn digest_of(definition: &str) -> String {
    let hash = digest(&SHA256, definition.as_bytes());
    hex(hash.as_ref().get(..16).unwrap_or_default())
}

fn field(key: &'static str, field: &str, text: Option<String>) -> Op {
    let field = field.to_owned();
    match text {
        Some(text) => Op::SetField { key, field, text },
        None => Op::DeleteField { key, field },
    }
}

/// Escapes a JSON text as Go's `encoding/json` does: also `<`, `>`, `&` and the two line separators, which stand only in
/// strings.
pub(super) fn as_go(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Returns the keys of the operations that have one of their own, in order.
pub(super) fn keys(ops: &[Op]) -> Vec<&str> {
    let own = ops.iter().filter_map(|op| match op {
        Op::Set { key, .. } | Op::Delete { key } => Some(key.as_str()),
        Op::SetField { .. } | Op::DeleteField { .. } => None,
    });
    own.collect()
}

/// Returns the operations as arguments of the script.
pub(super) fn args(ops: &[Op]) -> Vec<String> {
    let shared = |key: &str| SHARED_KEYS.iter().position(|shared| *shared == key).map_or(0, |at| at + 3).to_string();
    let mut own = FIRST_OWN_KEY;
    let mut next = || {
        own += 1;
        own.to_string()
    };
    let word = |word: &str| word.to_owned();
    let mut args = Vec::with_capacity(ops.len() * 4);
    for op in ops {
        match op {
            Op::Set { text, .. } => args.extend([word("SET"), next(), text.clone()]),
            Op::Delete { .. } => args.extend([word("DEL"), next()]),
            Op::SetField { key, field, text } => {
                args.extend([word("HSET"), shared(key), field.clone(), text.clone()]);
            }
            Op::DeleteField { key, field } => args.extend([word("HDEL"), shared(key), field.clone()]),
        }
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_name_their_keys_by_place() {
        let text = || "t".to_owned();
        let ops = [
            Op::Set { key: "a".to_owned(), text: text() },
            Op::SetField { key: LEASES, field: "f".to_owned(), text: text() },
            Op::Delete { key: "b".to_owned() },
            Op::DeleteField { key: MARKS, field: "g".to_owned() },
        ];
        assert_eq!(keys(&ops), ["a", "b"]);
        let expected = ["SET", "7", "t", "HSET", "4", "f", "t", "DEL", "8", "HDEL", "3", "g"];
        assert_eq!(args(&ops), expected);
    }

    #[test]
    fn texts_are_escaped_as_go_does() {
        let json = "{\"a\":\"<&>\u{2028}\u{2029}\u{e9}\"}";
        assert_eq!(as_go(json), "{\"a\":\"\\u003c\\u0026\\u003e\\u2028\\u2029\u{e9}\"}");
        let back: serde_json::Value = serde_json::from_str(&as_go(json)).expect("JSON");
        assert_eq!(back, serde_json::from_str::<serde_json::Value>(json).expect("JSON"));
    }
}
