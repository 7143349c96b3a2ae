//! Raw access to the members of one JSON object by name.

use std::borrow::Cow;

use super::scan::{Malformed, Scanner, text};

/// Maximum number of members of a parsed object, which keeps the search for duplicates cheap.
pub(super) const MAX_MEMBERS: usize = 512;

/// Number of names stored without an allocation; most objects have fewer members.
const FEW: usize = 8;

/// An object with raw member values. Duplicate names are refused, because JSON parsers differ in which one they use.
pub(crate) struct Object<'a> {
    members: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Object<'a> {
    /// Parses an object; a value of another type is an error.
    pub(crate) fn read(text: &'a str) -> Result<Self, Malformed> {
        let mut scanner = Scanner::new(text);
        let mut members: Vec<(Cow<'a, str>, &'a str)> = Vec::with_capacity(8);
        scanner.object(|name, scanner| {
            if members.len() == MAX_MEMBERS {
                return Err(Malformed::TooMany);
            }
            if members.iter().any(|(known, _)| *known == name) {
                return Err(Malformed::Twice);
            }
            members.push((name, scanner.value()?));
            Ok(())
        })?;
        scanner.end()?;
        Ok(Self { members })
    }

    /// Returns the raw values of these members, in this order, and refuses the same input as [`Object::read`]. Cheaper,
    /// because other members are not stored.
    pub(crate) fn pick<const N: usize>(text: &'a str, names: [&str; N]) -> Result<MemberValues<'a, N>, Malformed> {
        let mut scanner = Scanner::new(text);
        let (_, picked) = pick(&mut scanner, names)?;
        scanner.end()?;
        match picked {
            Some(picked) => Ok(picked),
            None => Self::read(text).map(|object| names.map(|name| object.get(name))),
        }
    }

    /// Returns the raw value of a member.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.members.iter().find(|(member, _)| member == name).map(|(_, value)| *value)
    }

    /// Returns a string member, decoded.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).and_then(text)
    }

    /// Returns an empty slice of the object's text at the position for a new first member.
    pub(crate) fn opening(text: &'a str) -> &'a str {
        text.get(1..1).unwrap_or_default()
    }

    /// Iterates over the members in order, with decoded names.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.members.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// True if there are no members.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Returns the slice to remove for this member: the member with one adjacent comma.
    pub(crate) fn cut(&self, text: &'a str, name: &str) -> Option<&'a str> {
        let index = self.members.iter().position(|(member, _)| member == name)?;
        let end = |index: usize| {
            let (_, value) = self.members.get(index)?;
            Some(value.as_ptr() as usize - text.as_ptr() as usize + value.len())
        };
        let last = end(index)?;
        if let Some(before) = index.checked_sub(1) {
            return text.get(end(before)?..last);
        }
        // Between two members there is only white space and a comma.
        let comma = text.get(last..)?.find(|c: char| !c.is_ascii_whitespace()).map(|at| last + at)?;
        if self.members.len() > 1 { text.get(1..comma + 1) } else { text.get(1..last) }
    }

    /// True if some member is a case variant of one of these names. JSON-RPC names are case-sensitive, but not every
    /// parser behind the gateway respects that.
    pub(crate) fn has_case_variant_of(&self, names: &[&str]) -> bool {
        self.members.iter().any(|(member, _)| names.iter().any(|name| is_case_variant(member, name)))
    }
}

/// True if a parser that ignores case could take `member` for this ASCII name. Parsers fold case differently: Go maps
/// U+017F to `s` and U+212A to `k`, Java maps U+0131 and U+0130 to `i`, others expand ligatures (`\u{fb01}` to `fi`).
/// All of these are folded here.
pub(super) fn is_case_variant(member: &str, name: &str) -> bool {
    if member == name {
        return false;
    }
    if member.is_ascii() {
        return member.eq_ignore_ascii_case(name);
    }
    // A folded letter comes from at most three UTF-8 bytes.
    member.len() <= 3 * name.len() && folded(member).eq(name.chars().map(|letter| letter.to_ascii_lowercase()))
}

/// Folds case in the widest sense.
fn folded(name: &str) -> impl Iterator<Item = char> {
    let lower = name.chars().flat_map(char::to_lowercase);
    let wide = lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    // Drop the combining dot of a capital I, and invisible characters.
    wide.filter(|letter| !matches!(letter, '\u{307}' | '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{feff}'))
}

/// The raw values of the requested members, in the order of the request.
pub(super) type MemberValues<'a, const N: usize> = [Option<&'a str>; N];

/// Scans an object for these members. Returns its text and their raw values; no values if the object needs a full
/// parse, because a name occurs twice or there are many members.
pub(super) fn pick<'a, const N: usize>(
    scanner: &mut Scanner<'a>,
    names: [&str; N],
) -> Result<(&'a str, Option<MemberValues<'a, N>>), Malformed> {
    let (mut seen, mut found) = (Seen::default(), [None; N]);
    let text = scanner.object(|name, scanner| {
        let value = scanner.value()?;
        match names.iter().zip(&mut found).find(|(wanted, _)| **wanted == name) {
            Some((_, place)) => *place = Some(value),
            None => seen.is_unclear |= names.iter().any(|wanted| is_case_variant(&name, wanted)),
        }
        seen.note(name);
        Ok(())
    })?;
    Ok((text, seen.is_clear().then_some(found)))
}

