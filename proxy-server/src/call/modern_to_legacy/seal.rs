//! Authenticated encryption of numbers in text that clients store for the gateway.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};

use crate::error::{Error, Kind};

/// Associated data of a sealed number: a hash of everything that must match for it to open.
pub(in crate::call) type Purpose = [u8; SHA256_OUTPUT_LEN];

/// Encryption key of the process.
pub(in crate::call) struct Seal {
    key: Option<LessSafeKey>,
}

impl Seal {
    /// Draws a random key. Without a source of randomness, every `seal` fails.
    pub(in crate::call) fn new() -> Self {
        let mut key = [0; 32];
        let drawn = getrandom::fill(&mut key).is_ok();
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).ok().filter(|_| drawn);
        Self { key: key.map(LessSafeKey::new) }
    }

    pub(in crate::call) fn seal(&self, number: u64, purpose: &Purpose) -> Result<String, Error> {
        let failed = || Error::new(Kind::Cancelled);
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|error| failed().because(error))?;
        let key = self.key.as_ref().ok_or_else(failed)?;
        let mut sealed = number.to_be_bytes().to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose), &mut sealed)
            .map_err(|_| failed())?;
        Ok(nonce.iter().chain(&sealed).map(|byte| format!("{byte:02x}")).collect())
    }

    /// Returns the number, if this process sealed it for the same purpose.
    pub(in crate::call) fn open(&self, text: &str, purpose: &Purpose) -> Option<u64> {
        let mut bytes = from_hex(text)?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let number = self.key.as_ref()?.open_in_place(nonce, Aad::from(purpose), sealed).ok()?;
        Some(u64::from_be_bytes(number.try_into().ok()?))
    }
}

/// Hashes the parts of a purpose, each with its length, so that their boundaries count.
pub(in crate::call) fn purpose<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Purpose {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut purpose = Purpose::default();
    purpose.copy_from_slice(context.finish().as_ref());
    purpose
}

/// Decodes lower-case hex only, so that every sealed number has one textual form.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |letter: u8| match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_for_the_same_purpose_only() {
        let seal = Seal::new();
        let mine = purpose([b"a".as_slice(), b"bc"]);
        let sealed = seal.seal(7, &mine).expect("randomness");
        assert_eq!(seal.open(&sealed, &mine), Some(7));
        assert_eq!(seal.open(&sealed, &purpose([b"ab".as_slice(), b"c"])), None);
        assert_eq!(Seal::new().open(&sealed, &mine), None, "another process");
    }

    #[test]
    fn a_changed_text_does_not_open() {
        let seal = Seal::new();
        let mine = purpose([]);
        let sealed = seal.seal(7, &mine).expect("randomness");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(seal.open(&String::from_utf8_lossy(&changed), &mine), None, "{at}");
        }
        for text in ["", "zz", "0", &sealed[2..], &sealed.to_uppercase(), &format!("{sealed}00")] {
            assert!(seal.open(text, &mine).is_none_or(|_| text == sealed), "{text}");
        }
    }

    #[test]
    fn no_two_texts_are_alike() {
        let seal = Seal::new();
        assert_ne!(seal.seal(7, &purpose([])).expect("randomness"), seal.seal(7, &purpose([])).expect("randomness"));
    }
}
