//! Finds the known words that a misspelt word probably means.

use std::cell::LazyCell;

/// Returns the candidate with the smallest edit distance to a word, ignoring case; the first of equal ones. `None` if
/// more than a third of the word's letters differ from every candidate.
///
/// ```
/// use schemas::nearest;
///
/// assert_eq!(nearest("require_auth", ["authTokens", "requireAuth"]), Some("requireAuth"));
/// assert_eq!(nearest("description", ["authTokens", "requireAuth"]), None);
/// ```
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let lower = LazyCell::new(|| word.to_lowercase());
    let (mut nearest, mut limit) = (None, length.div_ceil(3));
    for candidate in candidates {
        // Skip the costly comparison for most candidates: a difference in length is a lower bound of the distance.
        if candidate.chars().count().abs_diff(length) > limit {
            continue;
        }
        let distance = strsim::osa_distance(&lower, &candidate.to_lowercase());
        if distance > limit {
            continue;
        }
        nearest = Some(candidate);
        if distance <= 1 {
            break;
        }
        limit = distance - 1;
    }
    nearest
}

/// Returns up to three candidates that a misspelt word may mean, nearest first: those that differ in at most a third
/// of the word's letters, then those that contain the word.
///
/// ```
/// use schemas::near;
///
/// assert_eq!(near("serch", ["search", "time", "deep_search"]), ["search"]);
/// assert_eq!(near("file", ["read_file", "write_file", "clock"]), ["read_file", "write_file"]);
/// assert!(near("zzz", ["search"]).is_empty());
/// ```
pub fn near<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    const MOST: usize = 3;
    let word = word.to_lowercase();
    let length = word.chars().count();
    let limit = length.div_ceil(3);
    let rank = |candidate: &'a str| {
        let lower = candidate.to_lowercase();
        let is_long = lower.chars().count().abs_diff(length) > limit;
        let distance = if is_long { usize::MAX } else { strsim::osa_distance(&word, &lower) };
        let holds = length > 2 && lower.contains(&word);
        match distance {
            distance if distance <= limit => Some((distance, candidate)),
            _ if holds => Some((limit + 1, candidate)),
            _ => None,
        }
    };
    let mut ranked: Vec<(usize, &str)> = candidates.into_iter().filter_map(rank).collect();
    ranked.sort_unstable();
    ranked.dedup();
    ranked.into_iter().take(MOST).map(|(_, candidate)| candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(word: &str, expected: Option<&str>) {
        assert_eq!(nearest(word, ["command", "url", "use_proxy", "headers", "sse"]), expected, "{word}");
    }

    #[test]
    fn finds_the_word_that_was_meant() {
        check("comand", Some("command"));
        check("comamnd", Some("command"));
        check("use-proxy", Some("use_proxy"));
        check("URL", Some("url"));
        check("header", Some("headers"));
        check("description", None);
        check("", None);
    }
}
