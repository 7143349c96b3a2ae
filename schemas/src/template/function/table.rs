//! Table of functions: names, parameter types, and functions that are refused, each with the reason.

use crate::template::function::Parameter::{Any, Bool, Dict, Float, Int, Text};
use crate::template::function::{
    Function, compare, dates, dicts, encoding, escape, json, lists, numbers, paths, strings, versions, words,
};

/// Result of looking up a function's name.
pub(in crate::template) enum Lookup {
    Found(&'static Function),
    /// Go or Sprig has the function, but it is not computed here for this reason.
    Refused(&'static str),
    Unknown,
}

/// Looks up a function by name.
pub(in crate::template) fn lookup(name: &str) -> Lookup {
    let found = FUNCTIONS.binary_search_by(|function| function.name.cmp(name));
    if let Some(function) = found.ok().and_then(|at| FUNCTIONS.get(at)) {
        return Lookup::Found(function);
    }
    let refused = REFUSED.iter().find(|(_, names)| names.split(' ').any(|refused| refused == name));
    refused.map_or(Lookup::Unknown, |(reason, _)| Lookup::Refused(reason))
}

/// Returns the names of all functions that are computed.
pub(in crate::template) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|function| function.name)
}

/// Functions of Go and Sprig that are not computed, grouped by reason.
const REFUSED: [(&str, &str); 9] = [
    ("reads the engine's environment; a variable is `.env.NAME`", "env expandenv"),
    ("asks the network", "getHostByName"),
    (
        "is drawn by chance, another each time",
        "randAlphaNum randAlpha randAscii randNumeric randInt randBytes shuffle uuidv4",
    ),
    ("depends on the clock", "now ago"),
    (
        "depends on the time zone of the machine that the engine runs on",
        "dateModify date_modify mustDateModify must_date_modify unixEpoch",
    ),
    (
        "makes keys, certificates or passwords",
        "bcrypt htpasswd genPrivateKey derivePassword buildCustomCert genCA genCAWithKey genSelfSignedCert genSelfSignedCertWithKey genSignedCert genSignedCertWithKey encryptAES decryptAES",
    ),
    (
        "works with regular expressions of Go, which are not computed here",
        "regexMatch mustRegexMatch regexFindAll mustRegexFindAll regexFind mustRegexFind regexReplaceAll mustRegexReplaceAll regexReplaceAllLiteral mustRegexReplaceAllLiteral regexSplit mustRegexSplit regexQuoteMeta",
    ),
    ("takes addresses apart by rules of Go, which are not computed here", "urlParse urlJoin"),
    ("calls a value, and no value here can be called", "call"),
];

macro_rules! functions {
    ($($name:literal [$($fixed:ident)*] $(.. $rest:ident)? => $apply:path,)*) => {
        /// All functions, sorted by name.
        static FUNCTIONS: &[Function] = &[
            $(Function { name: $name, fixed: &[$($fixed),*], rest: functions!(@rest $($rest)?), apply: $apply },)*
        ];
    };
    (@rest) => { None };
    (@rest $rest:ident) => { Some($rest) };
}