/// The member names seen so far. Allocates nothing while they are few and distinct.
#[derive(Default)]
pub(super) struct Seen<'a> {
    names: [Cow<'a, str>; FEW],
    count: usize,
    is_unclear: bool,
}

impl<'a> Seen<'a> {
    pub(super) fn note(&mut self, name: Cow<'a, str>) {
        self.is_unclear |= self.names.iter().take(self.count).any(|known| *known == name);
        match self.names.get_mut(self.count) {
            Some(place) => *place = name,
            None => self.is_unclear = true,
        }
        self.count += 1;
    }

    /// True if the names are few and distinct.
    pub(super) fn is_clear(&self) -> bool {
        !self.is_unclear
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_cut(text: &str, name: &str, expected: &str) {
        let object = Object::read(text).expect(text);
        let slice = object.cut(text, name).expect(name);
        let start = slice.as_ptr() as usize - text.as_ptr() as usize;
        let rest = format!("{}{}", &text[..start], &text[start + slice.len()..]);
        assert_eq!(rest, expected, "{text} without {name}");
        assert!(Object::read(&rest).expect(&rest).get(name).is_none());
    }

    #[test]
    fn a_member_is_cut_with_one_comma() {
        check_cut(r#"{"a":1,"b":2,"c":3}"#, "a", r#"{"b":2,"c":3}"#);
        check_cut(r#"{"a":1,"b":2,"c":3}"#, "b", r#"{"a":1,"c":3}"#);
        check_cut(r#"{"a":1,"b":2,"c":3}"#, "c", r#"{"a":1,"b":2}"#);
        check_cut(r#"{ "a" : 1 }"#, "a", "{ }");
        check_cut("{ \"a\" : {\"x\":1} \n, \"b\" : 2 }", "a", r#"{ "b" : 2 }"#);
        check_cut(r#"{"\u0061":"},","b":2}"#, "a", r#"{"b":2}"#);
    }

    fn check_pick(text: &str, expected: Option<[Option<&str>; 2]>) {
        assert_eq!(Object::pick(text, ["a", "b"]).ok(), expected, "{text}");
        let read = Object::read(text).map(|object| ["a", "b"].map(|name| object.get(name)));
        assert_eq!(read.ok(), expected, "{text}");
    }

    #[test]
    fn members_are_picked_as_strictly_as_objects_are_read() {
        check_pick(r#"{"x":1,"b":[2],"a":"\u0062"}"#, Some([Some(r#""\u0062""#), Some("[2]")]));
        check_pick(r#"{"\u0061":1}"#, Some([Some("1"), None]));
        check_pick("{}", Some([None, None]));
        for wrong in
            ["[]", "1", "", r#"{"a":1,"a":1}"#, r#"{"x":1,"x":1}"#, r#"{"a":1,"\u0061":1}"#, "{} {}", "{\"a\":}"]
        {
            check_pick(wrong, None);
        }
        let many = |last: &str| {
            let others: String = (0..FEW + 3).map(|number| format!(r#""{number}":0,"#)).collect();
            format!(r#"{{{others}"a":7,{last}}}"#)
        };
        check_pick(&many(r#""b":8"#), Some([Some("7"), Some("8")]));
        check_pick(&many(r#""10":8"#), None);
    }

    #[test]
    fn a_name_that_some_reader_takes_for_another_is_a_variant_of_it() {
        let variants = [
            ("Params", "params"),
            ("PARAMS", "params"),
            ("param\u{17f}", "params"),
            ("PARAM\u{17f}", "params"),
            ("jsonrpc\u{200b}", "jsonrpc"),
            ("\u{17f}essionId", "sessionId"),
            ("to\u{212a}en", "token"),
            ("\u{130}d", "id"),
            ("\u{131}d", "id"),
            ("I\u{307}d", "id"),
            ("\u{fb01}le", "file"),
            ("pa\u{df}", "pass"),
            ("pa\u{1e9e}", "pass"),
            ("re\u{17f}ult", "result"),
            ("pro\u{131}gress\u{212a}".trim_end_matches('\u{212a}'), "proigress"),
        ];
        for (member, name) in variants {
            assert!(is_case_variant(member, name), "{member:?} for {name}");
            let text = format!(r#"{{"{member}":1}}"#);
            assert!(Object::read(&text).expect(&text).has_case_variant_of(&["other", name]), "{text}");
        }
        let others = [
            ("params", "params"),
            ("param", "params"),
            ("p\u{e4}rams", "params"),
            ("", "id"),
            ("\u{131}", "id"),
            ("idd", "id"),
        ];
        for (member, name) in others {
            assert!(!is_case_variant(member, name), "{member:?} for {name}");
        }
    }

    #[test]
    fn a_member_that_is_not_there_cannot_be_cut() {
        let text = r#"{"a":1}"#;
        assert!(Object::read(text).expect(text).cut(text, "b").is_none());
    }
}
