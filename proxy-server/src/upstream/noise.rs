//! Output lines of an upstream's processes that are not usable messages.

use crate::sync::lock;
use std::sync::Mutex;

/// Maximum length of the excerpt of the last line, in bytes.
const KEPT_BYTES: usize = 120;

/// Counts such lines for the status, and for errors that they may explain. Shared by all processes of an upstream.
#[derive(Debug, Default)]
pub(super) struct Noise(Mutex<Heard>);

/// The count, and the last line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) lines: u64,
    /// The beginning of the last line, and the reason why it is not usable.
    pub(super) last: Option<String>,
}

impl Noise {
    /// Counts a line. Escapes control characters, because the line may contain anything.
    pub(super) fn note(&self, line: &[u8], why: &str) {
        let start = String::from_utf8_lossy(line.get(..KEPT_BYTES.min(line.len())).unwrap_or_default());
        let start: String = start.trim_end_matches('\u{fffd}').chars().flat_map(shown).collect();
        let more = if line.len() > KEPT_BYTES { "..." } else { "" };
        let mut heard = lock(&self.0);
        heard.lines += 1;
        heard.last = Some(format!("`{start}{more}` ({why})"));
    }

    pub(super) fn heard(&self) -> Heard {
        lock(&self.0).clone()
    }

    /// Describes the lines after the first `lines`; `None` if there are none.
    pub(super) fn since(&self, lines: u64) -> Option<String> {
        let heard = self.heard();
        let count = heard.lines.checked_sub(lines).filter(|count| *count > 0)?;
        let last = heard.last.unwrap_or_default();
        Some(match count {
            1 => format!("a line on its standard output is no message: {last}"),
            _ => format!("{count} lines on its standard output are no messages, the last is {last}"),
        })
    }
}

/// Escapes a byte order mark or a control character, which are invisible otherwise.
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