functions! {
    "abbrev" [Int Text] => strings::abbrev,
    "abbrevboth" [Int Int Text] => strings::abbrevboth,
    "add" [] .. Any => numbers::add,
    "add1" [Any] => numbers::add1,
    "add1f" [Any] => numbers::add1f,
    "addf" [] .. Any => numbers::addf,
    "adler32sum" [Text] => strings::adler32,
    "all" [] .. Any => lists::all,
    "and" [Any] .. Any => compare::not,
    "any" [] .. Any => lists::any_of,
    "append" [Any Any] => lists::append,
    "atoi" [Text] => numbers::atoi,
    "b32dec" [Text] => encoding::b32dec,
    "b32enc" [Text] => encoding::b32enc,
    "b64dec" [Text] => encoding::b64dec,
    "b64enc" [Text] => encoding::b64enc,
    "base" [Text] => paths::base,
    "biggest" [Any] .. Any => numbers::max,
    "camelcase" [Text] => words::camelcase,
    "cat" [] .. Any => strings::cat,
    "ceil" [Any] => numbers::ceil,
    "chunk" [Int Any] => lists::chunk,
    "clean" [Text] => paths::clean,
    "coalesce" [] .. Any => lists::coalesce,
    "compact" [Any] => lists::compact,
    "concat" [] .. Any => lists::concat,
    "contains" [Text Text] => strings::contains,
    "date" [Text Any] => dates::date,
    "dateInZone" [Text Any Text] => dates::date_in_zone,
    "date_in_zone" [Text Any Text] => dates::date_in_zone,
    "deepCopy" [Any] => lists::deep_copy,
    "deepEqual" [Any Any] => lists::deep_equal,
    "default" [Any] .. Any => lists::default,
    "dict" [] .. Any => dicts::new,
    "dig" [] .. Any => dicts::dig,
    "dir" [Text] => paths::dir,
    "div" [Any Any] => numbers::div,
    "divf" [Any] .. Any => numbers::divf,
    "duration" [Any] => dates::duration,
    "durationRound" [Any] => dates::duration_round,
    "empty" [Any] => lists::empty,
    "eq" [Any] .. Any => compare::eq,
    "ext" [Text] => paths::ext,
    "fail" [Text] => lists::fail,
    "first" [Any] => lists::first,
    "float64" [Any] => numbers::to_float64,
    "floor" [Any] => numbers::floor,
    "fromJson" [Text] => json::from_json,
    "ge" [Any Any] => compare::ge,
    "get" [Dict Text] => dicts::get,
    "gt" [Any Any] => compare::gt,
    "has" [Any Any] => lists::has,
    "hasKey" [Dict Text] => dicts::has_key,
    "hasPrefix" [Text Text] => strings::has_prefix,
    "hasSuffix" [Text Text] => strings::has_suffix,
    "hello" [] => lists::hello,
    "html" [] .. Any => escape::html,
    "htmlAttrEscape" [Text] => escape::html_escape,
    "htmlDate" [Any] => dates::html_date,
    "htmlDateInZone" [Any Text] => dates::html_date_in_zone,
    "htmlEscape" [Text] => escape::html_escape,
    "indent" [Int Text] => strings::indent,
    "index" [Any] .. Any => compare::index,
    "initial" [Any] => lists::initial,
    "initials" [Text] => strings::initials,
    "int" [Any] => numbers::to_int,
    "int64" [Any] => numbers::to_int64,
    "isAbs" [Text] => paths::is_abs,
    "join" [Text Any] => lists::join,
    "js" [] .. Any => escape::js,
    "jsEscape" [Text] => escape::js_escape,
    "kebabcase" [Text] => words::kebabcase,
    "keys" [] .. Dict => dicts::keys,
    "kindIs" [Text Any] => lists::kind_is,
    "kindOf" [Any] => lists::kind_of,
    "last" [Any] => lists::last,
    "le" [Any Any] => compare::le,
    "len" [Any] => compare::len,
    "list" [] .. Any => lists::new,
    "lower" [Text] => strings::to_lower,
    "lt" [Any Any] => compare::lt,
    "max" [Any] .. Any => numbers::max,
    "maxf" [Any] .. Any => numbers::maxf,
    "merge" [Dict] .. Dict => dicts::merge,
    "mergeOverwrite" [Dict] .. Dict => dicts::merge_overwrite,
    "min" [Any] .. Any => numbers::min,
    "minf" [Any] .. Any => numbers::minf,
    "mod" [Any Any] => numbers::modulo,
    "mul" [Any] .. Any => numbers::mul,
    "mulf" [Any] .. Any => numbers::mulf,
    "mustAppend" [Any Any] => lists::append,
    "mustChunk" [Int Any] => lists::chunk,
    "mustCompact" [Any] => lists::compact,
    "mustDeepCopy" [Any] => lists::deep_copy,
    "mustFirst" [Any] => lists::first,
    "mustFromJson" [Text] => json::must_from_json,
    "mustHas" [Any Any] => lists::has,
    "mustInitial" [Any] => lists::initial,
    "mustLast" [Any] => lists::last,
    "mustMerge" [Dict] .. Dict => dicts::merge,
    "mustMergeOverwrite" [Dict] .. Dict => dicts::merge_overwrite,
    "mustPrepend" [Any Any] => lists::prepend,
    "mustPush" [Any Any] => lists::append,
    "mustRest" [Any] => lists::rest,
    "mustReverse" [Any] => lists::reverse,
    "mustSlice" [Any] .. Any => lists::slice,
    "mustToDate" [Text Text] => dates::to_date,
    "mustToJson" [Any] => json::to_json,
    "mustToPrettyJson" [Any] => json::to_pretty_json,
    "mustToRawJson" [Any] => json::to_raw_json,
    "mustUniq" [Any] => lists::uniq,
    "mustWithout" [Any] .. Any => lists::without,
    "ne" [Any Any] => compare::ne,
    "nindent" [Int Text] => strings::nindent,
    "nospace" [Text] => strings::nospace,
    "not" [Any] => compare::not,
    "omit" [Dict] .. Text => dicts::omit,
    "or" [Any] .. Any => compare::not,
    "osBase" [Text] => paths::base,
    "osClean" [Text] => paths::clean,
    "osDir" [Text] => paths::dir,
    "osExt" [Text] => paths::ext,
    "osIsAbs" [Text] => paths::is_abs,
    "pick" [Dict] .. Text => dicts::pick,
    "pluck" [Text] .. Dict => dicts::pluck,
    "plural" [Text Text Int] => strings::plural,
    "prepend" [Any Any] => lists::prepend,
    "print" [] .. Any => escape::print,
    "printf" [Text] .. Any => escape::printf,
    "println" [] .. Any => escape::println,
    "push" [Any Any] => lists::append,
    "quote" [] .. Any => strings::quote,
    "repeat" [Int Text] => strings::repeat,
    "replace" [Text Text Text] => strings::replace,
    "rest" [Any] => lists::rest,
    "reverse" [Any] => lists::reverse,
    "round" [Any Int] .. Float => numbers::round,
    "semver" [Text] => versions::semver,
    "semverCompare" [Text Text] => versions::semver_compare,
    "seq" [] .. Int => numbers::seq,
    "set" [Dict Text Any] => dicts::set,
    "sha1sum" [Text] => strings::sha1,
    "sha256sum" [Text] => strings::sha256,
    "slice" [Any] .. Any => lists::slice,
    "snakecase" [Text] => words::snakecase,
    "sortAlpha" [Any] => lists::sort_alpha,
    "split" [Text Text] => strings::split,
    "splitList" [Text Text] => strings::split_list,
    "splitn" [Text Int Text] => strings::splitn,
    "squote" [] .. Any => strings::squote,
    "sub" [Any Any] => numbers::sub,
    "subf" [Any] .. Any => numbers::subf,
    "substr" [Int Int Text] => strings::substr,
    "swapcase" [Text] => words::swapcase,
    "ternary" [Any Any Bool] => lists::ternary,
    "title" [Text] => words::title,
    "toDate" [Text Text] => dates::to_date,
    "toDecimal" [Any] => numbers::to_decimal,
    "toJson" [Any] => json::to_json,
    "toPrettyJson" [Any] => json::to_pretty_json,
    "toRawJson" [Any] => json::to_raw_json,
    "toString" [Any] => strings::to_string,
    "toStrings" [Any] => lists::to_strings,
    "trim" [Text] => strings::trim,
    "trimAll" [Text Text] => strings::trim_all,
    "trimPrefix" [Text Text] => strings::trim_prefix,
    "trimSuffix" [Text Text] => strings::trim_suffix,
    "trimall" [Text Text] => strings::trim_all,
    "trunc" [Int Text] => strings::trunc,
    "tuple" [] .. Any => lists::new,
    "typeIs" [Text Any] => lists::type_is,
    "typeIsLike" [Text Any] => lists::type_is_like,
    "typeOf" [Any] => lists::type_of,
    "uniq" [Any] => lists::uniq,
    "unset" [Dict Text] => dicts::unset,
    "until" [Int] => numbers::until,
    "untilStep" [Int Int Int] => numbers::until_step,
    "untitle" [Text] => words::untitle,
    "upper" [Text] => strings::to_upper,
    "urlquery" [] .. Any => escape::urlquery,
    "values" [Dict] => dicts::values,
    "without" [Any] .. Any => lists::without,
    "wrap" [Int Text] => words::wrap,
    "wrapWith" [Int Text Text] => words::wrap_with,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_each_is_there_once() {
        assert!(FUNCTIONS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for name in REFUSED.iter().flat_map(|(_, names)| names.split(' ')) {
            assert!(matches!(lookup(name), Lookup::Refused(_)), "{name}");
        }
    }
}
