//! Authenticated encryption of texts that clients keep for the gateway.

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use ring::error::Unspecified;

/// Associated data of a sealed text: a hash of everything that must match for it to open.
pub(crate) type Purpose = [u8; SHA256_OUTPUT_LEN];

/// Seals texts with a key of the gateway. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Seal {
    key: LessSafeKey,
}

impl Seal {
    pub(super) fn new(key: LessSafeKey) -> Self {
        Self { key }
    }

    #[cfg(test)]
    pub(super) fn key(&self) -> &LessSafeKey {
        &self.key
    }

    /// Seals a text. Equal texts differ when they are sealed. Fails if the system provides no random numbers.
    pub(crate) fn seal(&self, text: &[u8], purpose: &Purpose) -> Result<Vec<u8>, Unspecified> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| Unspecified)?;
        let mut sealed = text.to_vec();
        self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose), &mut sealed)?;
        Ok([&nonce, sealed.as_slice()].concat())
    }

    /// Returns the text, if this key sealed it for the same purpose.
    pub(crate) fn open(&self, mut sealed: Vec<u8>, purpose: &Purpose) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        self.key.open_in_place(nonce, Aad::from(purpose), sealed).ok().map(|text| text.to_vec())
    }
}

/// Hashes the parts of a purpose, each with its length, so that their boundaries count.
pub(crate) fn purpose<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Purpose {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut purpose = Purpose::default();
    purpose.copy_from_slice(context.finish().as_ref());
    purpose
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keys;

    #[test]
    fn opens_for_the_same_purpose_only() {
        let seal = Keys::of(1).seal;
        let mine = purpose([b"a".as_slice(), b"bc"]);
        let sealed = seal.seal(b"text", &mine).expect("randomness");
        assert_eq!(seal.open(sealed.clone(), &mine).as_deref(), Some(b"text".as_slice()));
        assert_eq!(seal.open(sealed.clone(), &purpose([b"ab".as_slice(), b"c"])), None);
        assert_eq!(Keys::of(2).seal.open(sealed.clone(), &mine), None, "a gateway with other keys");
        assert!(Keys::of(1).seal.open(sealed, &mine).is_some(), "a gateway with equal keys");
    }

    #[test]
    fn a_changed_text_does_not_open() {
        let seal = Keys::of(1).seal;
        let mine = purpose([]);
        let sealed = seal.seal(b"text", &mine).expect("randomness");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(seal.open(changed, &mine), None, "{at}");
            assert_eq!(seal.open(sealed[..at].to_vec(), &mine), None, "{at}");
        }
    }

    #[test]
    fn no_two_texts_are_alike() {
        let seal = Keys::of(1).seal;
        assert_ne!(
            seal.seal(b"", &purpose([])).expect("randomness"),
            seal.seal(b"", &purpose([])).expect("randomness")
        );
    }
}
