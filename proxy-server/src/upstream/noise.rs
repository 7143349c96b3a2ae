//! The lines on the standard output of an upstream's processes that are no usable message.

use std::sync::{Mutex, PoisonError};

/// What is kept of the last one.
const KEPT_BYTES: usize = 120;

/// Counts such lines, for the status and for errors that they may explain. One for all processes of an upstream.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Noise(Mutex<Heard>);

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::upstream) struct Heard {
    pub(in crate::upstream) lines: u64,
    /// The beginning of the last one, and what is wrong with it.
    pub(in crate::upstream) last: Option<String>,
}

impl Noise {
    /// Notes a line. Its control characters are shown as escapes, because it may be anything.
    pub(in crate::upstream) fn note(&self, line: &[u8], why: &str) {
        let start = String::from_utf8_lossy(line.get(..KEPT_BYTES.min(line.len())).unwrap_or_default());
        let start: String = start.trim_end_matches('\u{fffd}').chars().flat_map(shown).collect();
        let more = if line.len() > KEPT_BYTES { "..." } else { "" };
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.lines += 1;
        heard.last = Some(format!("`{start}{more}` ({why})"));
    }

    pub(in crate::upstream) fn heard(&self) -> Heard {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Words on the lines that came since there were so many; nothing if none did.
    pub(in crate::upstream) fn since(&self, lines: u64) -> Option<String> {
        let heard = self.heard();
        let count = heard.lines.checked_sub(lines).filter(|count| *count > 0)?;
        let last = heard.last.unwrap_or_default();
        Some(match count {
            1 => format!("a line on its standard output is no message: {last}"),
            _ => format!("{count} lines on its standard output are no messages, the last is {last}"),
        })
    }
}

/// A byte order mark and control characters cannot be seen otherwise.
fn shown(letter: char) -> Vec<char> {
    if letter.is_control() || letter == '\u{feff}' { letter.escape_unicode().collect() } else { vec![letter] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_with_what_cannot_be_seen_in_it() {
        let noise = Noise::default();
        assert_eq!(noise.since(0), None);
        noise.note("\u{feff}{\"id\":1}\r".as_bytes(), "not JSON");
        assert_eq!(noise.heard().last.as_deref(), Some("`\\u{feff}{\"id\":1}\\u{d}` (not JSON)"));
        noise.note(&[b'x'; 500], "not JSON");
        let words = noise.since(0).expect("two lines");
        assert!(words.starts_with("2 lines on its standard output are no messages, the last is `xxx"), "{words}");
        assert!(words.ends_with("xxx...` (not JSON)") && words.len() < 250, "{words}");
        assert_eq!(noise.since(2), None);
    }

    #[test]
    fn a_letter_that_is_cut_in_two_is_left_out() {
        let noise = Noise::default();
        noise.note(format!("x{}", "ü".repeat(100)).as_bytes(), "why");
        assert!(!noise.heard().last.expect("a line").contains('\u{fffd}'));
    }
}
