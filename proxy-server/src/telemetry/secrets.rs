//! Secrets of definitions and settings, masked in every log line.
//!
//! Masking happens where lines are written, because a secret may appear in unexpected places, such as the name that a
//! server reports or the text of an error.

use std::io::{self, Write};
use std::sync::{LazyLock, RwLock};

use crate::sync::{read, write};
use schemas::{Definition, Masker};

/// The masked values, shared by the whole process, because there is one logger.
static KNOWN: LazyLock<RwLock<Masker>> = LazyLock::new(RwLock::default);

/// The secrets of one definition. They are masked in the log until this is dropped.
#[derive(Debug)]
pub(crate) struct Secrets(Masker);

impl Secrets {
    pub(crate) fn of(definition: &Definition) -> Self {
        Self::new(definition.masker())
    }

    fn new(masker: Masker) -> Self {
        write(&KNOWN).join(&masker);
        Self(masker)
    }

    /// Masks the declared secrets in a text.
    pub(crate) fn mask_known(&self, text: &str) -> String {
        self.0.mask(text)
    }

    /// Masks declared secrets and values that look like secrets in a text from or about an upstream.
    pub(crate) fn mask(&self, text: &str) -> String {
        self.0.mask_all(text)
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        write(&KNOWN).leave(&self.0);
    }
}

/// Masks tokens of the gateway's own settings until the process ends.
pub(crate) fn never_log<'s>(values: impl IntoIterator<Item = &'s str>) {
    let mut known = write(&KNOWN);
    values.into_iter().for_each(|value| known.add(value));
}

/// A text of some upstream without the values that any definition declares.
pub(crate) fn mask_known(text: &str) -> String {
    read(&KNOWN).mask(text)
}

/// Masks secrets in written lines. The logger writes whole lines.
pub(super) struct Masking<W>(pub(super) W);

impl<W: Write> Write for Masking<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let masked = read(&KNOWN).mask_bytes(line);
        self.0.write_all(&masked).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_no_secret_of_a_definition_that_lives() {
        let posted = r#"{"name":"a","transport":"stdio","command":"x","env":{"A_KEY":"hush-in-a-test"}}"#;
        let secrets = Secrets::of(&serde_json::from_str(posted).expect("a definition"));
        let written = || {
            let mut line = Masking(Vec::new());
            line.write_all(b"said hush-in-a-test\n").expect("written");
            String::from_utf8(line.0).expect("text")
        };
        assert_eq!(written(), "said [redacted]\n");
        drop(secrets);
        assert_eq!(written(), "said hush-in-a-test\n");
    }
}
