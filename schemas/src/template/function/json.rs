//! Writes and reads JSON as Go's `encoding/json` does.

mod reader;

use crate::template::budget::Budget;
use crate::template::function::{Outcome, any, done, text};
use crate::template::problem::Problem;
use crate::template::value::Value;

/// Options of the JSON writer.
#[derive(Debug, Clone, Copy)]
struct Style {
    escapes_html: bool,
    is_indented: bool,
}

pub(super) fn to_json(values: &[Value], _: &mut Budget) -> Outcome {
    written(&any(values, 0), Style { escapes_html: true, is_indented: false })
}

pub(super) fn to_pretty_json(values: &[Value], _: &mut Budget) -> Outcome {
    written(&any(values, 0), Style { escapes_html: true, is_indented: true })
}

pub(super) fn to_raw_json(values: &[Value], _: &mut Budget) -> Outcome {
    written(&any(values, 0), Style { escapes_html: false, is_indented: false })
}

pub(super) fn from_json(values: &[Value], budget: &mut Budget) -> Outcome {
    match reader::read(text(values, 0), budget)? {
        Some(value) => Ok(value),
        None => Ok(Value::Nil),
    }
}

pub(super) fn must_from_json(values: &[Value], budget: &mut Budget) -> Outcome {
    let value = reader::read(text(values, 0), budget)?;
    value.ok_or_else(|| Problem::Error("`mustFromJson` was given what is not JSON".to_owned()))
}

fn written(value: &Value, style: Style) -> Outcome {
    let mut out = String::new();
    write(value, style, 0, &mut out)?;
    done(out)
}

fn line(out: &mut String, style: Style, depth: usize) {
    if style.is_indented {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    }
}

fn write(value: &Value, style: Style, depth: usize, out: &mut String) -> Result<(), Problem> {
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Int(number, _) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&fraction(*number)?),
        Value::Text(text) => write_text(text, style, out)?,
        Value::List(list) if list.is_nil => out.push_str("null"),
        Value::List(list) if list.is_unordered && list.items.len() > 1 => return Err(Problem::unordered()),
        Value::List(list) => {
            out.push('[');
            for (at, item) in list.items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                line(out, style, depth + 1);
                write(item, style, depth + 1, out)?;
            }
            if !list.items.is_empty() {
                line(out, style, depth);
            }
            out.push(']');
        }
        Value::Map(map) => {
            let entries = map.entries.borrow();
            out.push('{');
            for (at, (key, item)) in entries.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                line(out, style, depth + 1);
                write_text(key, style, out)?;
                out.push_str(if style.is_indented { ": " } else { ":" });
                write(item, style, depth + 1, out)?;
            }
            if !entries.is_empty() {
                line(out, style, depth);
            }
            out.push('}');
        }
        Value::Version(version) => write_text(version.shown().as_bytes(), style, out)?,
        Value::Time(_) => return Err(Problem::Refused("a time is not written as JSON here".to_owned())),
        Value::Root => return Err(Problem::root()),
        Value::Unset(unset) => return Err(Problem::Unset(unset.0.clone(), unset.1.clone())),
    }
    Ok(())
}

/// Writes a string. Refuses invalid UTF-8, which Go's versions write in different ways.
fn write_text(text: &[u8], style: Style, out: &mut String) -> Result<(), Problem> {
    out.push('"');
    let text = std::str::from_utf8(text);
    let text = text.map_err(|_| Problem::Refused("a text that is not UTF-8 is not written as JSON here".to_owned()))?;
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", letter as u32)),
            '<' | '>' | '&' if style.escapes_html => out.push_str(&format!("\\u{:04x}", letter as u32)),
            letter => out.push(letter),
        }
    }
    out.push('"');
    Ok(())
}

fn fraction(number: f64) -> Result<String, Problem> {
    if !number.is_finite() {
        return Err(Problem::Refused("infinity and NaN have no JSON".to_owned()));
    }
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        return Ok(text.replacen("e", if text.contains("e-") { "e" } else { "e+" }, 1));
    }
    Ok(format!("{number}"))
}
