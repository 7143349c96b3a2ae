//! Masks the values of known secrets wherever they occur in a text.

use std::collections::HashMap;
use std::fmt;

use crate::REDACTED;
use crate::redact::text::redact_text;

/// Minimum length in bytes: shorter values are too likely to be part of another word.
const LEAST: usize = 4;

/// A set of secret values to mask in texts. Values are reference-counted, because several definitions may declare the
/// same one.
///
/// ```
/// use schemas::{Definition, Masker};
///
/// let posted = r#"{"name":"a","transport":"stdio","command":"x","env":{"API_KEY":"hush-hush"}}"#;
/// let masker: Masker = serde_json::from_str::<Definition>(posted)?.masker();
/// assert_eq!(masker.mask("the key hush-hush has expired"), "the key [redacted] has expired");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Masker {
    /// Values by their first bytes, longest first, with reference counts. One pass over a text finds all of them.
    values: HashMap<[u8; LEAST], Vec<(String, usize)>>,
}

impl Masker {
    /// Adds a value, unless it has fewer than 4 bytes: such a value is too likely to be part of another word.
    ///
    /// ```
    /// let mut masker = schemas::Masker::default();
    /// masker.add("hush");
    /// assert_eq!(masker.mask("hush, hushed"), "[redacted], [redacted]ed");
    /// ```
    pub fn add(&mut self, value: &str) {
        let Some(begin) = value.as_bytes().first_chunk::<LEAST>() else { return };
        if value.contains(REDACTED) {
            return;
        }
        let values = self.values.entry(*begin).or_default();
        match values.iter_mut().find(|(known, _)| known == value) {
            Some((_, count)) => *count += 1,
            None => {
                values.push((value.to_owned(), 1));
                values.sort_by_key(|(known, _)| std::cmp::Reverse(known.len()));
            }
        }
    }

    /// Adds all values of another set.
    ///
    /// ```
    /// use schemas::Masker;
    ///
    /// let (mut all, mut one) = (Masker::default(), Masker::default());
    /// one.add("hush");
    /// all.join(&one);
    /// assert_eq!(all.mask("hush"), "[redacted]");
    /// all.leave(&one);
    /// assert_eq!(all.mask("hush"), "hush");
    /// ```
    pub fn join(&mut self, other: &Self) {
        other.values.values().flatten().for_each(|(value, _)| self.add(value));
    }

    /// Removes the values that [`join`](Self::join) added.
    ///
    /// ```
    /// let mut masker = schemas::Masker::default();
    /// masker.leave(&schemas::Masker::default());
    /// assert_eq!(masker.mask("as it is"), "as it is");
    /// ```
    pub fn leave(&mut self, other: &Self) {
        for (begin, values) in &other.values {
            let Some(mine) = self.values.get_mut(begin) else { continue };
            for (value, _) in values {
                mine.iter_mut()
                    .filter(|(known, _)| known == value)
                    .for_each(|(_, count)| *count = count.saturating_sub(1));
            }
            mine.retain(|(_, count)| *count > 0);
            if mine.is_empty() {
                self.values.remove(begin);
            }
        }
    }

    /// Masks every known value in a text.
    ///
    /// ```
    /// assert_eq!(schemas::Masker::default().mask("nothing is known"), "nothing is known");
    /// ```
    pub fn mask(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.mask_bytes(text.as_bytes())).into_owned()
    }

    /// Masks every known value in a text, and everything that looks like a secret.
    ///
    /// ```
    /// assert_eq!(schemas::Masker::default().mask_all("Bearer hush-hush"), "Bearer [redacted]");
    /// ```
    pub fn mask_all(&self, text: &str) -> String {
        redact_text(&self.mask(text))
    }

    /// Masks every known value in bytes, such as a line of a log.
    ///
    /// ```
    /// let mut masker = schemas::Masker::default();
    /// masker.add("hush");
    /// assert_eq!(masker.mask_bytes(b"\xff hush"), b"\xff [redacted]");
    /// ```
    pub fn mask_bytes(&self, text: &[u8]) -> Vec<u8> {
        if self.values.is_empty() {
            return text.to_vec();
        }
        let (mut masked, mut at) = (Vec::with_capacity(text.len()), 0);
        while let Some((first, _)) = text.get(at..).and_then(<[u8]>::split_first) {
            match self.length_at(text.get(at..).unwrap_or_default()) {
                Some(length) => {
                    masked.extend_from_slice(REDACTED.as_bytes());
                    at += length;
                }
                None => {
                    masked.push(*first);
                    at += 1;
                }
            }
        }
        masked
    }

    /// Returns the length of the longest known value at the start of a text.
    fn length_at(&self, text: &[u8]) -> Option<usize> {
        let values = self.values.get(text.first_chunk::<LEAST>()?)?;
        values.iter().map(|(value, _)| value).find(|value| text.starts_with(value.as_bytes())).map(String::len)
    }
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Masker")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masker(values: &[&str]) -> Masker {
        let mut masker = Masker::default();
        values.iter().for_each(|value| masker.add(value));
        masker
    }

    #[test]
    fn the_longest_value_is_masked_as_a_whole() {
        let masker = masker(&["hush", "hush-hush", "hus"]);
        assert_eq!(masker.mask("hush-hush hush hus"), "[redacted] [redacted] hus");
    }

    #[test]
    fn a_value_of_several_stays_until_the_last_is_gone() {
        let (mut all, one) = (masker(&["hush", "rest"]), masker(&["hush"]));
        all.join(&one);
        all.leave(&one);
        assert_eq!(all.mask("hush"), "[redacted]");
        all.leave(&one);
        assert_eq!(all.mask("hush rest"), "hush [redacted]");
        all.leave(&one);
        assert!(!format!("{all:?}").contains("rest"));
    }

    #[test]
    fn other_letters_stay_whole() {
        assert_eq!(masker(&["hush"]).mask("ä hush ü"), "ä [redacted] ü");
    }
}
