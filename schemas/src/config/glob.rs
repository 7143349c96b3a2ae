//! Matches names with the wildcards of shells.

/// True if a pattern fits a whole name: `*` stands for any letters, `?` for one.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut of) = (0, 0);
    // Positions behind the last `*`, to try again with one more letter for it.
    let mut retry = None;
    while of < name.len() {
        match pattern.get(at) {
            Some('*') => {
                at += 1;
                retry = Some((at, of));
            }
            Some(letter) if *letter == '?' || name.get(of) == Some(letter) => (at, of) = (at + 1, of + 1),
            _ => match retry {
                Some((behind, start)) => {
                    (at, of) = (behind, start + 1);
                    retry = Some((behind, start + 1));
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|letter| *letter == '*')
}

/// True if a text has a wildcard.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn wildcards_stand_for_letters() {
        for (pattern, name) in [("a", "a"), ("*", ""), ("a*", "abc"), ("*_x", "a_b_x"), ("a?c", "abc"), ("a**", "a")] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("a", "ab"), ("", "a"), ("a?", "a"), ("*_x", "a_xy"), ("ü?", "ü")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
