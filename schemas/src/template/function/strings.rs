//! Sprig's functions for strings, except those that work word by word.

use ring::digest::{SHA256, digest};

use crate::template::budget::Budget;
use crate::template::format;
use crate::template::function::{Outcome, any, as_text, count, done, int, text};
use crate::template::problem::Problem;
use crate::template::text::{is_space, letters, lower, mapped, quoted, trimmed, trimmed_of, upper};
use crate::template::value::{Entries, Of, Value};

pub(super) fn trim(values: &[Value], _: &mut Budget) -> Outcome {
    done(trimmed(text(values, 0)))
}

pub(super) fn to_upper(values: &[Value], _: &mut Budget) -> Outcome {
    done(mapped_unless_ascii(text(values, 0), upper))
}

pub(super) fn to_lower(values: &[Value], _: &mut Budget) -> Outcome {
    done(mapped_unless_ascii(text(values, 0), lower))
}

fn mapped_unless_ascii(text: &[u8], map: fn(char) -> char) -> Vec<u8> {
    mapped(text, map)
}

pub(super) fn trim_all(values: &[Value], _: &mut Budget) -> Outcome {
    let set: Vec<char> = letters(text(values, 0)).map(|(letter, _)| letter).collect();
    done(trimmed_of(text(values, 1), |letter| set.contains(&letter)))
}

pub(super) fn trim_prefix(values: &[Value], _: &mut Budget) -> Outcome {
    let whole = text(values, 1);
    done(whole.strip_prefix(text(values, 0)).unwrap_or(whole))
}

pub(super) fn trim_suffix(values: &[Value], _: &mut Budget) -> Outcome {
    let whole = text(values, 1);
    done(whole.strip_suffix(text(values, 0)).unwrap_or(whole))
}

pub(super) fn has_prefix(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Bool(text(values, 1).starts_with(text(values, 0))))
}

pub(super) fn has_suffix(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Bool(text(values, 1).ends_with(text(values, 0))))
}

pub(super) fn contains(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Bool(find(text(values, 1), text(values, 0)).is_some()))
}

/// Returns the position of a string in another.
pub(super) fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    match wanted.is_empty() {
        true => Some(0),
        false => text.windows(wanted.len()).position(|window| window == wanted),
    }
}

pub(super) fn replace(values: &[Value], budget: &mut Budget) -> Outcome {
    done(replaced(text(values, 2), text(values, 0), text(values, 1), budget)?)
}

