//! Strings as Go treats them: bytes decoded letter by letter, with Go's case mappings, quoting and character classes.

use std::fmt::Write;

/// Replacement character for a byte that is no part of a letter.
pub(super) const REPLACEMENT: char = '\u{fffd}';

/// Iterates over the letters of a text, each with its bytes. A byte that is no part of a letter is an item by itself.
pub(super) fn letters(text: &[u8]) -> impl DoubleEndedIterator<Item = (char, &[u8])> {
    let mut found = Vec::new();
    for chunk in text.utf8_chunks() {
        let valid = chunk.valid();
        found.extend(
            valid
                .char_indices()
                .map(|(at, letter)| (letter, valid.as_bytes().get(at..at + letter.len_utf8()).unwrap_or_default())),
        );
        found.extend(chunk.invalid().chunks(1).map(|byte| (REPLACEMENT, byte)));
    }
    found.into_iter()
}

/// Replaces each letter. A byte that is no part of one becomes the replacement character, as in `strings.Map`.
pub(super) fn mapped(text: &[u8], mut map: impl FnMut(char) -> char) -> Vec<u8> {
    letters(text).map(|(letter, _)| map(letter)).collect::<String>().into_bytes()
}

/// Maps one letter to upper case, always as one letter. Returns it unchanged if the full mapping has several letters.
pub(super) fn upper(letter: char) -> char {
    match letter {
        // Their full mapping has two letters; their simple mapping is one letter with the iota adscript.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => shifted(letter, 8),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shifted(letter, 9),
        _ => single(letter.to_uppercase(), letter),
    }
}

/// Maps one letter to lower case, always as one letter.
pub(super) fn lower(letter: char) -> char {
    if letter == '\u{130}' { 'i' } else { single(letter.to_lowercase(), letter) }
}

/// Maps one letter to title case, which differs from upper case for some digraphs and in Georgian.
pub(super) fn title(letter: char) -> char {
    match letter {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        '\u{10d0}'..='\u{10fa}' | '\u{10fd}'..='\u{10ff}' => letter,
        _ if is_title(letter) => letter,
        _ => upper(letter),
    }
}

fn shifted(letter: char, by: u32) -> char {
    char::from_u32(letter as u32 + by).unwrap_or(letter)
}

fn single(mut mapping: impl Iterator<Item = char>, letter: char) -> char {
    match (mapping.next(), mapping.next()) {
        (Some(mapped), None) => mapped,
        _ => letter,
    }
}

/// `unicode.IsUpper`: a letter of category Lu.
pub(super) fn is_upper(letter: char) -> bool {
    let is_other = matches!(letter,
        '\u{2160}'..='\u{216f}' | '\u{24b6}'..='\u{24cf}' | '\u{1f130}'..='\u{1f149}' | '\u{1f150}'..='\u{1f169}'
        | '\u{1f170}'..='\u{1f189}');
    letter.is_uppercase() && !is_other
}

/// `unicode.IsTitle`.
pub(super) fn is_title(letter: char) -> bool {
    matches!(letter,
        '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}' | '\u{1f88}'..='\u{1f8f}' | '\u{1f98}'..='\u{1f9f}'
        | '\u{1fa8}'..='\u{1faf}' | '\u{1fbc}' | '\u{1fcc}' | '\u{1ffc}')
}

/// `unicode.IsSpace`.
pub(super) fn is_space(letter: char) -> bool {
    letter.is_whitespace()
}

/// `strings.TrimSpace`: returns a text without white space at both ends.
pub(super) fn trimmed(text: &[u8]) -> &[u8] {
    trimmed_of(text, is_space)
}

/// Returns a text without the letters at both ends for which `is_removed` is true.
pub(super) fn trimmed_of(text: &[u8], is_removed: impl Fn(char) -> bool) -> &[u8] {
    let length = |letters: &mut dyn Iterator<Item = (char, &[u8])>| -> usize {
        letters.take_while(|(letter, _)| is_removed(*letter)).map(|(_, bytes)| bytes.len()).sum()
    };
    let start = length(&mut letters(text));
    let rest = text.get(start..).unwrap_or_default();
    let end = rest.len() - length(&mut letters(rest).rev());
    rest.get(..end).unwrap_or_default()
}

/// `unicode.IsPrint`. Rust's `escape_debug` leaves a letter behind another one unescaped exactly if Go considers it
/// printable.
pub(super) fn is_print(letter: char) -> bool {
    match letter {
        ' '..='~' => true,
        '\0'..='\u{a0}' | REPLACEMENT => letter == REPLACEMENT,
        _ => {
            let text = format!("a{letter}");
            text.escape_debug().nth(1) == Some(letter)
        }
    }
}

/// Quotes a text as `strconv.Quote` does; with `is_ascii_only`, escapes everything beyond ASCII.
pub(super) fn quoted(text: &[u8], is_ascii_only: bool) -> String {
    let mut out = String::from("\"");
    for (letter, bytes) in letters(text) {
        match bytes {
            [byte] if *byte >= 0x80 => {
                let _ = write!(out, "\\x{byte:02x}");
            }
            _ => escape(&mut out, letter, '"', is_ascii_only),
        }
    }
    out.push('"');
    out
}

/// Quotes a letter as `strconv.QuoteRune` does.
pub(super) fn quoted_letter(letter: char, is_ascii_only: bool) -> String {
    let mut out = String::from("'");
    escape(&mut out, letter, '\'', is_ascii_only);
    out.push('\'');
    out
}

fn escape(out: &mut String, letter: char, quote: char, is_ascii_only: bool) {
    let short = match letter {
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\u{b}' => 'v',
        '\\' => '\\',
        _ if letter == quote => quote,
        _ if is_print(letter) && (!is_ascii_only || letter.is_ascii()) => return out.push(letter),
        _ => {
            let _ = match letter as u32 {
                code @ (0..0x20 | 0x7f) => write!(out, "\\x{code:02x}"),
                code @ 0x80..0x10000 => write!(out, "\\u{code:04x}"),
                code => write!(out, "\\U{code:08x}"),
            };
            return;
        }
    };
    out.extend(['\\', short]);
}
