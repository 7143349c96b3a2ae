//! Validation of configured bearer tokens. A token that turns out empty, for example because a variable is unset, is
//! an error: treating it as "no token" would open the gateway to everyone.

use crate::Secret;

/// Reason why a configured text is not a usable token. The text itself is never shown.
///
/// ```
/// use schemas::{InvalidToken, Secret};
///
/// assert_eq!(Secret::new(" ").token(), Err(InvalidToken::Empty));
/// assert_eq!(Secret::new("${TOKEN}").token(), Err(InvalidToken::Unrendered));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidToken {
    /// The text has only white space or list separators.
    #[error("the token is empty; is a variable unset? (leave the setting out to use no token)")]
    Empty,
    /// The text contains a variable or a template that was not replaced.
    #[error("the token is a variable or template that nothing has replaced")]
    Unrendered,
    /// The text contains a line break or another control character, which is not allowed in a header.
    #[error("the token holds a character that HTTP does not allow in a header")]
    Control,
}

impl Secret {
    /// Returns the token without surrounding white space.
    ///
    /// # Errors
    ///
    /// If the text is empty, has only separators, contains a control character, or contains an unreplaced variable or
    /// template.
    ///
    /// ```
    /// use schemas::Secret;
    ///
    /// assert_eq!(Secret::new(" s3cret\n").token(), Ok(Secret::new("s3cret")));
    /// assert!(Secret::new(",").token().is_err());
    /// ```
    pub fn token(&self) -> Result<Self, InvalidToken> {
        let text = self.expose().trim();
        if text.chars().all(|letter| letter.is_whitespace() || matches!(letter, ',' | ';')) {
            return Err(InvalidToken::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidToken::Control);
        }
        if is_unrendered(text) { Err(InvalidToken::Unrendered) } else { Ok(Self::new(text)) }
    }

    /// Parses a comma-separated list of tokens. Empty entries are ignored.
    ///
    /// # Errors
    ///
    /// If the list has no token, or an invalid one.
    ///
    /// ```
    /// use schemas::{InvalidToken, Secret};
    ///
    /// assert_eq!(Secret::tokens("a, b,"), Ok(vec![Secret::new("a"), Secret::new("b")]));
    /// assert_eq!(Secret::tokens(" , "), Err(InvalidToken::Empty));
    /// ```
    pub fn tokens(list: &str) -> Result<Vec<Self>, InvalidToken> {
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let tokens: Vec<Self> = entries.map(|entry| Self::new(entry).token()).collect::<Result<_, _>>()?;
        if tokens.is_empty() { Err(InvalidToken::Empty) } else { Ok(tokens) }
    }
}

/// Returns true if a variable's name is in place of its value: `${X}`, `{{ .env.X }}`, `$(cmd)` or `{env:X}` anywhere
/// in the text, or `$X`, `%X%` or `<X>` as the whole text.
fn is_unrendered(text: &str) -> bool {
    let within = |open: &str, close: char| text.split_once(open).is_some_and(|(_, rest)| rest.contains(close));
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b == b'_' || b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    let enclosed = |open: char, close: char| text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    let opened = text.strip_prefix('$').is_some_and(is_name);
    let closed = [enclosed('%', '%'), enclosed('<', '>')].into_iter().flatten().any(is_name);
    within("${", '}') || within("{{", '}') || within("$(", ')') || within("{env:", '}') || opened || closed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, InvalidToken>) {
        assert_eq!(Secret::new(text).token(), expected.map(Secret::new), "{text:?}");
    }

    #[test]
    fn what_is_empty_or_unrendered_is_no_token() {
        for empty in ["", " ", "\t\n", ",", " , ,", ";", "\u{a0}"] {
            check(empty, Err(InvalidToken::Empty));
        }
        let unrendered =
            ["${TOKEN}", "x${TOKEN:-}", "{{ .env.TOKEN }}", "{{.env.T}}y", "$TOKEN", "%TOKEN%", "<TOKEN>", "$(cat t)"];
        for text in unrendered {
            check(text, Err(InvalidToken::Unrendered));
        }
        check("{env:TOKEN}", Err(InvalidToken::Unrendered));
        check("two\nlines", Err(InvalidToken::Control));
    }

    #[test]
    fn anything_else_is_one() {
        for token in ["t", "a b", "p$ssw0rd", "$", "100%", "{}", "x,y", "$lower", "a<b>c", "[redacted]"] {
            check(token, Ok(token));
        }
        check(" padded ", Ok("padded"));
    }

    #[test]
    fn a_list_holds_at_least_one() {
        let tokens = |list| Secret::tokens(list).map(|tokens| tokens.len());
        assert_eq!(tokens("a"), Ok(1));
        assert_eq!(tokens("a,,b, "), Ok(2));
        for list in ["", ",", " ,\t, "] {
            assert_eq!(tokens(list), Err(InvalidToken::Empty), "{list:?}");
        }
        assert_eq!(tokens("a,${B}"), Err(InvalidToken::Unrendered));
    }
}
