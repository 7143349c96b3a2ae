//! Formats one value with one verb of `fmt`.

use crate::template::format::float;
use crate::template::problem::Problem;
use crate::template::text::{self, letters, quoted, quoted_letter};
use crate::template::value::{Integer, MAX_DEPTH, Value};

/// Most bytes that one call may print.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Highest precision of a fraction that is computed here.
const MAX_DIGITS: i64 = 1_000;

/// Flags, width and precision between `%` and the verb.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) sharp: bool,
    pub(super) zero: bool,
    pub(super) plus: bool,
    pub(super) minus: bool,
    pub(super) space: bool,
    pub(super) width: Option<i64>,
    pub(super) precision: Option<i64>,
    /// `%#v`: as Go source.
    pub(super) is_source: bool,
}

#[derive(Debug, Default)]
pub(super) struct Printer {
    pub(super) out: Vec<u8>,
    depth: usize,
}

impl Printer {
    /// Refuses an output that is too long to be intended.
    pub(super) fn check_size(&self) -> Result<(), Problem> {
        match self.out.len() > MAX_BYTES {
            true => Err(Problem::Refused("`printf` makes a text that is too large".to_owned())),
            false => Ok(()),
        }
    }

    /// Prints an argument of `printf`.
    pub(super) fn argument(&mut self, value: &Value, verb: char, flags: Flags) -> Result<(), Problem> {
        match (verb, value) {
            ('T' | 'v', Value::Nil) => {
                self.padded(b"<nil>", flags);
                Ok(())
            }
            ('T', value) => {
                self.text(value.type_name().as_bytes(), flags);
                Ok(())
            }
            ('p', Value::List(_) | Value::Map(_) | Value::Version(_)) => {
                Err(Problem::Refused("an address in memory (`%p`) differs each time".to_owned()))
            }
            _ if flags.is_source
                && !matches!(value, Value::Text(_) | Value::Int(..) | Value::Bool(_) | Value::Float(_)) =>
            {
                Err(Problem::Refused("`%#v` of lists, dicts and the like is not printed here".to_owned()))
            }
            _ => self.value(value, verb, flags),
        }
    }

