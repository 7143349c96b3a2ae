use std::collections::BTreeSet;

use schemas::Definition;
use serde_json::json;

use super::*;
use crate::registry::registration::Tenure;

const LIMITS: Limits = Limits { registrations: 10, holders: 10, locks: 10, tokens: 10 };

fn registration(name: &str, created: u64) -> Registration {
    let document =
        json!({ "name": "n", "transport": "sse", "url": "http://127.0.0.1:1/", "headers": { "X-A": "s3cret" } });
    let mut definition: Definition = serde_json::from_value(document).expect("a definition");
    definition.name = ServerName::stored(name).expect("a name");
    let revision = Revision::new(created);
    let time = "2025-10-01T10:00:00.123456789Z".parse().expect("a time");
    Registration {
        definition,
        created_at: time,
        updated_at: time,
        revision,
        created: revision,
        incarnation: revision,
        tenure: Tenure::Permanent,
    }
}

fn empty() -> Records {
    Records::new(Revision::new(1), LIMITS)
}

fn records(registrations: Vec<Registration>) -> Records {
    Records::restore(
        Stored {
            last: Revision::new(9),
            registrations,
            leases: vec![],
            locks: vec![],
            tokens: vec![],
            unreadable: BTreeSet::new(),
        },
        LIMITS,
    )
}

async fn reopened(folder: &Path) -> Records {
    Embedded::open(folder, LIMITS).await.expect("a file").1.records
}

/// Changes rows of the file behind the gateway's back.
fn tamper(folder: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::open(folder.join(FILE)).expect("a file");
    let transaction = database.begin_write().expect("a transaction");
    change(&transaction);
    transaction.commit().expect("a commit");
}

#[tokio::test]
async fn a_registration_is_read_as_it_was_written_also_under_a_name_that_is_not_valid_today() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, _) = Embedded::open(folder.path(), LIMITS).await.expect("a file");
    let written = records(vec![registration("later", 7), registration("my server", 3), registration("admin", 5)]);
    file.persist(Delta::between(&empty(), &written)).await.expect("written");
    drop(file);
    let read = reopened(folder.path()).await;
    assert_eq!(format!("{:?}", read.snapshot()), format!("{:?}", written.snapshot()));
    assert!(Delta::between(&written, &read).registrations.len() == 3, "other values, though equal");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_skipped_and_stays_in_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, _) = Embedded::open(folder.path(), LIMITS).await.expect("a file");
    file.persist(Delta::between(&empty(), &records(vec![registration("good", 3)]))).await.expect("written");
    drop(file);
    let bad = ["", "{", "{}", "null", r#"{"definition":{},"marks":{"revision":1,"incarnation":1,"created":1}}"#];
    tamper(folder.path(), |transaction| {
        for (number, text) in bad.into_iter().enumerate() {
            let mut table = transaction.open_table(REGISTRATIONS).expect("a table");
            table.insert(format!("bad{number}").as_str(), text).expect("a row");
        }
        transaction.open_table(LEASES).expect("a table").insert("w", "[]").expect("a row");
        transaction.open_table(LOCKS).expect("a table").insert(" o", "{}").expect("a row");
    });
    let mut read = reopened(folder.path()).await;
    assert_eq!(read.snapshot().all().map(|one| one.definition.name.to_string()).collect::<Vec<_>>(), ["good"]);
    let create =
        |name: &str| crate::registry::Write::Create { definition: registration(name, 1).definition, lease: None };
    let now = jiff::Timestamp::now();
    let refused = read.clone().transact(vec![create("bad1")], &crate::registry::Expected::new(), now);
    assert!(matches!(refused, Err(crate::registry::TransactError::Unreadable(name)) if name.as_str() == "bad1"));
    assert!(read.transact(vec![create("new")], &crate::registry::Expected::new(), now).is_ok());
    tamper(folder.path(), |transaction| {
        let table = transaction.open_table(REGISTRATIONS).expect("a table");
        assert_eq!(table.get("bad1").expect("read").map(|text| text.value().to_owned()), Some("{".to_owned()));
    });
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(Embedded::open(folder.path(), LIMITS).await.expect("a file"));
    tamper(folder.path(), |transaction| {
        let mut meta = transaction.open_table(META).expect("a table");
        meta.insert("format", 2_u64.to_be_bytes().as_slice()).expect("a row");
    });
    let error = Embedded::open(folder.path(), LIMITS).await.err().expect("refused");
    assert_eq!(error.fault, Fault::Newer);
}

#[tokio::test]
async fn the_master_secret_is_drawn_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = Embedded::open(folder.path(), LIMITS).await.expect("a file").1.master;
    assert_eq!(Embedded::open(folder.path(), LIMITS).await.expect("a file").1.master, first);
}

#[tokio::test]
async fn a_cut_file_is_damaged_and_is_not_written_over() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(Embedded::open(folder.path(), LIMITS).await.expect("a file"));
    let path = folder.path().join(FILE);
    let length = path.metadata().expect("a file").len();
    OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(length / 2)).expect("a cut file");
    let error = Embedded::open(folder.path(), LIMITS).await.err().expect("refused");
    assert_eq!(error.fault, Fault::Damaged, "{error}");
    assert_eq!(path.metadata().expect("a file").len(), length / 2);
}
