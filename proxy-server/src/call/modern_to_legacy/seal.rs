//! Authenticated encryption of numbers in text that clients store for the gateway.

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};

use crate::error::{Error, Kind};

/// Associated data of a sealed number: a hash of everything that must match for it to open.
pub(in crate::call) type Purpose = [u8; SHA256_OUTPUT_LEN];

/// Seals numbers with a key of the gateway.
pub(in crate::call) struct Seal {
    key: LessSafeKey,
}

impl Seal {
    pub(in crate::call) fn new(key: LessSafeKey) -> Self {
        Self { key }
    }

    pub(in crate::call) fn seal(&self, number: u64, purpose: &Purpose) -> Result<String, Error> {
        let failed = || Error::new(Kind::Cancelled);
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|error| failed().because(error))?;
        let mut sealed = number.to_be_bytes().to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose), &mut sealed)
            .map_err(|_| failed())?;
        Ok(nonce.iter().chain(&sealed).map(|byte| format!("{byte:02x}")).collect())
    }

    /// Returns the number, if this key sealed it for the same purpose.
    pub(in crate::call) fn open(&self, text: &str, purpose: &Purpose) -> Option<u64> {
        let mut bytes = from_hex(text)?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let number = self.key.open_in_place(nonce, Aad::from(purpose), sealed).ok()?;
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
    use crate::keys::Keys;

    fn seal_of(keys: &Keys) -> Seal {
        Seal::new(keys.seal.clone())
    }

    #[test]
    fn opens_for_the_same_purpose_only() {
        let seal = seal_of(&Keys::of(1));
        let mine = purpose([b"a".as_slice(), b"bc"]);
        let sealed = seal.seal(7, &mine).expect("randomness");
        assert_eq!(seal.open(&sealed, &mine), Some(7));
        assert_eq!(seal.open(&sealed, &purpose([b"ab".as_slice(), b"c"])), None);
        assert_eq!(seal_of(&Keys::of(2)).open(&sealed, &mine), None, "a gateway with other keys");
        assert_eq!(seal_of(&Keys::of(1)).open(&sealed, &mine), Some(7), "a gateway with equal keys");
    }

    #[test]
    fn a_changed_text_does_not_open() {
        let seal = seal_of(&Keys::of(1));
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
        let seal = seal_of(&Keys::of(1));
        assert_ne!(seal.seal(7, &purpose([])).expect("randomness"), seal.seal(7, &purpose([])).expect("randomness"));
    }
}
