//! The chain of records: how a record becomes a line, and how lines are verified. Pure.
//!
//! A line is a JSON object whose member `prev` is the SHA-256 of the line before it, without its end, in hexadecimal; 64
//! zeros for the first. A line that a crash has cut short stays in the file: the next record is then `audit.recovered`,
//! with the SHA-256 of the cut line in `details.torn`, and its `prev` is that of the last whole line.

use std::fmt;

use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::entry::{Actor, Entry, EventType};

/// SHA-256 of a line, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Digest(String);

/// The end of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Number of the last record, 0 without any.
    pub(crate) seq: u64,
    /// Digest of the last record.
    pub(crate) digest: Digest,
}

/// A whole record.
#[derive(Serialize)]
struct Record<'a> {
    seq: u64,
    time: Timestamp,
    action: EventType,
    actor: &'a Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    details: &'a Map<String, Value>,
    prev: &'a Digest,
}

/// Members of a record that verification reads.
#[derive(Deserialize)]
struct Link {
    seq: u64,
    action: String,
    #[serde(default)]
    details: Torn,
    prev: Digest,
}

#[derive(Default, Deserialize)]
struct Torn {
    torn: Option<Digest>,
}

/// The reason why a chain is broken, by line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the line is no record")]
    NoRecord,
    #[error("the record has number {found}, and {expected} was expected: records were removed, added or moved")]
    Number { found: u64, expected: u64 },
    #[error("the record does not follow the one before it: that one was edited, or records were replaced")]
    Link,
    #[error("the line was cut short, and is not followed by a record about that")]
    Torn,
}

impl Digest {
    /// Returns the digest of a line.
    pub(crate) fn of(line: &[u8]) -> Self {
        Self(digest(&SHA256, line).as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Returns the digest that stands in the first record.
    pub(crate) fn none() -> Self {
        Self("0".repeat(64))
    }
}

impl TryFrom<String> for Digest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 64 && text.bytes().all(is_hex) {
            Ok(Self(text))
        } else {
            Err("it is not 64 hexadecimal digits")
        }
    }
}

impl std::str::FromStr for Digest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        text.to_owned().try_into()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Default for Head {
    fn default() -> Self {
        Self { seq: 0, digest: Digest::none() }
    }
}

impl Head {
    /// Appends a record to the chain. Returns its line, with its end.
    pub(crate) fn append(&mut self, entry: &Entry) -> serde_json::Result<Vec<u8>> {
        let seq = self.seq.saturating_add(1);
        let Entry { time, kind, actor, subject, details } = entry;
        let (time, action, subject, prev) = (*time, *kind, subject.as_deref(), &self.digest);
        let mut line = serde_json::to_vec(&Record { seq, time, action, actor, subject, details, prev })?;
        *self = Self { seq, digest: Digest::of(&line) };
        line.push(b'\n');
        Ok(line)
    }
}

/// Verification of a chain, line by line.
#[derive(Debug, Clone)]
pub(crate) struct Verifier {
    head: Head,
    torn: Option<Digest>,
}

impl Verifier {
    /// Starts after the record with this number and digest.
    pub(crate) fn after(head: Head) -> Self {
        Self { head, torn: None }
    }

    /// Verifies the next line, without its end.
    pub(crate) fn line(&mut self, line: &[u8]) -> Result<(), Broken> {
        let Ok(link) = serde_json::from_slice::<Link>(line) else {
            // Only one line can be cut short between two whole records.
            return match self.torn.replace(Digest::of(line)) {
                None => Ok(()),
                Some(_) => Err(Broken::NoRecord),
            };
        };
        if let Some(torn) = self.torn.take()
            && (link.action != "audit.recovered" || link.details.torn != Some(torn))
        {
            return Err(Broken::Torn);
        }
        if link.seq != self.head.seq.saturating_add(1) {
            return Err(Broken::Number { found: link.seq, expected: self.head.seq.saturating_add(1) });
        }
        if link.prev != self.head.digest {
            return Err(Broken::Link);
        }
        self.head = Head { seq: link.seq, digest: Digest::of(line) };
        Ok(())
    }

    /// Returns the end of what was verified, and the digest of a line after it that was cut short.
    pub(crate) fn head(&self) -> (&Head, Option<&Digest>) {
        (&self.head, self.torn.as_ref())
    }
}

#[cfg(test)]
mod tests;
