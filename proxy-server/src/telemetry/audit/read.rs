//! Reads the last records for the admin API, without verifying them.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::chain::Head;
use super::file::{StoredHead, head_path};

/// Length of the end of the file that is read, in bytes.
const READ: u64 = 4 << 20;

/// Records, oldest first, and the end of the chain.
pub(crate) struct Records {
    pub(crate) records: Vec<Box<RawValue>>,
    pub(crate) head: Head,
}

#[derive(Deserialize)]
struct Number {
    seq: u64,
}

/// Returns the first `most` records after the one with this number, or the last ones. What is not in the last 4 MiB of the
/// file is left out.
pub(crate) fn records(path: &Path, after: Option<u64>, most: usize) -> io::Result<Records> {
    let head = StoredHead::parse(&fs::read(head_path(path))?)?.map(|stored| stored.head).unwrap_or_default();
    let mut file = match File::open(path) {
        // Renamed, and nothing has happened since.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Records { records: Vec::new(), head }),
        opened => opened?,
    };
    let start = file.metadata()?.len().saturating_sub(READ);
    file.seek(SeekFrom::Start(start))?;
    let mut text = Vec::new();
    file.take(READ).read_to_end(&mut text)?;
    // The first line may have lost its beginning, the last one its end.
    let whole = |line: &[u8]| serde_json::from_slice::<Box<RawValue>>(line.strip_suffix(b"\n")?).ok();
    let lines = text.split_inclusive(|byte| *byte == b'\n').skip(usize::from(start > 0)).filter_map(whole);
    let number = |line: &RawValue| serde_json::from_str::<Number>(line.get()).ok().map(|number| number.seq);
    let mut records: Vec<_> = lines.filter(|line| number(line) > Some(after.unwrap_or_default())).collect();
    match after {
        Some(_) => records.truncate(most),
        None => drop(records.drain(..records.len().saturating_sub(most))),
    }
    Ok(Records { records, head })
}
