use std::fs;

use super::*;
use crate::telemetry::audit::chain::Broken;

fn entries(count: usize) -> Vec<Entry> {
    let entry =
        |number| Entry::new(EventType::Registered, &Actor::Gateway, Timestamp::UNIX_EPOCH).about(format!("s{number}"));
    (0..count).map(entry).collect()
}

/// Verifies whole files in order. Returns the number of records.
fn verify(paths: &[&Path]) -> Result<u64, Broken> {
    let mut verifier = Verifier::after(Head::default());
    for path in paths {
        for line in fs::read(path).expect("a file").split_inclusive(|byte| *byte == b'\n') {
            verifier.line(line.strip_suffix(b"\n").unwrap_or(line))?;
        }
    }
    let head = fs::read(head_path(paths[paths.len() - 1])).expect("a head");
    let stored = StoredHead::parse(&head).expect("JSON").expect("a head");
    assert_eq!(*verifier.head().0, stored.head);
    Ok(stored.head.seq)
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.jsonl");
    (folder, path)
}

#[test]
fn records_go_on_after_a_restart_and_beside_another_process() {
    let (_folder, path) = folder();
    let mut one = AuditFile::open(&path).expect("opened");
    one.append(&entries(2)).expect("written");
    let mut other = AuditFile::open(&path).expect("opened");
    other.append(&entries(1)).expect("written");
    one.append(&entries(1)).expect("written");
    drop((one, other));
    AuditFile::open(&path).expect("opened").append(&entries(3)).expect("written");
    assert_eq!(verify(&[&path]), Ok(7));
}

#[test]
fn a_renamed_file_is_followed_by_a_new_one() {
    let (folder, path) = folder();
    let mut file = AuditFile::open(&path).expect("opened");
    file.append(&entries(2)).expect("written");
    let former = folder.path().join("audit.jsonl.1");
    fs::rename(&path, &former).expect("renamed");
    file.append(&entries(3)).expect("written");
    assert_eq!(verify(&[&former, &path]), Ok(5));
    assert_eq!(verify(&[&path]), Err(Broken::Number { found: 3, expected: 1 }));
}

#[test]
fn records_whose_end_was_not_stored_are_taken_over_and_one_that_was_cut_short_is_noted() {
    let (_folder, path) = folder();
    let mut file = AuditFile::open(&path).expect("opened");
    file.append(&entries(1)).expect("written");
    let head = fs::read(head_path(&path)).expect("a head");
    file.append(&entries(2)).expect("written");
    drop(file);
    let whole = fs::read(&path).expect("a log");
    for cut in [0, 1, 20] {
        fs::write(head_path(&path), &head).expect("the head of before");
        fs::write(&path, &whole[..whole.len() - cut]).expect("what a crash leaves");
        AuditFile::open(&path).expect("opened").append(&entries(1)).expect("written");
        let text = fs::read_to_string(&path).expect("a log");
        assert_eq!(text.contains("audit.recovered"), cut == 20, "{cut} bytes cut");
        assert_eq!(verify(&[&path]), Ok(4), "{cut} bytes cut");
    }
}

#[test]
fn removed_records_at_the_end_are_found_although_others_follow() {
    let (_folder, path) = folder();
    let mut file = AuditFile::open(&path).expect("opened");
    file.append(&entries(3)).expect("written");
    let text = fs::read_to_string(&path).expect("a log");
    let shorter: String = text.split_inclusive('\n').take(2).collect();
    fs::write(&path, shorter).expect("written");
    file.append(&entries(1)).expect("written");
    assert_eq!(verify(&[&path]), Err(Broken::Number { found: 4, expected: 3 }));
    fs::write(&path, "").expect("emptied");
    file.append(&entries(1)).expect("written");
    assert_eq!(verify(&[&path]), Err(Broken::Number { found: 5, expected: 1 }));
}

#[test]
fn a_file_that_is_no_audit_log_stays_as_it_is() {
    let (folder, path) = folder();
    fs::write(&path, "some notes\n").expect("written");
    let error = AuditFile::open(&path).err().expect("refused");
    assert!(error.source.to_string().contains("move the log away"), "{error:?}");
    assert_eq!(fs::read_to_string(&path).expect("a file"), "some notes\n");
    assert!(AuditFile::open(folder.path()).is_err());
    assert!(AuditFile::open(&folder.path().join("none/audit.jsonl")).is_err());
}
