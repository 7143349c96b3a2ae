//! Splits a command line into words as the engine does, which uses Go's `google/shlex`.
//!
//! Blanks separate words; `#` begins a comment where a word could begin. Single quotes keep everything literal; in
//! double quotes and outside, a backslash makes the next letter literal: `"C:\tools"` is `C:tools`.

/// State of the scanner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    Word,
    Quoted(char),
    Comment,
}

/// Returns the words of a command line; `None` if a quote or a backslash is unterminated.
pub(crate) fn split(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut state) = (Vec::new(), String::new(), State::Between);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        state = match (state, letter) {
            (State::Quoted(quote), _) if letter == quote => State::Word,
            (State::Quoted('"') | State::Between | State::Word, '\\') => {
                word.push(letters.next()?);
                if state == State::Between { State::Word } else { state }
            }
            (State::Quoted(_), _) => {
                word.push(letter);
                state
            }
            (State::Comment, '\n') => State::Between,
            (State::Comment, _) => State::Comment,
            (State::Between | State::Word, '"' | '\'') => State::Quoted(letter),
            (State::Between, ' ' | '\t' | '\r' | '\n') => State::Between,
            (State::Word, ' ' | '\t' | '\r' | '\n') => {
                words.push(std::mem::take(&mut word));
                State::Between
            }
            (State::Between, '#') => State::Comment,
            (State::Between | State::Word, _) => {
                word.push(letter);
                State::Word
            }
        };
    }
    match state {
        State::Quoted(_) => None,
        State::Word => {
            words.push(word);
            Some(words)
        }
        State::Between | State::Comment => Some(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, words: &[&str]) {
        assert_eq!(split(text).expect(text), words, "{text}");
    }

    #[test]
    fn splits_as_the_engine_does() {
        check("npx -y  'a b'\t\"c d\"", &["npx", "-y", "a b", "c d"]);
        check(r#"npx "C:\tools\x" "a\nb" a\ b \"c"#, &["npx", r"C:toolsx", "anb", "a b", "\"c"]);
        check(r"'C:\tools'", &[r"C:\tools"]);
        check("a'b'\"c\" \"\" ''", &["abc", "", ""]);
        check("a#b # c", &["a#b"]);
        check("a # b\nc", &["a", "c"]);
        check("  ", &[]);
        check("a\u{a0}b\u{b}c", &["a\u{a0}b\u{b}c"]);
    }

    #[test]
    fn refuses_what_has_no_end() {
        for text in ["'a", "\"a", "a\\", "\"a\\", "'a\\'b'"] {
            assert_eq!(split(text), None, "{text}");
        }
    }
}
