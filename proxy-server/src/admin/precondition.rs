//! `If-Match`: makes a change conditional on the revision that the caller has seen (RFC 9110 §13.1.1).

use axum::http::{HeaderMap, header};
use schemas::admin::Revision;

/// The precondition of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Precondition {
    /// No header, or `*`, which asks only that the registration exists; that is checked anyway.
    Nothing,
    /// The registration must be at one of these revisions. Weak and foreign entity tags match nothing and are left out.
    OneOf(Vec<Revision>),
}

/// The header does not have the form that RFC 9110 allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`If-Match` is neither `*` nor a list of entity tags")]
pub(super) struct InvalidPrecondition;

impl Precondition {
    /// Reads the precondition. Several header lines form one list.
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, InvalidPrecondition> {
        let lines: Vec<&[u8]> = headers.get_all(header::IF_MATCH).iter().map(|line| line.as_bytes()).collect();
        if lines.is_empty() {
            return Ok(Self::Nothing);
        }
        let whole = lines.join(&b',');
        if whole.trim_ascii() == b"*" {
            return Ok(Self::Nothing);
        }
        let tags = tags(&whole).filter(|tags| !tags.is_empty()).ok_or(InvalidPrecondition)?;
        let ours = |tag: &&[u8]| std::str::from_utf8(tag).ok().and_then(Revision::from_etag);
        Ok(Self::OneOf(tags.iter().filter_map(ours).collect()))
    }

    pub(super) fn holds(&self, revision: Revision) -> bool {
        match self {
            Self::Nothing => true,
            Self::OneOf(revisions) => revisions.contains(&revision),
        }
    }
}

/// Splits a list into its entity tags; weak ones keep their `W/`. Empty list elements are skipped.
fn tags(mut rest: &[u8]) -> Option<Vec<&[u8]>> {
    let mut tags = Vec::new();
    loop {
        rest = after_blanks(rest);
        if rest.first().is_some_and(|byte| *byte != b',') {
            let (tag, after) = rest.split_at_checked(length(rest)?)?;
            tags.push(tag);
            rest = after_blanks(after);
        }
        match rest.split_first() {
            None => return Some(tags),
            Some((b',', after)) => rest = after,
            Some(_) => return None,
        }
    }
}

/// Returns the length of the entity tag at the start. The tag may contain commas, but neither blanks nor quotes.
fn length(text: &[u8]) -> Option<usize> {
    let opaque = text.strip_prefix(b"W/").unwrap_or(text).strip_prefix(b"\"")?;
    let end = opaque.iter().position(|byte| !matches!(byte, 0x21 | 0x23..=0x7e | 0x80..))?;
    (opaque.get(end) == Some(&b'"')).then_some(text.len() - opaque.len() + end + 1)
}

fn after_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    text.get(blanks..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(lines: &[&str]) -> Result<Precondition, InvalidPrecondition> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::IF_MATCH, HeaderValue::from_bytes(line.as_bytes()).expect("a header"));
        }
        Precondition::read(&headers)
    }

    fn check(lines: &[&str], revisions: &[u64]) {
        let expected = Precondition::OneOf(revisions.iter().copied().map(Revision::new).collect());
        assert_eq!(read(lines), Ok(expected), "{lines:?}");
    }

    #[test]
    fn a_list_of_tags_is_one_of_them() {
        check(&[r#""7""#], &[7]);
        check(&[r#" "7" , "8","9" "#], &[7, 8, 9]);
        check(&[r#""7""#, r#""8", "9""#], &[7, 8, 9]);
        check(&[r#", "7",, ,"8","#], &[7, 8]);
    }

    #[test]
    fn weak_and_foreign_tags_match_nothing() {
        check(&[r#"W/"7""#], &[]);
        check(&[r#"W/"7", "8", "a,b", "ü", "", "07""#], &[8]);
        let one = Precondition::OneOf(vec![Revision::new(8)]);
        assert!(one.holds(Revision::new(8)) && !one.holds(Revision::new(7)));
        assert!(!Precondition::OneOf(vec![]).holds(Revision::new(7)));
    }

    #[test]
    fn a_star_stands_alone_and_asks_nothing_more() {
        for lines in [&[][..], &["*"], &[" * "]] {
            assert_eq!(read(lines), Ok(Precondition::Nothing), "{lines:?}");
        }
        for lines in [&["*", "*"][..], &["*, \"7\""], &["\"*\", *"]] {
            assert_eq!(read(lines), Err(InvalidPrecondition), "{lines:?}");
        }
    }

    #[test]
    fn anything_else_is_no_list_of_tags() {
        for line in
            ["", " ", ",", "7", "\"7", "7\"", "\"7\" \"8\"", "\"7\"8", "w/\"7\"", "W/7", "W/ \"7\"", "\"a b\"", "'7'"]
        {
            assert_eq!(read(&[line]), Err(InvalidPrecondition), "{line}");
        }
    }

    proptest! {
        #[test]
        fn a_list_that_was_written_is_read(
            tags in prop::collection::vec((any::<bool>(), "[!#-~]{0,6}"), 1..6),
            blanks in "[ \t]{0,2}",
        ) {
            let written = |(weak, opaque): &(bool, String)| format!("{}\"{opaque}\"", if *weak { "W/" } else { "" });
            let line = tags.iter().map(written).collect::<Vec<_>>().join(&format!("{blanks},{blanks}"));
            let found = super::tags(line.as_bytes()).expect("a list");
            let found: Vec<_> = found.into_iter().map(|tag| String::from_utf8_lossy(tag).into_owned()).collect();
            prop_assert_eq!(found, tags.iter().map(written).collect::<Vec<_>>());
        }

        #[test]
        fn no_bytes_at_all_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            tags(&bytes);
        }
    }
}
