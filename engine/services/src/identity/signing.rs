//! The key that signs access tokens: Ed25519, random, in a file that only the server's user may read.

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use jsonwebtoken::{DecodingKey, EncodingKey};
use rustydb_runtime::{Rng, files};
use sha2::{Digest as _, Sha256};

use super::error::IdentityError;
use super::secret::random;

/// Name of the file in the data directory: PKCS #8 as PEM.
pub const SIGNING_KEY_FILE: &str = "signing.key";
/// A key takes 119 bytes.
const FILE_BYTES_MAX: u64 = 4_096;

/// What is published of a signing key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicKey {
    /// base64url.
    pub x: String,
    /// Thumbprint, RFC 7638.
    pub kid: String,
}

pub(crate) struct Signing {
    pub encoding: EncodingKey,
    pub decoding: DecodingKey,
    pub public: PublicKey,
}

impl Signing {
    /// The key of a data directory, made on first use; without one, a key for this process alone.
    pub(crate) fn open(data_dir: Option<&Path>, rng: &dyn Rng) -> Result<Signing, IdentityError> {
        let key = match data_dir {
            Some(folder) => read_or_create(&folder.join(SIGNING_KEY_FILE), rng)?,
            None => SigningKey::from_bytes(&random(rng)),
        };
        Ok(Signing::of(&key))
    }

    pub(crate) fn of(key: &SigningKey) -> Signing {
        let der = key.to_pkcs8_der().expect("a key of 32 bytes has a PKCS #8 form");
        let public = key.verifying_key();
        let x = BASE64_URL.encode(public.as_bytes());
        let kid = thumbprint(&x);
        Signing {
            encoding: EncodingKey::from_ed_der(der.as_bytes()),
            decoding: DecodingKey::from_ed_der(public.as_bytes()),
            public: PublicKey { x, kid },
        }
    }
}

fn read_or_create(path: &Path, rng: &dyn Rng) -> Result<SigningKey, IdentityError> {
    let failed = |reason: String| IdentityError::SigningKey {
        path: path.display().to_string(),
        reason,
    };
    match files::read_private(path, FILE_BYTES_MAX) {
        Ok(content) => std::str::from_utf8(&content)
            .ok()
            .and_then(|text| SigningKey::from_pkcs8_pem(text).ok())
            .ok_or_else(|| {
                failed(
                    "it holds no Ed25519 key in PKCS #8 PEM; restore it from a backup, or remove it to have a \
                     new one made, which ends the access tokens that are out"
                        .to_owned(),
                )
            }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = SigningKey::from_bytes(&random(rng));
            let pem = key.to_pkcs8_pem(LineEnding::LF).expect("a key of 32 bytes has a PKCS #8 form");
            files::create_private(path, pem.as_bytes()).map_err(|error| failed(error.to_string()))?;
            tracing::info!(path = %path.display(), "made a signing key");
            Ok(key)
        }
        Err(error) => Err(failed(error.to_string())),
    }
}

/// RFC 7638 over the members that RFC 8037 names.
fn thumbprint(x: &str) -> String {
    BASE64_URL.encode(Sha256::digest(format!(
        r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037, appendix A.3.
    #[test]
    fn the_thumbprint_is_that_of_the_standard() {
        assert_eq!(
            thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    /// RFC 8037, appendix A.1 and A.2.
    #[test]
    fn the_public_key_is_that_of_the_standard() {
        let private: [u8; 32] = BASE64_URL
            .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .expect("32 bytes");
        let signing = Signing::of(&SigningKey::from_bytes(&private));
        assert_eq!(signing.public.x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    }
}
