//! Reads the records from the store, and takes over definitions that another proxy has written or deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use ::redis::aio::MultiplexedConnection;
use ::redis::{RedisError, Script, cmd};
use schemas::ServerName;
use schemas::admin::Revision;

use super::changes::{Op, StoredMarks, digest_of, mark};
use super::layout::{CHANGES, DEFINITIONS, Entries, LEASES, LOCKS, MARKS, META, TOKENS, change_of};
use crate::keys::MASTER_LEN;
use crate::registry::failure::{Fault, StorageError};
use crate::registry::record::{self, Marks};
use crate::registry::records::{Limits, Records, Stored, first_revision};

/// Hint for the number of keys that one `SCAN` looks at.
const BATCH: usize = 200;

/// Reads all records. Kept, because its digest names it to the server.
static READ: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("read.lua")));

/// Fields of a hash.
type Fields = BTreeMap<String, String>;
/// The answer of the script that reads: meta, marks, leases, locks, tokens, changes, names and texts of definitions.
type Answer = (Fields, Fields, Fields, Fields, Fields, Entries, Vec<String>, Vec<Option<Vec<u8>>>);

/// The texts of all records, from one state of the store.
pub(super) struct Read {
    pub(super) format: u64,
    pub(super) master: Option<String>,
    pub(super) history: History,
    revision: Option<u64>,
    definitions: BTreeMap<String, String>,
    marks: BTreeMap<String, String>,
    leases: Vec<(String, String)>,
    locks: Vec<(String, String)>,
    tokens: Vec<(String, String)>,
}

/// The changes that have led to the state of the store.
pub(super) struct History {
    /// Number of changes so far.
    pub(super) version: u64,
    /// Id of the last change.
    pub(super) last: Option<String>,
    /// Ids of the newest changes by version, at least from a version that was asked for, as far as they are kept.
    pub(super) changes: BTreeMap<u64, String>,
    /// Id of the last entry of the stream of changes.
    pub(super) entry: String,
}

/// The records, and the operations that make the store agree with them.
pub(super) struct Adopted {
    pub(super) records: Records,
    pub(super) ops: Vec<Op>,
    /// Number of definitions that another proxy has written or deleted.
    pub(super) count: usize,
    /// Names of definitions that cannot be read.
    pub(super) skipped: Vec<String>,
}

impl Read {
    /// Reads everything at one moment, with the changes since a version. `names` are those of definitions that may have no
    /// marks, because another proxy has written them.
    pub(super) async fn all(
        connection: &mut MultiplexedConnection,
        since: u64,
        names: &[String],
    ) -> Result<Self, RedisError> {
        let mut call = READ.prepare_invoke();
        call.key(META).key(CHANGES).key(MARKS).key(LEASES).key(LOCKS).key(TOKENS);
        call.arg(DEFINITIONS).arg(since).arg(names);
        let (meta, marks, leases, locks, tokens, entries, names, texts): Answer = call.invoke_async(connection).await?;
        let number = |name: &str| meta.get(name).and_then(|text| text.parse().ok());
        let found = names.into_iter().zip(texts).filter_map(|(name, text)| Some((name, text?)));
        let change =
            |(_, fields): &(String, Vec<String>)| change_of(fields).map(|(version, id)| (version, id.to_owned()));
        Ok(Self {
            format: number("format").unwrap_or_default(),
            master: meta.get("master").cloned(),
            history: History {
                version: number("version").unwrap_or_default(),
                last: meta.get("last").cloned(),
                changes: entries.iter().filter_map(change).collect(),
                entry: entries.into_iter().next().map_or_else(|| "0-0".to_owned(), |(entry, _)| entry),
            },
            revision: number("revision"),
            definitions: found.map(|(name, text)| (name, String::from_utf8_lossy(&text).into_owned())).collect(),
            marks,
            leases: leases.into_iter().collect(),
            locks: locks.into_iter().collect(),
            tokens: tokens.into_iter().collect(),
        })
    }
}

