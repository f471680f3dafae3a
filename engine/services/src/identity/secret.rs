//! Random secrets, and the hashes that are kept of them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL;
use rustydb_runtime::{Clock, Rng};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Builder;

/// Letters of a generated password: 32 of them, none that is taken for another.
const PASSWORD_LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 160 random bits.
const PASSWORD_CHARS: usize = 32;

/// SHA-256 of a secret with at least 128 random bits, which no hash needs to slow down.
///
/// Compared in constant time.
#[derive(Clone, Copy, Eq)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn of(secret: &[u8]) -> Digest {
        Digest(Sha256::digest(secret).into())
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Digest) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::hash::Hash for Digest {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hash>")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_URL.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64_URL.decode(text).map_err(D::Error::custom)?;
        bytes
            .try_into()
            .map(Digest)
            .map_err(|_| D::Error::custom("a hash has 32 bytes"))
    }
}

pub(crate) fn random<const N: usize>(rng: &dyn Rng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill(&mut bytes);
    bytes
}

/// An identifier that sorts by the millisecond it was made in: a UUID of version 7.
pub(crate) fn random_id(clock: &dyn Clock, rng: &dyn Rng) -> String {
    let millis = u64::try_from(clock.now_us() / 1_000).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &random(rng))
        .into_uuid()
        .to_string()
}

pub(crate) fn random_password(rng: &dyn Rng) -> String {
    let letter = |byte: u8| char::from(PASSWORD_LETTERS[usize::from(byte) % PASSWORD_LETTERS.len()]);
    random::<PASSWORD_CHARS>(rng).into_iter().map(letter).collect()
}

/// Bytes as text that stands in headers and URLs: base64url without padding.
pub(crate) fn text(bytes: &[u8]) -> String {
    BASE64_URL.encode(bytes)
}

/// The bytes of [`text`].
pub(crate) fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    // Four letters for each three bytes: a longer text can't be one, and is not decoded to find out.
    if text.len() != (N * 4).div_ceil(3) {
        return None;
    }
    BASE64_URL.decode(text).ok()?.try_into().ok()
}
