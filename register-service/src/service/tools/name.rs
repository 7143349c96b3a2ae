//! Names that all models' APIs accept: 1 to 64 of `A-Z a-z 0-9 _ -`.
//!
//! A name that must be changed ends in a digest of the original, so that it is stable across workers and restarts, and
//! unique.

use crate::service::metrics::hex;
use crate::service::tools::selection::Naming;

const MAX_LENGTH: usize = 64;
const DIGITS: usize = 8;

/// Returns the name of a server's tool for a model.
pub(super) fn name(server: &str, tool: &str, naming: Naming) -> String {
    let wanted = match naming {
        Naming::Plain => tool.to_owned(),
        Naming::Qualified => format!("{server}__{tool}"),
    };
    // Treat names that contain the separator as unsafe: they could be mistaken for another tool.
    let is_clear =
        naming == Naming::Plain || (!server.contains("__") && !server.ends_with('_') && !tool.starts_with('_'));
    if is_safe(&wanted) && is_clear {
        return wanted;
    }
    let digest = match naming {
        Naming::Plain => hex(tool.as_bytes(), DIGITS),
        Naming::Qualified => hex(format!("{server}\0{tool}").as_bytes(), DIGITS),
    };
    let safe = wanted.chars().map(|letter| if is_letter(letter) { letter } else { '_' });
    let start: String = safe.take(MAX_LENGTH - DIGITS - 1).collect();
    format!("{start}_{digest}")
}

fn is_safe(name: &str) -> bool {
    (1..=MAX_LENGTH).contains(&name.len()) && name.chars().all(is_letter)
}

fn is_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(server: &str, tool: &str, naming: Naming, expected: &str) {
        let name = name(server, tool, naming);
        assert_eq!(name, expected, "{server} {tool}");
        assert!(is_safe(&name), "{name}");
    }

    #[test]
    fn what_is_safe_stays() {
        check("s", "search_web-2", Naming::Plain, "search_web-2");
        check("s", "search", Naming::Qualified, "s__search");
        check("s", &"x".repeat(64), Naming::Plain, &"x".repeat(64));
    }

    #[test]
    fn what_is_not_safe_ends_in_a_digest() {
        check("s", "a.b", Naming::Plain, "a_b_2e7336dc");
        check("s", "a/b", Naming::Plain, "a_b_c14cddc0");
        check("s", "", Naming::Plain, "_e3b0c442");
        check("s", "früh", Naming::Plain, "fr_h_a4fce28c");
        let long = name("s", &"x".repeat(65), Naming::Plain);
        assert!(long.len() == 64 && long.starts_with("xxxxx") && is_safe(&long), "{long}");
    }

    #[test]
    fn qualified_names_are_of_one_tool_only() {
        let pairs = [("a__b", "c"), ("a", "b__c"), ("a_", "_b__c"), ("a", "__b__c"), ("a.b", "c"), ("a_b", "c")];
        let names: std::collections::BTreeSet<_> =
            pairs.iter().map(|(server, tool)| name(server, tool, Naming::Qualified)).collect();
        assert_eq!(names.len(), pairs.len(), "{names:?}");
    }
}
