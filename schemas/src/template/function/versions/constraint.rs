//! Constraints on versions, such as `>= 1.2, < 2`, `^1.2` or `1.x || 2.x`.

use std::cmp::Ordering;

use crate::template::version::{Version, is_digits};

/// Alternatives, each a list of conditions that all have to hold.
#[derive(Debug)]
pub(super) struct Constraints(Vec<Vec<Condition>>);

#[derive(Debug)]
struct Condition {
    operator: Operator,
    version: Version,
    /// Count of given numbers, of three; `x` and omitted ones are not given.
    given: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    Less,
    AtLeast,
    AtMost,
    Tilde,
    Caret,
}

impl Constraints {
    /// Parses a constraint; `None` if it is malformed, or in a form that is not supported here.
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.split("||").map(conditions).collect::<Option<Vec<_>>>().map(Self)
    }

    pub(super) fn hold(&self, version: &Version) -> bool {
        self.0.iter().any(|conditions| conditions.iter().all(|condition| condition.holds(version)))
    }
}

/// Parses the conditions of one alternative. Blanks or a comma separate them; `1 - 2` is a range.
fn conditions(text: &str) -> Option<Vec<Condition>> {
    let mut words: Vec<String> = Vec::new();
    for word in text.replace(',', " , ").split_ascii_whitespace() {
        // A blank may separate an operator from its version.
        match words.last_mut() {
            Some(last)
                if !last.is_empty() && operator(last).1.is_empty() && last != "," && last != "-" && word != "," =>
            {
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if words.get(at + 1).is_some_and(|next| next == "-") {
            let (low, high) = (word, words.get(at + 2)?);
            let is_plain = |word: &String| operator(word).0 == Operator::Equal && !word.starts_with('=');
            if !is_plain(low) || !is_plain(high) {
                return None;
            }
            found.push(condition(&format!(">={low}"))?);
            found.push(condition(&format!("<={high}"))?);
            at += 3;
        } else {
            found.push(condition(word)?);
            at += 1;
        }
        if words.get(at).is_some_and(|next| next == ",") {
            at += 1;
            words.get(at)?;
        }
    }
    (!found.is_empty()).then_some(found)
}

fn operator(word: &str) -> (Operator, &str) {
    const OPERATORS: [(&str, Operator); 11] = [
        ("!=", Operator::NotEqual),
        (">=", Operator::AtLeast),
        ("=>", Operator::AtLeast),
        ("<=", Operator::AtMost),
        ("=<", Operator::AtMost),
        ("~>", Operator::Tilde),
        ("=", Operator::Equal),
        (">", Operator::Greater),
        ("<", Operator::Less),
        ("~", Operator::Tilde),
        ("^", Operator::Caret),
    ];
    let found = OPERATORS.iter().find_map(|(sign, operator)| Some((*operator, word.strip_prefix(sign)?)));
    found.unwrap_or((Operator::Equal, word))
}

fn condition(word: &str) -> Option<Condition> {
    let (operator, text) = operator(word);
    let body = text.strip_prefix('v').unwrap_or(text);
    let end = body.find(['-', '+']).unwrap_or(body.len());
    let (core, tail) = body.split_at(end);
    let parts: Vec<&str> = core.split('.').collect();
    let is_wild = |part: &&str| matches!(*part, "x" | "X" | "*");
    if parts.len() > 3 || parts.iter().any(|part| !is_wild(part) && !is_digits(part)) {
        return None;
    }
    let given = parts.iter().position(is_wild).unwrap_or(parts.len());
    // Numbers behind the first wildcard are ignored.
    let mut numbers: Vec<&str> = parts.into_iter().take(given).collect();
    if given < 3 && tail.contains('-') {
        return None;
    }
    numbers.resize(3, "0");
    let version = Version::parse(&format!("{}{tail}", numbers.join(".")))?;
    Some(Condition { operator, version, given })
}

impl Condition {
    fn holds(&self, version: &Version) -> bool {
        let Self { operator, version: own, given } = self;
        let [major, minor, patch] = version.numbers;
        let [own_major, own_minor, own_patch] = own.numbers;
        let is_hidden = !version.prerelease.is_empty() && own.prerelease.is_empty();
        let ordering = version.compare(own);
        if *operator == Operator::NotEqual {
            return match given {
                3 => ordering != Ordering::Equal,
                _ if is_hidden => false,
                0 => major != own_major || (minor != own_minor) || (patch != own_patch),
                1 => major != own_major,
                _ => major != own_major || minor != own_minor,
            };
        }
        if is_hidden {
            return false;
        }
        match operator {
            Operator::NotEqual => false,
            Operator::Equal if *given == 3 => ordering == Ordering::Equal,
            Operator::Equal | Operator::Tilde => self.is_near(version, ordering),
            Operator::Greater => match given {
                3 | 0 => ordering == Ordering::Greater,
                1 => major > own_major,
                _ => major > own_major || (major == own_major && minor > own_minor),
            },
            Operator::Less => ordering == Ordering::Less,
            Operator::AtLeast => ordering != Ordering::Less,
            Operator::AtMost if *given == 3 => ordering != Ordering::Greater,
            Operator::AtMost => {
                let is_beyond = major == own_major && minor > own_minor && *given != 1;
                major <= own_major && !is_beyond
            }
            Operator::Caret => {
                if ordering == Ordering::Less {
                    return false;
                }
                if own_major > 0 || *given == 1 {
                    return major == own_major;
                }
                if major > 0 {
                    return false;
                }
                if own_minor > 0 || *given == 2 {
                    return minor == own_minor;
                }
                minor == 0 && patch == own_patch
            }
        }
    }

    /// True within the same minor version, or the same major one if no minor is given.
    fn is_near(&self, version: &Version, ordering: Ordering) -> bool {
        let ([major, minor, _], [own_major, own_minor, own_patch]) = (version.numbers, self.version.numbers);
        if ordering == Ordering::Less {
            return false;
        }
        let is_any = (own_major, own_minor, own_patch) == (0, 0, 0) && !matches!(self.given, 1 | 2);
        is_any || (major == own_major && (minor == own_minor || self.given == 1))
    }
}
