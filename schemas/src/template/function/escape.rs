//! Escaping for other languages, and Go's printing functions.

use crate::template::budget::Budget;
use crate::template::format;
use crate::template::function::{Outcome, done, text};
use crate::template::problem::Problem;
use crate::template::text::{is_print, letters};
use crate::template::value::{Text, Value};

/// Joins all arguments: returns a single string unchanged, otherwise what `print` prints.
fn joined(values: &[Value]) -> Result<Text, Problem> {
    match values {
        [Value::Text(text)] => Ok(text.clone()),
        _ => {
            let absent = Value::text("<no value>");
            let shown: Vec<Value> = values
                .iter()
                .map(|value| if matches!(value, Value::Nil) { absent.clone() } else { value.clone() })
                .collect();
            Ok(format::print(&shown)?.into())
        }
    }
}

pub(super) fn print(values: &[Value], _: &mut Budget) -> Outcome {
    done(format::print(values)?)
}

pub(super) fn println(values: &[Value], _: &mut Budget) -> Outcome {
    done(format::print_line(values)?)
}

pub(super) fn printf(values: &[Value], _: &mut Budget) -> Outcome {
    done(format::printf(text(values, 0), values.get(1..).unwrap_or_default())?)
}

pub(super) fn html(values: &[Value], _: &mut Budget) -> Outcome {
    done(html_of(&joined(values)?))
}

pub(super) fn html_escape(values: &[Value], _: &mut Budget) -> Outcome {
    done(html_of(text(values, 0)))
}

fn html_of(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in text {
        match byte {
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            byte => out.push(*byte),
        }
    }
    out
}

pub(super) fn js(values: &[Value], _: &mut Budget) -> Outcome {
    done(js_of(&joined(values)?))
}

pub(super) fn js_escape(values: &[Value], _: &mut Budget) -> Outcome {
    done(js_of(text(values, 0)))
}

fn js_of(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (letter, bytes) in letters(text) {
        match letter {
            '\\' => out.extend_from_slice(br"\\"),
            '\'' => out.extend_from_slice(br"\'"),
            '"' => out.extend_from_slice(br#"\""#),
            '<' | '>' | '&' | '=' | '\0'..='\u{1f}' => {
                out.extend_from_slice(format!("\\u{:04X}", letter as u32).as_bytes());
            }
            letter if letter.is_ascii() || is_print(letter) => out.extend_from_slice(bytes),
            letter => out.extend_from_slice(format!("\\u{:04X}", letter as u32).as_bytes()),
        }
    }
    out
}

/// Escapes a text for the query of a URL: everything but letters, digits and `-_.~`; a blank becomes a plus.
pub(super) fn urlquery(values: &[Value], _: &mut Budget) -> Outcome {
    let mut out = Vec::new();
    for byte in joined(values)?.iter() {
        match byte {
            b' ' => out.push(b'+'),
            b'-' | b'_' | b'.' | b'~' => out.push(*byte),
            byte if byte.is_ascii_alphanumeric() => out.push(*byte),
            byte => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    done(out)
}