    pub(super) fn value(&mut self, value: &Value, verb: char, flags: Flags) -> Result<(), Problem> {
        self.check_size()?;
        match value {
            Value::Unset(unset) => return Err(Problem::Unset(unset.0.clone(), unset.1.clone())),
            Value::Root => return Err(Problem::root()),
            Value::Nil if verb == 'v' => self.padded(b"<nil>", flags),
            Value::Nil => self.out.extend_from_slice(format!("%!{verb}(<nil>)").as_bytes()),
            Value::Bool(flag) if matches!(verb, 't' | 'v') => self.padded(flag.to_string().as_bytes(), flags),
            Value::Int(number, width) => return self.integer(*number, *width, verb, flags),
            Value::Float(number) => return self.float(*number, verb, flags),
            Value::Text(text) => return self.string(text, verb, flags),
            Value::List(list) if list.is_unordered && list.items.len() > 1 => return Err(Problem::unordered()),
            Value::List(list) => {
                self.nested(|printer| {
                    printer.out.push(b'[');
                    for (at, item) in list.items.iter().enumerate() {
                        if at > 0 {
                            printer.out.push(b' ');
                        }
                        printer.inner(item, verb, flags)?;
                    }
                    printer.out.push(b']');
                    Ok(())
                })?;
            }
            Value::Map(map) => {
                self.nested(|printer| {
                    printer.out.extend_from_slice(b"map[");
                    for (at, (key, item)) in map.entries.borrow().iter().enumerate() {
                        if at > 0 {
                            printer.out.push(b' ');
                        }
                        printer.string(key, verb, flags)?;
                        printer.out.push(b':');
                        printer.inner(item, verb, flags)?;
                    }
                    printer.out.push(b']');
                    Ok(())
                })?;
            }
            Value::Version(version) if matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') => {
                return self.string(version.shown().as_bytes(), verb, flags);
            }
            Value::Time(time) if matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') => {
                return self.string(time.shown()?.as_bytes(), verb, flags);
            }
            Value::Version(_) | Value::Time(_) => {
                return Err(Problem::Refused(format!("`%{verb}` of a version or a time is not printed here")));
            }
            Value::Bool(_) => return self.bad_verb(value, verb, flags),
        }
        Ok(())
    }

    /// Prints an item of a list or dict.
    fn inner(&mut self, item: &Value, verb: char, flags: Flags) -> Result<(), Problem> {
        match item {
            // `fmt` ignores the width of a nil inside of an interface.
            Value::Nil => {
                self.out.extend_from_slice(b"<nil>");
                Ok(())
            }
            item => self.value(item, verb, flags),
        }
    }

    fn nested(&mut self, print: impl FnOnce(&mut Self) -> Result<(), Problem>) -> Result<(), Problem> {
        if self.depth > MAX_DEPTH * 20 {
            return Err(Problem::Refused("lists and dicts are nested too deeply".to_owned()));
        }
        self.depth += 1;
        print(self)?;
        self.depth -= 1;
        Ok(())
    }

    /// Prints `%!d(string=42)`, padded as the verb would be.
    fn bad_verb(&mut self, value: &Value, verb: char, flags: Flags) -> Result<(), Problem> {
        self.out.extend_from_slice(format!("%!{verb}({}=", value.type_name()).as_bytes());
        self.value(value, 'v', flags)?;
        self.out.push(b')');
        Ok(())
    }

    fn pad(&mut self, count: i64, flags: Flags) {
        let byte = if flags.zero && !flags.minus { b'0' } else { b' ' };
        let length = self.out.len() + usize::try_from(count).unwrap_or_default();
        self.out.resize(length, byte);
    }

    fn padded(&mut self, text: &[u8], flags: Flags) {
        let Some(width) = flags.width else {
            self.out.extend_from_slice(text);
            return;
        };
        let missing = width - i64::try_from(letters(text).count()).unwrap_or(i64::MAX);
        if !flags.minus {
            self.pad(missing, flags);
        }
        self.out.extend_from_slice(text);
        if flags.minus {
            self.pad(missing, flags);
        }
    }

    fn text(&mut self, text: &[u8], flags: Flags) {
        self.padded(truncated(text, flags), flags);
    }

    fn string(&mut self, text: &[u8], verb: char, flags: Flags) -> Result<(), Problem> {
        match verb {
            'v' if !flags.is_source => self.text(text, flags),
            's' => self.text(text, flags),
            'q' | 'v' => {
                let text = truncated(text, flags);
                let is_raw = flags.sharp && std::str::from_utf8(text).is_ok_and(can_backquote);
                match is_raw {
                    true => self.padded(&[b"`", text, b"`"].concat(), flags),
                    false => self.padded(quoted(text, flags.plus).as_bytes(), flags),
                }
            }
            'x' | 'X' => self.hex(text, verb, flags),
            _ => return self.bad_verb(&Value::text(text), verb, flags),
        }
        Ok(())
    }

    fn hex(&mut self, text: &[u8], verb: char, flags: Flags) {
        let most = flags.precision.and_then(|it| usize::try_from(it).ok()).unwrap_or(usize::MAX);
        let text = text.get(..text.len().min(most)).unwrap_or_default();
        if text.is_empty() {
            return self.pad(flags.width.unwrap_or_default(), flags);
        }
        let prefix = match flags.sharp {
            true if verb == 'x' => "0x",
            true => "0X",
            false => "",
        };
        let mut out = String::from(prefix);
        for (at, byte) in text.iter().enumerate() {
            if flags.space && at > 0 {
                out.push(' ');
                out.push_str(prefix);
            }
            out += &if verb == 'x' { format!("{byte:02x}") } else { format!("{byte:02X}") };
        }
        self.padded(out.as_bytes(), flags);
    }

    fn integer(&mut self, number: i64, width: Integer, verb: char, flags: Flags) -> Result<(), Problem> {
        let is_unsigned = matches!(width, Integer::Uint8 | Integer::Uint64);
        let magnitude = number.unsigned_abs();
        let is_negative = number < 0;
        let code = || u32::try_from(number).ok().and_then(char::from_u32).unwrap_or(text::REPLACEMENT);
        let (digits, prefix) = match verb {
            'v' if flags.is_source && is_unsigned => (format!("{magnitude:x}"), "0x"),
            'v' | 'd' => (magnitude.to_string(), ""),
            'b' => (format!("{magnitude:b}"), if flags.sharp { "0b" } else { "" }),
            'o' => (format!("{magnitude:o}"), if flags.sharp { "0" } else { "" }),
            'O' => (format!("{magnitude:o}"), "0o"),
            'x' => (format!("{magnitude:x}"), if flags.sharp { "0x" } else { "" }),
            'X' => (format!("{magnitude:X}"), if flags.sharp { "0X" } else { "" }),
            'c' => {
                let mut buffer = [0; 4];
                self.padded(code().encode_utf8(&mut buffer).as_bytes(), flags);
                return Ok(());
            }
            'q' => {
                self.padded(quoted_letter(code(), flags.plus).as_bytes(), flags);
                return Ok(());
            }
            'U' => {
                self.unicode(number, flags);
                return Ok(());
            }
            _ => return self.bad_verb(&Value::Int(number, width), verb, flags),
        };
        let sign = match (is_negative, flags.plus, flags.space) {
            (true, _, _) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            (false, false, false) => "",
        };
        let wanted = match (flags.precision, flags.width) {
            (Some(0), _) if magnitude == 0 => {
                self.pad(flags.width.unwrap_or_default(), Flags { zero: false, ..flags });
                return Ok(());
            }
            (Some(precision), _) => precision,
            (None, Some(width)) if flags.zero && !flags.minus => width - i64::from(!sign.is_empty()),
            _ => 0,
        };
        let missing = usize::try_from(wanted).unwrap_or_default().saturating_sub(digits.len());
        let digits = format!("{}{digits}", "0".repeat(missing));
        // `%#o` asks for one leading zero only, whether it belongs to the number or to its padding.
        let prefix = if prefix == "0" && digits.starts_with('0') { "" } else { prefix };
        self.padded(format!("{sign}{prefix}{digits}").as_bytes(), Flags { zero: false, ..flags });
        Ok(())
    }

    /// Prints `U+0041 'A'`.
    fn unicode(&mut self, number: i64, flags: Flags) {
        let digits = usize::try_from(flags.precision.unwrap_or_default()).unwrap_or_default().max(4);
        let mut out = format!("U+{number:0digits$X}");
        if let Some(letter) = u32::try_from(number).ok().and_then(char::from_u32)
            && flags.sharp
            && text::is_print(letter)
        {
            out += &format!(" '{letter}'");
        }
        self.padded(out.as_bytes(), Flags { zero: false, ..flags });
    }

    fn float(&mut self, number: f64, verb: char, flags: Flags) -> Result<(), Problem> {
        let (form, default) = match verb {
            'v' | 'g' => ('g', None),
            'G' => ('G', None),
            'e' | 'E' => (verb, Some(6)),
            'f' | 'F' => ('f', Some(6)),
            'b' | 'x' | 'X' => return Err(Problem::Refused(format!("`%{verb}` of a fraction is not printed here"))),
            _ => return self.bad_verb(&Value::Float(number), verb, flags),
        };
        let precision = flags.precision.or(default);
        if (flags.sharp || flags.is_source) || precision.is_some_and(|it| it > MAX_DIGITS) {
            return Err(Problem::Refused("a fraction in this form is not printed here".to_owned()));
        }
        let digits = float::unsigned(number, form, precision.and_then(|it| usize::try_from(it).ok()));
        let sign = match (number.is_sign_negative() && !number.is_nan(), flags.plus, flags.space) {
            (true, _, _) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            (false, false, false) if number.is_infinite() => "+",
            (false, false, false) => "",
        };
        if !number.is_finite() {
            self.padded(format!("{sign}{digits}").as_bytes(), Flags { zero: false, ..flags });
            return Ok(());
        }
        let length = i64::try_from(sign.len() + digits.len()).unwrap_or(i64::MAX);
        let has_sign = flags.plus || matches!(sign, "-" | " ");
        if has_sign && flags.zero && !flags.minus && flags.width.is_some_and(|width| width > length) {
            self.out.extend_from_slice(sign.as_bytes());
            self.pad(flags.width.unwrap_or_default() - length, flags);
            self.out.extend_from_slice(digits.as_bytes());
            return Ok(());
        }
        self.padded(format!("{sign}{digits}").as_bytes(), flags);
        Ok(())
    }
}

/// Returns the first letters of a text, as many as the precision allows.
fn truncated(text: &[u8], flags: Flags) -> &[u8] {
    let Some(precision) = flags.precision.and_then(|it| usize::try_from(it).ok()) else { return text };
    let length: usize = letters(text).take(precision).map(|(_, bytes)| bytes.len()).sum();
    text.get(..length).unwrap_or_default()
}

/// `strconv.CanBackquote`
fn can_backquote(text: &str) -> bool {
    !text.chars().any(|c| c == '\u{feff}' || c == '`' || c == '\u{7f}' || (c < ' ' && c != '\t'))
}
