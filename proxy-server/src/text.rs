//! Cuts texts that others choose. Leaf: every row may import it.

/// Returns the beginning of a text, at most so many bytes, cut between letters.
pub(crate) fn shortened(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn a_text_is_cut_between_letters() {
        assert_eq!(shortened(&"ü".repeat(100), 128).len(), 128);
        assert_eq!(shortened(&format!("x{}", "ü".repeat(100)), 128).len(), 127);
        assert_eq!(shortened("/a", 128), "/a");
    }
}