fn replaced(whole: &[u8], old: &[u8], new: &[u8], budget: &mut Budget) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::new();
    if old.is_empty() {
        // An empty string is found in front of every letter, and at the end.
        for (_, bytes) in letters(whole) {
            budget.take(new.len())?;
            out.extend_from_slice(new);
            out.extend_from_slice(bytes);
        }
        out.extend_from_slice(new);
        return Ok(out);
    }
    let mut rest = whole;
    while let Some(at) = find(rest, old) {
        budget.take(new.len())?;
        out.extend_from_slice(rest.get(..at).unwrap_or_default());
        out.extend_from_slice(new);
        rest = rest.get(at + old.len()..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Ok(out)
}

pub(super) fn repeat(values: &[Value], budget: &mut Budget) -> Outcome {
    let (times, part) = (int(values, 0), text(values, 1));
    let times = usize::try_from(times).map_err(|_| Problem::Error("`repeat` takes no negative count".to_owned()))?;
    budget.take(part.len().saturating_mul(times))?;
    done(part.repeat(times))
}

pub(super) fn substr(values: &[Value], _: &mut Budget) -> Outcome {
    let (start, end, whole) = (int(values, 0), int(values, 1), text(values, 2));
    let length = count(whole.len());
    let (from, to) = if start < 0 {
        (0, end)
    } else if end < 0 || end > length {
        (start, length)
    } else {
        (start, end)
    };
    let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    let found = range.and_then(|(from, to)| whole.get(from..to));
    done(found.ok_or_else(|| Problem::Error("`substr` goes beyond the text".to_owned()))?)
}

pub(super) fn trunc(values: &[Value], _: &mut Budget) -> Outcome {
    let (most, whole) = (int(values, 0), text(values, 1));
    let length = count(whole.len());
    let at = |at: i64| usize::try_from(at).unwrap_or_default();
    done(match most {
        most if most < 0 && length.saturating_add(most) > 0 => whole.get(at(length + most)..).unwrap_or_default(),
        most if most >= 0 && length > most => whole.get(..at(most)).unwrap_or_default(),
        _ => whole,
    })
}

pub(super) fn quote(values: &[Value], _: &mut Budget) -> Outcome {
    let present = values.iter().filter(|value| !matches!(value, Value::Nil));
    let all: Result<Vec<String>, Problem> = present.map(|value| Ok(quoted(&as_text(value)?, false))).collect();
    done(all?.join(" "))
}

pub(super) fn squote(values: &[Value], _: &mut Budget) -> Outcome {
    let present = values.iter().filter(|value| !matches!(value, Value::Nil));
    let all: Result<Vec<Vec<u8>>, Problem> =
        present.map(|value| Ok([b"'", &*as_text(value)?, b"'"].concat())).collect();
    done(all?.join(&b' '))
}

pub(super) fn cat(values: &[Value], _: &mut Budget) -> Outcome {
    let present: Vec<Value> = values.iter().filter(|value| !matches!(value, Value::Nil)).cloned().collect();
    let form = vec!["%v"; present.len()].join(" ");
    done(format::printf(form.as_bytes(), &present)?)
}

pub(super) fn indent(values: &[Value], budget: &mut Budget) -> Outcome {
    done(indented(values, budget)?)
}

pub(super) fn nindent(values: &[Value], budget: &mut Budget) -> Outcome {
    done([b"\n", indented(values, budget)?.as_slice()].concat())
}

fn indented(values: &[Value], budget: &mut Budget) -> Result<Vec<u8>, Problem> {
    let spaces =
        usize::try_from(int(values, 0)).map_err(|_| Problem::Error("`indent` takes no negative count".to_owned()))?;
    budget.take(spaces)?;
    let pad = vec![b' '; spaces];
    let line = [b"\n", pad.as_slice()].concat();
    Ok([pad, replaced(text(values, 1), b"\n", &line, budget)?].concat())
}

pub(super) fn plural(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(any(values, usize::from(int(values, 2) != 1)))
}

pub(super) fn nospace(values: &[Value], _: &mut Budget) -> Outcome {
    let whole = text(values, 0);
    // Sprig treats each byte as a letter, unless there is no blank to remove.
    let kept: String = whole.iter().map(|byte| char::from(*byte)).filter(|letter| !is_space(*letter)).collect();
    match kept.chars().count() == whole.len() {
        true => done(whole),
        false => done(kept),
    }
}

pub(super) fn initials(values: &[Value], _: &mut Budget) -> Outcome {
    let (mut out, mut was_gap) = (String::new(), true);
    for letter in text(values, 0).iter().map(|byte| char::from(*byte)) {
        let is_gap = is_space(letter);
        if !is_gap && was_gap {
            out.push(letter);
        }
        was_gap = is_gap;
    }
    done(out)
}

pub(super) fn to_string(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Text(as_text(&any(values, 0))?))
}

/// Splits a text at separators; into letters, if the separator is empty.
fn parts<'t>(whole: &'t [u8], separator: &[u8], most: usize) -> Vec<&'t [u8]> {
    let mut parts = Vec::new();
    let mut rest = whole;
    while parts.len() + 1 < most {
        let cut = match separator.is_empty() {
            true => {
                letters(rest).next().map(|(_, bytes)| (bytes.len(), bytes.len())).filter(|(end, _)| *end < rest.len())
            }
            false => find(rest, separator).map(|at| (at, at + separator.len())),
        };
        let Some((end, next)) = cut else { break };
        parts.push(rest.get(..end).unwrap_or_default());
        rest = rest.get(next..).unwrap_or_default();
    }
    if !(separator.is_empty() && rest.is_empty()) {
        parts.push(rest);
    }
    parts
}