/// Finds the names of all definitions, each once: SCAN may return a key several times.
pub(super) async fn names(connection: &mut MultiplexedConnection) -> Result<Vec<String>, RedisError> {
    let (mut names, mut cursor) = (Vec::new(), 0_u64);
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{DEFINITIONS}*")).arg("COUNT").arg(BATCH);
        let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(connection).await?;
        let keys = keys.into_iter().map(|key| String::from_utf8_lossy(&key).into_owned());
        names.extend(keys.filter_map(|key| key.strip_prefix(DEFINITIONS).map(str::to_owned)));
        if next == 0 {
            names.sort();
            names.dedup();
            return Ok(names);
        }
        cursor = next;
    }
}

/// Builds the records. A definition without marks, or with marks for another text, gets new ones: another proxy has written
/// it. Marks without a definition are removed: another proxy has deleted it.
pub(super) fn adopt(read: Read, is_behind: bool, limits: Limits) -> Adopted {
    // A store that was emptied knows of no revision, so that whatever this gateway has counts as newer.
    let mut last = read.revision.unwrap_or_else(|| if is_behind { 0 } else { first_revision().get() });
    let mut registrations = Vec::new();
    let (mut foreign, mut skipped) = (Vec::new(), BTreeSet::new());
    let (mut known, mut unreadable) = (BTreeMap::new(), BTreeSet::new());
    for (name, text) in &read.marks {
        match serde_json::from_str::<StoredMarks>(text) {
            Ok(marks) => drop(known.insert(name.as_str(), marks)),
            Err(error) => {
                record::skipped(&format!("{MARKS}/{name}"), &error.into());
                unreadable.insert(name.as_str());
            }
        }
    }
    last = known.values().map(|stored| stored.marks.revision.get()).fold(last, u64::max);
    for (name, text) in read.definitions.iter().filter(|(name, _)| !unreadable.contains(name.as_str())) {
        let definition = match record::read_definition(name, text) {
            Ok(definition) => definition,
            Err(error) => {
                record::skipped(&format!("{DEFINITIONS}{name}"), &error);
                skipped.insert(name.as_str());
                continue;
            }
        };
        match known.get(name.as_str()) {
            Some(stored) if stored.digest == digest_of(text) => {
                registrations.push(record::registration(definition, &stored.marks));
            }
            before => foreign.push((name, text, definition, before.map(|stored| stored.marks.clone()))),
        }
    }
    // In the order in which they were created, as far as that is known.
    foreign.sort_by(|(a, _, (_, a_created, _), _), (b, _, (_, b_created, _), _)| (a_created, a).cmp(&(b_created, b)));
    let mut ops = Vec::new();
    for (name, text, definition, before) in foreign {
        last += 1;
        let revision = Revision::new(last);
        let marks = Marks {
            revision,
            incarnation: revision,
            created: before.as_ref().map_or(revision, |before| before.created),
            leased: before.is_some_and(|before| before.leased),
        };
        ops.extend(mark(name, marks.clone(), text));
        registrations.push(record::registration(definition, &marks));
    }
    let is_orphan = |name: &&str| !read.definitions.contains_key(*name);
    for name in known.keys().copied().filter(is_orphan) {
        last += 1;
        ops.push(Op::DeleteField { key: MARKS, field: name.to_owned() });
    }
    let stored = Stored {
        last: Revision::new(last),
        registrations,
        leases: record::keyed(readable(LEASES, read.leases, record::read_leases)),
        locks: record::keyed(readable(LOCKS, read.locks, record::read_lock)),
        tokens: record::keyed(readable(TOKENS, read.tokens, record::read_token)),
        unreadable: unreadable.union(&skipped).filter_map(|name| ServerName::stored(name).ok()).collect(),
    };
    let skipped = skipped.into_iter().map(str::to_owned).collect();
    Adopted { records: Records::restore(stored, limits), count: ops.len(), ops, skipped }
}

fn readable<T>(
    key: &str,
    texts: Vec<(String, String)>,
    read: impl Fn(&str) -> Result<T, record::Unreadable>,
) -> Vec<(String, T)> {
    let parse = |(field, text): (String, String)| match read(&text) {
        Ok(value) => Some((field, value)),
        Err(error) => {
            record::skipped(&format!("{key}/{field}"), &error);
            None
        }
    };
    texts.into_iter().filter_map(parse).collect()
}

/// Reads the master secret.
pub(super) fn master(text: &str) -> Result<[u8; MASTER_LEN], StorageError> {
    let damaged = || StorageError::new(Fault::Damaged, format!("`master` in {META} is not a secret of a gateway"));
    let digit = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(digit).collect();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(damaged)
}
