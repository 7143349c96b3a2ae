//! Base64 and base32.

use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;

use crate::template::budget::Budget;
use crate::template::function::{Outcome, done, text};
use crate::template::problem::Problem;
use crate::template::value::Value;

/// Decodes as Go does, which ignores the bits behind the last byte.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Refuses malformed input. Sprig returns the error's text as the result, which nobody wants in a value.
fn malformed(name: &str, what: &str) -> Problem {
    let message =
        format!("`{name}` was given what is not a text in {what}; in the engine its result is the text of an error");
    Problem::Refused(message)
}

fn without_breaks(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect()
}

pub(super) fn b64enc(values: &[Value], _: &mut Budget) -> Outcome {
    done(BASE64_STANDARD.encode(text(values, 0)))
}

pub(super) fn b64dec(values: &[Value], _: &mut Budget) -> Outcome {
    done(LENIENT.decode(without_breaks(text(values, 0))).map_err(|_| malformed("b64dec", "base64"))?)
}

pub(super) fn b32enc(values: &[Value], _: &mut Budget) -> Outcome {
    let mut out = Vec::new();
    for group in text(values, 0).chunks(5) {
        let mut bytes = [0; 8];
        bytes.iter_mut().skip(3).zip(group).for_each(|(to, from)| *to = *from);
        let bits = u64::from_be_bytes(bytes);
        let letters = (group.len() * 8).div_ceil(5);
        for at in 0..8 {
            let index = usize::try_from((bits >> (35 - 5 * at)) & 31).unwrap_or_default();
            let letter = BASE32.get(index).copied().unwrap_or(b'=');
            out.push(if at < letters { letter } else { b'=' });
        }
    }
    done(out)
}

pub(super) fn b32dec(values: &[Value], _: &mut Budget) -> Outcome {
    let bad = || malformed("b32dec", "base32");
    let text = without_breaks(text(values, 0));
    if !text.len().is_multiple_of(8) {
        return Err(bad());
    }
    let mut out = Vec::new();
    let mut is_over = false;
    for group in text.chunks(8) {
        let digits: Vec<u8> = group.iter().copied().take_while(|byte| *byte != b'=').collect();
        let has_padding_inside = group.iter().skip(digits.len()).any(|byte| *byte != b'=');
        if is_over || has_padding_inside || !matches!(digits.len(), 2 | 4 | 5 | 7 | 8) {
            return Err(bad());
        }
        is_over = digits.len() < 8;
        let mut bits = 0_u64;
        for digit in &digits {
            let value = BASE32.iter().position(|letter| letter == digit).ok_or_else(bad)?;
            bits = (bits << 5) | u64::try_from(value).unwrap_or_default();
        }
        bits <<= 5 * (8 - digits.len());
        out.extend(bits.to_be_bytes().iter().skip(3).take(digits.len() * 5 / 8));
    }
    done(out)
}
