//! Keys of a gateway, all derived from one master secret: gateways that share the secret accept each other's seals,
//! marks and digests, and a store keeps one record for all of them. Leaf: every row may import it.

pub(crate) mod seal;

use ring::aead::{CHACHA20_POLY1305, LessSafeKey, UnboundKey};
use ring::digest::{Context, SHA256};
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, KeyType, Prk};

use self::seal::Seal;

/// Length of the master secret in bytes.
pub(crate) const MASTER_LEN: usize = 32;
/// Block length of SHA-256. A key of this length fills the first block, which is hashed once per key.
const BLOCK_LEN: usize = 64;

/// Keys of a gateway.
pub(crate) struct Keys {
    /// Salt of the fingerprints that show when a secret changes.
    pub(crate) fingerprint_salt: [u8; 16],
    /// Name of the gateway among gateways that list each other's items.
    pub(crate) gateway_name: [u8; 16],
    /// Mark of the gateway's own requests.
    pub(crate) own_mark: [u8; 16],
    /// Key of the digests that identify holders of tokens.
    pub(crate) digest: DigestKey,
    /// Key of the texts that clients keep for the gateway.
    pub(crate) seal: Seal,
    /// True if the master secret is stored, so that a later process has the same keys.
    pub(crate) are_stored: bool,
}

/// The keys of a gateway cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoKeys {
    #[error("cannot draw a master secret")]
    Draw(#[source] getrandom::Error),
    #[error("cannot derive a key from the master secret")]
    Derive,
}

/// Key of a pseudo-random function from texts to numbers: SHA-256 of the key followed by the text, cut to 64 bits. The
/// cut prevents the extension of a known digest, which is the weakness of a plain prefix.
#[derive(Clone)]
pub(crate) struct DigestKey(Context);

/// Draws a master secret.
pub(crate) fn draw_master() -> Result<[u8; MASTER_LEN], NoKeys> {
    let mut master = [0; MASTER_LEN];
    getrandom::fill(&mut master).map_err(NoKeys::Draw)?;
    Ok(master)
}

impl Keys {
    /// Derives keys from a master secret by HKDF-SHA256 (RFC 5869), with one label per key. The secret is uniformly
    /// random, so the extract step is left out. Equal secrets give equal keys in every version: labels never change.
    pub(crate) fn from_master(master: &[u8; MASTER_LEN]) -> Result<Self, NoKeys> {
        let master = Prk::new_less_safe(HKDF_SHA256, master);
        let seal = master.expand(&[b"mcp-proxy seal"], &CHACHA20_POLY1305)?;
        let mut digest = Context::new(&SHA256);
        digest.update(&derive::<BLOCK_LEN>(&master, b"mcp-proxy principal digest")?);
        Ok(Self {
            fingerprint_salt: derive(&master, b"mcp-proxy fingerprint salt")?,
            gateway_name: derive(&master, b"mcp-proxy gateway name")?,
            own_mark: derive(&master, b"mcp-proxy own mark")?,
            digest: DigestKey(digest),
            seal: Seal::new(LessSafeKey::new(UnboundKey::from(seal))),
            are_stored: false,
        })
    }
}

impl DigestKey {
    /// Returns the digest of a text.
    pub(crate) fn digest(&self, text: &str) -> u64 {
        let mut context = self.0.clone();
        context.update(text.as_bytes());
        let hash = context.finish();
        hash.as_ref().first_chunk().copied().map(u64::from_be_bytes).unwrap_or_default()
    }
}

impl From<Unspecified> for NoKeys {
    fn from(_: Unspecified) -> Self {
        Self::Derive
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn derive<const N: usize>(master: &Prk, label: &[u8]) -> Result<[u8; N], Unspecified> {
    let mut key = [0; N];
    master.expand(&[label], Length(N))?.fill(&mut key)?;
    Ok(key)
}

#[cfg(test)]
impl Keys {
    /// Derives keys from a master secret of one repeated byte.
    pub(crate) fn of(byte: u8) -> Self {
        Self::from_master(&[byte; MASTER_LEN]).expect("keys")
    }
}

#[cfg(test)]
mod tests {
    use ring::aead::{Aad, NONCE_LEN, Nonce};

    use super::*;

    fn bare(keys: &Keys) -> ([[u8; 16]; 3], u64) {
        ([keys.fingerprint_salt, keys.gateway_name, keys.own_mark], keys.digest.digest("t0ken"))
    }

    #[test]
    fn equal_secrets_give_equal_keys_and_others_do_not() {
        assert_eq!(bare(&Keys::of(1)), bare(&Keys::of(1)));
        let (one, other) = (bare(&Keys::of(1)), bare(&Keys::of(2)));
        assert!(one.0.iter().all(|key| !other.0.contains(key)) && one.1 != other.1);
        assert_ne!(draw_master().expect("randomness"), draw_master().expect("randomness"));
    }

    #[test]
    fn each_key_is_another() {
        let ([salt, name, mark], _) = bare(&Keys::of(1));
        assert!(salt != name && name != mark && mark != salt);
    }

    /// A stored secret must give the keys that it gave before an upgrade. The numbers were computed independently.
    #[test]
    fn the_derivation_never_changes() {
        let hex = |bytes: [u8; 16]| format!("{:032x}", u128::from_be_bytes(bytes));
        let (derived, digest) = bare(&Keys::of(0));
        let expected = [
            "a52a767ec29f38e5830803b4e304e63d",
            "931e9b5c5f8df9851a92b07302c2a1c1",
            "9d4b8e55dd765a9f631b73fdf76d2ef0",
        ];
        assert_eq!(derived.map(hex), expected);
        assert_eq!(digest, 0xa9ced52e33097e69);
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let tag = Keys::of(0).seal.key().seal_in_place_separate_tag(nonce, Aad::empty(), &mut []).expect("a tag");
        assert_eq!(hex(tag.as_ref().try_into().expect("16 bytes")), "37948d8f31699314e5b8c6c748af3f34");
    }

    #[test]
    fn a_digest_depends_on_every_byte_of_a_text() {
        let digest = |text: &str| Keys::of(1).digest.digest(text);
        let texts = ["", "a", "b", "ab", "ba", &"a".repeat(200), &"a".repeat(201)];
        let digests: std::collections::BTreeSet<u64> = texts.into_iter().map(digest).collect();
        assert_eq!(digests.len(), texts.len());
    }
}
