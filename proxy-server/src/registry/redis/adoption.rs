//! Reads the records from the store, and takes over definitions that another proxy has written or deleted.

use std::collections::BTreeMap;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncCommands, RedisError, cmd};
use schemas::admin::Revision;

use super::changes::{Op, StoredMarks, digest_of, mark};
use super::layout::{CHANGES, DEFINITIONS, Entries, LEASES, LOCKS, MARKS, META};
use crate::keys::MASTER_LEN;
use crate::registry::failure::{Fault, StorageError};
use crate::registry::record::{self, Marks};
use crate::registry::records::{Limits, Records, Stored, first_revision};

/// Names read by one `MGET`, and the hint for one `SCAN`.
const BATCH: usize = 200;

/// The texts of all records, from one state of the store.
pub(super) struct Read {
    pub(super) format: u64,
    pub(super) version: u64,
    pub(super) master: Option<String>,
    /// Id of the last entry of the stream of changes.
    pub(super) entry: String,
    revision: Option<u64>,
    definitions: BTreeMap<String, String>,
    marks: BTreeMap<String, String>,
    leases: Vec<(String, String)>,
    locks: Vec<(String, String)>,
}

/// The records, and the operations that make the store agree with them.
pub(super) struct Adopted {
    pub(super) records: Records,
    pub(super) ops: Vec<Op>,
    /// Number of definitions that another proxy has written or deleted.
    pub(super) count: usize,
}

impl Read {
    /// Reads everything; `None` if it changed meanwhile.
    pub(super) async fn all(connection: &mut MultiplexedConnection) -> Result<Option<Self>, RedisError> {
        let mut last = cmd("XREVRANGE");
        last.arg(CHANGES).arg("+").arg("-").arg("COUNT").arg(1);
        let last: Entries = last.query_async(connection).await?;
        let meta: BTreeMap<String, String> = connection.hgetall(META).await?;
        let names = names(connection).await?;
        let mut definitions = BTreeMap::new();
        for batch in names.chunks(BATCH) {
            let keys: Vec<String> = batch.iter().map(|name| format!("{DEFINITIONS}{name}")).collect();
            let texts: Vec<Option<Vec<u8>>> = connection.mget(keys).await?;
            let found = batch.iter().zip(texts).filter_map(|(name, text)| Some((name.clone(), text?)));
            definitions.extend(found.map(|(name, text)| (name, String::from_utf8_lossy(&text).into_owned())));
        }
        let marks = connection.hgetall(MARKS).await?;
        let leases: BTreeMap<String, String> = connection.hgetall(LEASES).await?;
        let locks: BTreeMap<String, String> = connection.hgetall(LOCKS).await?;
        let version: Option<String> = connection.hget(META, "version").await?;
        if version.as_deref() != meta.get("version").map(String::as_str) {
            return Ok(None);
        }
        let number = |name: &str| meta.get(name).and_then(|text| text.parse().ok());
        Ok(Some(Self {
            format: number("format").unwrap_or_default(),
            version: number("version").unwrap_or_default(),
            master: meta.get("master").cloned(),
            entry: last.into_iter().next().map_or_else(|| "0-0".to_owned(), |(entry, _)| entry),
            revision: number("revision"),
            definitions,
            marks,
            leases: leases.into_iter().collect(),
            locks: locks.into_iter().collect(),
        }))
    }
}

/// Finds the names of all definitions, each once: SCAN may return a key several times.
async fn names(connection: &mut MultiplexedConnection) -> Result<Vec<String>, RedisError> {
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
    let mut foreign = Vec::new();
    let mut known = BTreeMap::new();
    for (name, text) in &read.marks {
        match serde_json::from_str::<StoredMarks>(text) {
            Ok(marks) => drop(known.insert(name.as_str(), marks)),
            Err(error) => record::skipped(&format!("{MARKS}/{name}"), &error.into()),
        }
    }
    last = known.values().map(|stored| stored.marks.revision.get()).fold(last, u64::max);
    for (name, text) in &read.definitions {
        let definition = match record::read_definition(name, text) {
            Ok(definition) => definition,
            Err(error) => {
                record::skipped(&format!("{DEFINITIONS}{name}"), &error);
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
    for name in read.marks.keys().filter(|name| !read.definitions.contains_key(*name)) {
        last += 1;
        ops.push(Op::DeleteField { key: MARKS, field: name.clone() });
    }
    let stored = Stored {
        last: Revision::new(last),
        registrations,
        leases: record::keyed(readable(LEASES, read.leases, record::read_leases)),
        locks: record::keyed(readable(LOCKS, read.locks, record::read_lock)),
    };
    Adopted { records: Records::restore(stored, limits), count: ops.len(), ops }
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
