//! Access tokens: JSON Web Tokens that this server signs and that only this server is asked to believe.
//!
//! A token proves who signed in, not what they may do: its roles are for the client's eyes. Whether its session
//! still runs, its user is enabled and what the roles are now is looked up at each call. So the cache holds nothing
//! but the outcome of checking a signature, which never changes.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, Header, Validation};
use quick_cache::sync::Cache;
use rustydb_contract::ServiceResult;
use rustydb_runtime::Rng;
use serde::{Deserialize, Serialize};

use super::error::internal;
use super::records::UserRecord;
use super::secret::{Digest, random};
use super::signing::{PublicKey, Signing};

/// Issuer and audience.
pub(crate) const NAME: &str = "rustydb";
/// Longer ones are refused unread. Ours have about 600, and 900 with the longest name.
const TOKEN_BYTES_MAX: usize = 8_192;
const UNIQUE_BYTES: usize = 12;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub sub: String,
    pub username: String,
    pub roles: Vec<String>,
    pub iat: i64,
    pub exp: i64,
    /// `session.unique`.
    pub jti: String,
    pub iss: String,
    pub aud: String,
}

/// What a good signature vouches for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    pub user_id: String,
    pub session_id: String,
    pub expires_at_seconds: i64,
}

pub(crate) struct Tokens {
    signing: Signing,
    header: Header,
    validation: Validation,
    verified: Cache<Digest, Arc<Verified>>,
}

impl Tokens {
    pub(crate) fn new(signing: Signing, verified_tokens_max: usize) -> Tokens {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(signing.public.kid.clone());
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[NAME]);
        validation.set_audience(&[NAME]);
        // The library asks the machine for the time; the caller compares with the engine's clock.
        validation.validate_exp = false;
        validation.leeway = 0;
        Tokens {
            signing,
            header,
            validation,
            verified: Cache::new(verified_tokens_max.max(1)),
        }
    }

    pub(crate) fn public_key(&self) -> &PublicKey {
        &self.signing.public
    }

    pub(crate) fn issue(
        &self,
        rng: &dyn Rng,
        (user_id, user): (&str, &UserRecord),
        session_id: &str,
        (issued_at, expires_at): (i64, i64),
    ) -> ServiceResult<String> {
        let unique = super::secret::text(&random::<UNIQUE_BYTES>(rng));
        let claims = Claims {
            sub: user_id.to_owned(),
            username: user.username.clone(),
            roles: user.roles.clone(),
            iat: issued_at,
            exp: expires_at,
            jti: format!("{session_id}.{unique}"),
            iss: NAME.to_owned(),
            aud: NAME.to_owned(),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.signing.encoding)
            .map_err(|error| internal(format!("a token can't be signed: {error}")))
    }

    /// What the token says, if this server signed it for itself. Its time may be over.
    pub(crate) fn verify(&self, token: &str) -> Option<Arc<Verified>> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let digest = Digest::of(token.as_bytes());
        if let Some(verified) = self.verified.get(&digest) {
            return Some(verified);
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.signing.decoding, &self.validation)
            .ok()?
            .claims;
        let (session_id, _) = claims.jti.split_once('.')?;
        let verified = Arc::new(Verified {
            session_id: session_id.to_owned(),
            user_id: claims.sub,
            expires_at_seconds: claims.exp,
        });
        self.verified.insert(digest, Arc::clone(&verified));
        Some(verified)
    }

    #[cfg(test)]
    pub(crate) fn verified_tokens(&self) -> usize {
        self.verified.len()
    }
}
