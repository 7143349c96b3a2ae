//! `print`, `println` and `printf` as Go's `fmt` implements them.

mod float;
mod verb;

use crate::template::format::verb::{Flags, Printer};
use crate::template::problem::Problem;
use crate::template::text;
use crate::template::value::Value;

/// Go does not treat larger widths and precisions as numbers.
const MAX_WIDTH: i64 = 1_000_000;

/// `fmt.Sprint`: puts a space between two values if neither is a string.
pub(super) fn print(values: &[Value]) -> Result<Vec<u8>, Problem> {
    let mut printer = Printer::default();
    let mut was_text = true;
    for value in values {
        let is_text = matches!(value, Value::Text(_));
        if !is_text && !was_text {
            printer.out.push(b' ');
        }
        printer.value(value, 'v', Flags::default())?;
        was_text = is_text;
    }
    Ok(printer.out)
}

/// `fmt.Sprintln`.
pub(super) fn print_line(values: &[Value]) -> Result<Vec<u8>, Problem> {
    let mut printer = Printer::default();
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            printer.out.push(b' ');
        }
        printer.value(value, 'v', Flags::default())?;
    }
    printer.out.push(b'\n');
    Ok(printer.out)
}

/// `fmt.Sprintf`. As in Go, mismatches are reported inside the result.
pub(super) fn printf(format: &[u8], values: &[Value]) -> Result<Vec<u8>, Problem> {
    let mut reader = Reader { format, at: 0, values, next: 0, is_reordered: false, printer: Printer::default() };
    while reader.at < format.len() {
        let rest = format.get(reader.at..).unwrap_or_default();
        let plain = rest.iter().position(|byte| *byte == b'%').unwrap_or(rest.len());
        reader.printer.out.extend_from_slice(rest.get(..plain).unwrap_or_default());
        reader.at += plain;
        if reader.at < format.len() {
            reader.at += 1;
            reader.directive()?;
        }
        reader.printer.check_size()?;
    }
    reader.extra()?;
    Ok(reader.printer.out)
}

/// Parser of a format string.
struct Reader<'f> {
    format: &'f [u8],
    at: usize,
    values: &'f [Value],
    /// Index of the value that the next verb takes.
    next: usize,
    /// True after an argument index such as `[2]`.
    is_reordered: bool,
    printer: Printer,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    /// Parses the directive behind a `%` and prints its value.
    fn directive(&mut self) -> Result<(), Problem> {
        let mut flags = Flags::default();
        let mut is_good = true;
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = true,
                b'+' => flags.plus = true,
                b'-' => flags.minus = true,
                b' ' => flags.space = true,
                _ => break,
            }
            self.at += 1;
        }
        let mut is_indexed = self.index(&mut is_good);
        if self.peek() == Some(b'*') {
            self.at += 1;
            flags.width = self.number_from_value();
            match flags.width {
                None => self.printer.out.extend_from_slice(b"%!(BADWIDTH)"),
                Some(width) if width < 0 => {
                    (flags.width, flags.minus, flags.zero) = (Some(-width), true, false);
                }
                Some(_) => {}
            }
            is_indexed = false;
        } else {
            flags.width = self.number();
            is_good &= !(is_indexed && flags.width.is_some());
        }
        if self.peek() == Some(b'.') && self.at + 1 < self.format.len() {
            self.at += 1;
            is_good &= !is_indexed;
            is_indexed = self.index(&mut is_good);
            if self.peek() == Some(b'*') {
                self.at += 1;
                flags.precision = self.number_from_value().filter(|number| *number >= 0);
                if flags.precision.is_none() {
                    self.printer.out.extend_from_slice(b"%!(BADPREC)");
                }
                is_indexed = false;
            } else {
                flags.precision = Some(self.number().unwrap_or_default());
            }
        }
        if !is_indexed {
            self.index(&mut is_good);
        }
        self.verb(flags, is_good)
    }

    fn verb(&mut self, mut flags: Flags, is_good: bool) -> Result<(), Problem> {
        let rest = self.format.get(self.at..).unwrap_or_default();
        let Some((verb, bytes)) = text::letters(rest.get(..rest.len().min(4)).unwrap_or_default()).next() else {
            self.printer.out.extend_from_slice(b"%!(NOVERB)");
            return Ok(());
        };
        self.at += bytes.len();
        let value = self.values.get(self.next);
        let mut complain = |what: &str| {
            self.printer.out.extend_from_slice(format!("%!{verb}({what})").as_bytes());
            Ok(())
        };
        match value {
            _ if verb == '%' => {
                self.printer.out.push(b'%');
                Ok(())
            }
            _ if !is_good => complain("BADINDEX"),
            None => complain("MISSING"),
            Some(value) => {
                self.next += 1;
                if verb == 'v' {
                    flags.is_source = std::mem::take(&mut flags.sharp);
                    flags.plus = false;
                }
                self.printer.argument(value, verb, flags)
            }
        }
    }

    /// Parses an argument index such as `[2]`. Returns true if there was one.
    fn index(&mut self, is_good: &mut bool) -> bool {
        if self.peek() != Some(b'[') {
            return false;
        }
        self.is_reordered = true;
        let rest = self.format.get(self.at..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b']').filter(|_| rest.len() >= 3) else {
            *is_good = false;
            self.at += 1;
            return false;
        };
        let digits = rest.get(1..end).unwrap_or_default();
        let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<i64>().ok());
        self.at += end + 1;
        match number.filter(|number| is_number && *number <= MAX_WIDTH) {
            Some(number) if number >= 1 && usize::try_from(number).is_ok_and(|it| it <= self.values.len()) => {
                self.next = usize::try_from(number - 1).unwrap_or_default();
                true
            }
            found => {
                *is_good = false;
                found.is_some()
            }
        }
    }

    /// Parses a width or precision that is written in the format.
    fn number(&mut self) -> Option<i64> {
        let rest = self.format.get(self.at..).unwrap_or_default();
        let mut value = 0_i64;
        let mut length = 0;
        for byte in rest.iter().take_while(|byte| byte.is_ascii_digit()) {
            if value > MAX_WIDTH {
                // Go does not treat a number this large as one, and skips the rest of the format.
                self.at = self.format.len();
                return None;
            }
            value = value * 10 + i64::from(byte - b'0');
            length += 1;
        }
        self.at += length;
        (length > 0).then_some(value)
    }

    /// Takes a width or precision from the next value.
    fn number_from_value(&mut self) -> Option<i64> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        match value {
            Value::Int(number, _) if (-MAX_WIDTH..=MAX_WIDTH).contains(number) => Some(*number),
            _ => None,
        }
    }

    /// Prints the values that no verb took.
    fn extra(&mut self) -> Result<(), Problem> {
        let rest = self.values.get(self.next..).unwrap_or_default();
        if self.is_reordered || rest.is_empty() {
            return Ok(());
        }
        self.printer.out.extend_from_slice(b"%!(EXTRA ");
        for (at, value) in rest.iter().enumerate() {
            if at > 0 {
                self.printer.out.extend_from_slice(b", ");
            }
            if !matches!(value, Value::Nil) {
                self.printer.out.extend_from_slice(value.type_name().as_bytes());
                self.printer.out.push(b'=');
            }
            self.printer.value(value, 'v', Flags::default())?;
        }
        self.printer.out.push(b')');
        Ok(())
    }
}
