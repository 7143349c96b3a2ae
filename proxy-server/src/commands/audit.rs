//! `audit verify`: checks the chain of an audit log.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::json;

use crate::cli::{Output, VerifyFlags};
use crate::telemetry::audit::chain::{Digest, Head, Verifier};
use crate::telemetry::audit::file::{LONGEST_LINE, StoredHead, head_path};

/// The outcome of a verification.
struct Verified {
    head: Head,
    /// Number of verified records.
    records: u64,
    /// True if the end of the chain was known from elsewhere, so that no record is missing at the end.
    is_complete: bool,
}

/// Verifies the files, oldest first, and the end of the chain beside the last one.
pub(super) fn verify(flags: &VerifyFlags) -> anyhow::Result<()> {
    let Verified { head, records, is_complete } = verified(flags)?;
    let mut out = std::io::stdout();
    match flags.output {
        Output::Human => {
            let end = if is_complete { "" } else { "; nothing tells if records are missing after it" };
            writeln!(out, "{records} records are intact; the last is {}:{}{end}", head.seq, head.digest)?;
        }
        Output::Json => {
            let digest = head.digest.to_string();
            let told = json!({
                "version": 1, "records": records, "seq": head.seq, "digest": digest, "complete": is_complete,
            });
            writeln!(out, "{told}")?;
        }
    }
    Ok(())
}

fn verified(flags: &VerifyFlags) -> anyhow::Result<Verified> {
    let start = flags.after.as_deref().map_or(Ok(Head::default()), |text| end("--after", text))?;
    let noted = flags.head.iter().map(|text| end("--head", text)).collect::<Result<Vec<_>, _>>()?;
    let mut verifier = Verifier::after(start.clone());
    // Read before the files, which a running gateway may make longer.
    let last = flags.files.last().map(|path| head_path(path)).unwrap_or_default();
    let stored = stored_end(&last)?;
    let mut missing: Vec<_> = noted.iter().chain(&stored).filter(|noted| **noted != start).cloned().collect();
    for path in &flags.files {
        verify_file(path, &mut verifier, &mut |head| missing.retain(|noted| noted != head))?;
    }
    let (head, torn) = verifier.head();
    match missing.first() {
        Some(end) if stored.as_ref() == Some(end) => {
            let last = last.display();
            bail!(
                "the chain ends with record {}, and `{last}` names {} as its last, which is not in it",
                head.seq,
                end.seq
            )
        }
        Some(noted) => bail!("record {}:{}, which was noted, is not in the chain", noted.seq, noted.digest),
        None => {}
    }
    if torn.is_some() {
        let file = flags.files.last().map(|file| file.display().to_string()).unwrap_or_default();
        bail!(
            "`{file}`: the last line is no record; if a crash has cut it short, the gateway records that when it writes again"
        );
    }
    let is_complete = stored.is_some() || noted.contains(head);
    if !is_complete && !flags.open_end {
        bail!(
            "{} records are intact up to {}:{}, and nothing tells if records are missing after it: `{}` is missing; give the \
             last record with --head, or accept that with --open-end",
            head.seq - start.seq,
            head.seq,
            head.digest,
            last.display()
        )
    }
    Ok(Verified { head: head.clone(), records: head.seq - start.seq, is_complete })
}

/// Reads the end of the chain that is stored beside the last file; `None` without one.
fn stored_end(path: &Path) -> anyhow::Result<Option<Head>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    };
    let stored = StoredHead::parse(&text).with_context(|| format!("`{}` holds no end of a chain", path.display()))?;
    Ok(stored.map(|stored| stored.head))
}

/// Verifies the lines of a file. Calls `seen` with the end of the chain after each.
fn verify_file(path: &Path, verifier: &mut Verifier, seen: &mut impl FnMut(&Head)) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let (mut lines, mut line, mut number) = (BufReader::new(file), Vec::new(), 0_u64);
    loop {
        line.clear();
        let length = (&mut lines).take(LONGEST_LINE).read_until(b'\n', &mut line);
        if length.with_context(|| format!("cannot read `{}`", path.display()))? == 0 {
            return Ok(());
        }
        number += 1;
        let whole = line.strip_suffix(b"\n").unwrap_or(&line);
        verifier.line(whole).with_context(|| format!("{}:{number}", path.display()))?;
        seen(verifier.head().0);
    }
}

/// Reads the end of a chain, `NUMBER:DIGEST`.
fn end(flag: &str, text: &str) -> anyhow::Result<Head> {
    let parse = || Some((text.split_once(':')?.0.parse().ok()?, text.split_once(':')?.1.parse::<Digest>().ok()?));
    let (seq, digest) =
        parse().with_context(|| format!("{flag}: `{text}` is not NUMBER:DIGEST, as `audit verify` prints it"))?;
    Ok(Head { seq, digest })
}