fn numbered(parts: Vec<&[u8]>) -> Value {
    let entry = |(at, part): (usize, &[u8])| (format!("_{at}").into_bytes().into(), Value::text(part));
    Value::map_of(parts.into_iter().enumerate().map(entry).collect::<Entries>(), Of::Text)
}

pub(super) fn split(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(numbered(parts(text(values, 1), text(values, 0), usize::MAX)))
}

pub(super) fn splitn(values: &[Value], _: &mut Budget) -> Outcome {
    match int(values, 1) {
        0 => Ok(numbered(Vec::new())),
        most => {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            Ok(numbered(parts(text(values, 2), text(values, 0), most)))
        }
    }
}

pub(super) fn split_list(values: &[Value], budget: &mut Budget) -> Outcome {
    let parts = parts(text(values, 1), text(values, 0), usize::MAX);
    budget.take(parts.len().saturating_mul(16))?;
    Ok(Value::texts(parts))
}

pub(super) fn sha256(values: &[Value], _: &mut Budget) -> Outcome {
    done(digest(&SHA256, text(values, 0)).as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

pub(super) fn sha1(values: &[Value], _: &mut Budget) -> Outcome {
    let text = text(values, 0);
    let mut padded = text.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).next_multiple_of(64) - 8, 0);
    padded.extend((text.len() as u64).wrapping_mul(8).to_be_bytes());
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in padded.chunks(64) {
        let words = block.chunks(4).map(|word| word.iter().fold(0, |value, byte| (value << 8) | u32::from(*byte)));
        let mut words: Vec<u32> = words.collect();
        for at in 16..80_usize {
            let before = |back: usize| words.get(at - back).copied().unwrap_or_default();
            words.push((before(3) ^ before(8) ^ before(14) ^ before(16)).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.into_iter().enumerate() {
            let (mixed, constant) = match at {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999_u32),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6),
            };
            let sum = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e).wrapping_add(constant).wrapping_add(word);
            (a, b, c, d, e) = (sum, a, b.rotate_left(30), c, d);
        }
        state.iter_mut().zip([a, b, c, d, e]).for_each(|(word, more)| *word = word.wrapping_add(more));
    }
    done(state.iter().map(|word| format!("{word:08x}")).collect::<String>())
}

pub(super) fn adler32(values: &[Value], _: &mut Budget) -> Outcome {
    let (low, high) = text(values, 0).iter().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    done(((high << 16) | low).to_string())
}

pub(super) fn abbrev(values: &[Value], _: &mut Budget) -> Outcome {
    let (width, whole) = (int(values, 0), text(values, 1));
    if width < 4 {
        return done(whole);
    }
    done(abbreviated(whole, 0, width)?)
}

pub(super) fn abbrevboth(values: &[Value], _: &mut Budget) -> Outcome {
    let (left, right, whole) = (int(values, 0), int(values, 1), text(values, 2));
    if right < 4 || (left > 0 && right < 7) {
        return done(whole);
    }
    done(abbreviated(whole, left, right)?)
}

/// Returns at most `width` bytes of a text from an offset on, with dots for the omitted parts.
fn abbreviated(whole: &[u8], offset: i64, width: i64) -> Result<Vec<u8>, Problem> {
    const DOTS: &[u8] = b"...";
    let length = count(whole.len());
    if length <= width {
        return Ok(whole.to_vec());
    }
    let mut offset = offset.min(length);
    if length - offset < width - 3 {
        offset = length - (width - 3);
    }
    let part = |from: i64, to: i64| {
        let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
        let found = range.and_then(|(from, to)| whole.get(from..to));
        found.ok_or_else(|| Problem::Error("`abbrevboth` is outside of the text".to_owned()))
    };
    if offset <= 4 {
        return Ok([part(0, width - 3)?, DOTS].concat());
    }
    if width < 7 {
        return Ok(Vec::new());
    }
    if offset + (width - 3) < length {
        return Ok([DOTS, &abbreviated(part(offset, length)?, 0, width - 3)?].concat());
    }
    Ok([DOTS, part(length - (width - 3), length)?].concat())
}
