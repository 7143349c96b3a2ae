//! The author and the time of a change, and what an audit record says about it.

use jiff::Timestamp;
use schemas::Definition;
use serde_json::{Value, json};

use crate::registry::delta::Delta;
use crate::registry::records::Records;
use crate::registry::registration::{Registration, Tenure};
use crate::registry::tokens::AccessToken;
use crate::telemetry::{Actor, Entry, EventType};

/// Maximum number of names in a record.
const MOST_TEXTS: usize = 100;

/// The author and the time of a change.
#[derive(Debug, Clone)]
pub(crate) struct ChangeContext {
    pub(crate) by: Actor,
    pub(crate) now: Timestamp,
}

impl ChangeContext {
    /// Returns a record for each registration, holder, owner and token that has changed; none for renewals and uses.
    pub(super) fn entries(&self, before: &Records, delta: &Delta) -> Vec<Entry> {
        let entry = |kind, subject: &dyn ToString| Entry::new(kind, &self.by, self.now).about(subject.to_string());
        let registrations =
            delta.registrations.iter().map(|(name, stored)| match (before.snapshot().get(name.as_str()), stored) {
                (None, Some(stored)) => described(entry(EventType::Registered, name), stored),
                (Some(former), Some(stored)) => {
                    let members = changed_members(&former.definition, &stored.definition);
                    described(entry(EventType::Updated, name), stored).with("changed", members)
                }
                (_, None) => entry(EventType::Deregistered, name).with("revision", delta.revision.to_string()),
            });
        let leases = delta.leases.iter().filter_map(|(holder, held)| {
            let former = before.leases.all().get(holder).map(|held| &held.names);
            let names = held.as_ref().map(|held| &held.names);
            let list = || capped(names.into_iter().flatten().map(ToString::to_string));
            (former != names).then(|| entry(EventType::Leased, holder).with("mcps", list()))
        });
        let locks = delta.locks.iter().filter_map(|(owner, lock)| match (before.locks.all().get(owner), lock) {
            (Some(former), Some(lock)) if former.holder == lock.holder && former.since == lock.since => None,
            (_, Some(lock)) => Some(entry(EventType::Locked, owner).with("holder", lock.holder.to_string())),
            (_, None) => Some(entry(EventType::Unlocked, owner)),
        });
        let tokens = delta.tokens.iter().filter_map(|(name, token)| {
            let former = before.tokens().get(name).map(|token| &**token);
            let kind = token_event(former, token.as_deref())?;
            let entry = entry(kind, name);
            Some(match token {
                Some(token) => granted(entry, token),
                None => entry,
            })
        });
        registrations.chain(leases).chain(locks).chain(tokens).collect()
    }
}

/// Returns the first texts, and the number of the others, so that no record is longer than the verification reads.
fn capped(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut texts: Vec<String> = texts.collect();
    let more = texts.len().saturating_sub(MOST_TEXTS);
    if more > 0 {
        texts.truncate(MOST_TEXTS);
        texts.push(format!("and {more} more"));
    }
    texts
}

fn described(entry: Entry, stored: &Registration) -> Entry {
    let entry =
        entry.with("revision", stored.revision.to_string()).with("transport", stored.definition.transport.kind());
    if stored.tenure == Tenure::Leased { entry.with("leased", true) } else { entry }
}

fn granted(entry: Entry, token: &AccessToken) -> Entry {
    let servers = capped(token.grant.servers.iter().map(ToString::to_string));
    let entry = entry.with("rights", json!(token.grant.rights)).with("servers", servers);
    match token.expires_at {
        Some(end) => entry.with("expiresAt", end.to_string()),
        None => entry,
    }
}

/// Returns what has happened to a token; `None` if it was only used.
fn token_event(former: Option<&AccessToken>, token: Option<&AccessToken>) -> Option<EventType> {
    Some(match (former, token) {
        (None, Some(_)) => EventType::TokenIssued,
        (_, None) => EventType::TokenRevoked,
        (Some(former), Some(token)) if former.revision == token.revision => return None,
        (Some(former), Some(token)) if former.digest != token.digest => EventType::TokenRotated,
        (Some(_), Some(_)) => EventType::TokenUpdated,
    })
}

/// Returns the names of the members in which two definitions differ, without their values, which may be secret.
fn changed_members(former: &Definition, new: &Definition) -> Vec<String> {
    let members = |definition: &Definition| match serde_json::to_value(definition) {
        Ok(Value::Object(members)) => members,
        _ => serde_json::Map::new(),
    };
    let (former, new) = (members(former), members(new));
    let names = former.keys().chain(new.keys().filter(|name| !former.contains_key(*name)));
    names.filter(|name| former.get(*name) != new.get(*name)).cloned().collect()
}
