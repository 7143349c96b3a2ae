//! Slash-separated paths, as Go's `path` treats them. No file is accessed.

use crate::template::budget::Budget;
use crate::template::function::{Outcome, done, text};
use crate::template::value::Value;

fn after_last_slash(path: &[u8]) -> usize {
    path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1)
}

pub(super) fn base(values: &[Value], _: &mut Budget) -> Outcome {
    let path = text(values, 0);
    if path.is_empty() {
        return done(".");
    }
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
    let path = path.get(..end).unwrap_or_default();
    match path.get(after_last_slash(path)..).unwrap_or_default() {
        b"" => done("/"),
        name => done(name),
    }
}

pub(super) fn dir(values: &[Value], _: &mut Budget) -> Outcome {
    let path = text(values, 0);
    done(cleaned(path.get(..after_last_slash(path)).unwrap_or_default()))
}

pub(super) fn clean(values: &[Value], _: &mut Budget) -> Outcome {
    done(cleaned(text(values, 0)))
}

pub(super) fn ext(values: &[Value], _: &mut Budget) -> Outcome {
    let path = text(values, 0);
    let name = path.get(after_last_slash(path)..).unwrap_or_default();
    let dot = name.iter().rposition(|byte| *byte == b'.');
    done(dot.and_then(|at| name.get(at..)).unwrap_or_default())
}

pub(super) fn is_abs(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Bool(text(values, 0).starts_with(b"/")))
}

/// Returns the shortest equivalent path, by its text alone.
fn cleaned(path: &[u8]) -> Vec<u8> {
    let is_rooted = path.starts_with(b"/");
    let mut kept: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match kept.last() {
                Some(last) if *last != b".." => {
                    kept.pop();
                }
                _ if is_rooted => {}
                _ => kept.push(part),
            },
            part => kept.push(part),
        }
    }
    let joined = kept.join(&b'/');
    match (is_rooted, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}
