//! The members of one JSON object, by name, as the bytes that arrived.

use std::borrow::Cow;

use super::scan::{Malformed, Scanner, text};

/// Objects that the gateway looks into are small; this keeps the search for duplicates cheap.
pub(super) const MAX_MEMBERS: usize = 512;

/// Nearly all have fewer.
const FEW: usize = 8;

/// An object whose members are still raw. A name that occurs twice is refused, because two readers of the same bytes
/// could take different ones.
pub(crate) struct Object<'a> {
    members: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Object<'a> {
    /// Reads an object; a value of another type is an error.
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

    /// The raw values of these members of an object, in this order; what [`Object::read`] refuses is refused here. Nothing
    /// is kept of the others, so that it costs less.
    pub(crate) fn pick<const N: usize>(text: &'a str, names: [&str; N]) -> Result<Picked<'a, N>, Malformed> {
        let mut scanner = Scanner::new(text);
        let (_, picked) = pick(&mut scanner, names)?;
        scanner.end()?;
        match picked {
            Some(picked) => Ok(picked),
            None => Self::read(text).map(|object| names.map(|name| object.get(name))),
        }
    }

    /// The raw value of a member.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.members.iter().find(|(member, _)| member == name).map(|(_, value)| *value)
    }

    /// A member that is a text, decoded.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).and_then(text)
    }

    /// Where a first member can be put, as an empty slice of the object's text.
    pub(crate) fn opening(text: &'a str) -> &'a str {
        text.get(1..1).unwrap_or_default()
    }

    /// The members in order, their names decoded.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.members.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The slice of the object's text that has to go for this member to be gone: the member with one of its commas.
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
        // Between two members there is nothing but white space and a comma.
        let comma = text.get(last..)?.find(|c: char| !c.is_ascii_whitespace()).map(|at| last + at)?;
        if self.members.len() > 1 { text.get(1..comma + 1) } else { text.get(1..last) }
    }

    /// Whether some member differs from one of these names, but could be taken for it: JSON-RPC names are case-sensitive,
    /// and not every reader behind the gateway knows.
    pub(crate) fn has_case_variant_of(&self, names: &[&str]) -> bool {
        self.members.iter().any(|(member, _)| names.iter().any(|name| is_case_variant(member, name)))
    }
}

/// Whether a member's name differs from this ASCII name, but some reader that ignores case could take it for the same.
/// Readers fold case in different ways: Go takes U+017F for `s` and U+212A for `k`, Java takes U+0131 and U+0130 for `i`,
/// others replace one letter by several (`\u{fb01}` by `fi`). All of them are folded here.
pub(super) fn is_case_variant(member: &str, name: &str) -> bool {
    if member == name {
        return false;
    }
    if member.is_ascii() {
        return member.eq_ignore_ascii_case(name);
    }
    // A letter takes three bytes at most for one that it stands for.
    member.len() <= 3 * name.len() && folded(member).eq(name.chars().map(|letter| letter.to_ascii_lowercase()))
}

/// The letters of a name without regard to case, in the widest sense.
fn folded(name: &str) -> impl Iterator<Item = char> {
    let lower = name.chars().flat_map(char::to_lowercase);
    let wide = lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    // What is left of a dotted capital I, and letters that are not seen.
    wide.filter(|letter| !matches!(letter, '\u{307}' | '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{feff}'))
}

/// The raw values of some members, in the order in which they were asked for.
pub(super) type Picked<'a, const N: usize> = [Option<&'a str>; N];

/// Reads an object for these members. Gives its text, and their raw values unless they have to be looked at more closely,
/// because one occurs twice or there are many.
pub(super) fn pick<'a, const N: usize>(
    scanner: &mut Scanner<'a>,
    names: [&str; N],
) -> Result<(&'a str, Option<Picked<'a, N>>), Malformed> {
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

/// The names of an object's members so far, without an allocation for as long as they are few and each is there once.
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

    /// Whether they are few and each is there once.
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
