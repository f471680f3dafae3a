//! Passwords as argon2id hashes.
//!
//! Hashing takes tens of milliseconds and megabytes on purpose, so it runs on blocking threads and only so many
//! at once; the rest wait. A sign-in of nobody hashes as long as one of somebody.

use std::sync::Arc;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64_PHC;
use rustydb_contract::ServiceResult;
use rustydb_runtime::Rng;
use tokio::sync::Semaphore;

use super::blocking::blocking;
use super::error::{IdentityError, internal};
use super::records::PasswordHash;
use super::secret::random;
use super::settings::{IdentitySettings, PasswordCost};

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

pub(crate) struct Passwords {
    params: Params,
    permits: Arc<Semaphore>,
    /// Of no password: what a sign-in under an unknown name is compared with.
    decoy: PasswordHash,
}

impl Passwords {
    pub(crate) fn new(settings: &IdentitySettings, rng: &dyn Rng) -> Result<Passwords, IdentityError> {
        let PasswordCost {
            memory_kib,
            passes,
            lanes,
        } = settings.password_cost;
        let setting = |name, reason: String| IdentityError::Setting { name, reason };
        let params = Params::new(memory_kib, passes, lanes, Some(HASH_BYTES))
            .map_err(|error| setting("password_cost", error.to_string()))?;
        if settings.password_hashes_at_once_max == 0 {
            return Err(setting(
                "password_hashes_at_once_max",
                "it is 0; nobody could sign in".to_owned(),
            ));
        }
        let decoy = format!(
            "$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${}${}",
            BASE64_PHC.encode(random::<SALT_BYTES>(rng)),
            BASE64_PHC.encode(random::<HASH_BYTES>(rng)),
        );
        let permits = settings.password_hashes_at_once_max.min(Semaphore::MAX_PERMITS);
        Ok(Passwords {
            params,
            permits: Arc::new(Semaphore::new(permits)),
            decoy: PasswordHash(decoy),
        })
    }

    pub(crate) async fn hash(&self, password: String, rng: &dyn Rng) -> ServiceResult<PasswordHash> {
        let salt = random::<SALT_BYTES>(rng);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        self.costly(move || {
            let hash: phc::PasswordHash = argon2
                .hash_password_with_salt(password.as_bytes(), &salt)
                .map_err(|error| internal(format!("a password can't be hashed: {error}")))?;
            Ok(PasswordHash(hash.to_string()))
        })
        .await
    }

    /// Whether the password is that of the hash. `None` takes as long and is never right.
    pub(crate) async fn verify(&self, password: String, hash: Option<PasswordHash>) -> ServiceResult<bool> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.clone());
        self.costly(move || {
            let hash = phc::PasswordHash::new(&hash.0)
                .map_err(|error| internal(format!("a stored password hash is damaged: {error}")))?;
            let right = Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok();
            Ok(right && known)
        })
        .await
    }

    /// The permit goes with the work: a caller who gives up frees no memory before the hash is done.
    async fn costly<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> ServiceResult<T> + Send + 'static,
    ) -> ServiceResult<T> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .expect("nobody closes the semaphore");
        blocking(move || {
            let _permit = permit;
            work()
        })
        .await
    }

    /// All that may be hashed at once, so that a test can see who waits.
    #[cfg(test)]
    pub(crate) fn permits(&self) -> &Arc<Semaphore> {
        &self.permits
    }

    #[cfg(test)]
    pub(crate) fn decoy(&self) -> &PasswordHash {
        &self.decoy
    }
}
