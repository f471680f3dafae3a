//! API keys: `rustydb_` and 256 random bits, kept as a hash.

use std::sync::Arc;

use rustydb_contract::{ServiceError, ServiceResult};
use rustydb_contract_auth::errors::{API_KEY_LIMIT, API_KEY_NOT_FOUND};
use rustydb_contract_core::errors::UNAUTHENTICATED;
use rustydb_store::seam::SpaceId;

use super::access::MICROS;
use super::error::store_failure;
use super::records::{ApiKey, ApiKeyRecord, Stored};
use super::secret::{self, Digest, random, random_id};
use super::{IdentityService, Inner, commit};

const PREFIX: &str = "rustydb_";
const KEY_BYTES: usize = 32;
const DAY_SECONDS: i64 = 86_400;

/// A key just made, with the text that is shown once.
pub(crate) struct NewApiKey {
    pub text: String,
    pub key: ApiKey,
}

/// What is stored of a key, or nothing when the text can't be one.
pub(crate) fn digest_of_key(text: &str) -> Option<Digest> {
    secret::bytes::<KEY_BYTES>(text.strip_prefix(PREFIX)?)?;
    Some(Digest::of(text.as_bytes()))
}

impl ApiKeyRecord {
    pub(crate) fn has_expired(&self, now_us: i64) -> bool {
        self.expires_at_us.is_some_and(|end| end <= now_us)
    }
}

impl IdentityService {
    /// Makes a key for a user, good for so many days or until it is revoked.
    pub(crate) async fn create_api_key(
        &self,
        user_id: &str,
        name: String,
        days: Option<u32>,
    ) -> ServiceResult<NewApiKey> {
        let user_id = user_id.to_owned();
        self.changing(move |inner| inner.create_api_key(user_id, name, days))
            .await
    }

    /// Up to `keys_max` of a user's keys behind the key `after`, expired ones among them for a while.
    pub(crate) fn api_keys(&self, user_id: &str, after: Option<&str>, keys_max: usize) -> Vec<ApiKey> {
        self.0.state.read().keys_after(user_id, after, keys_max)
    }

    pub(crate) async fn revoke_api_key(&self, user_id: &str, id: String) -> ServiceResult<()> {
        let user_id = user_id.to_owned();
        self.changing(move |inner| inner.revoke_api_key(&user_id, &id))
            .await
    }
}

impl Inner {
    fn create_api_key(&self, user_id: String, name: String, days: Option<u32>) -> ServiceResult<NewApiKey> {
        let _changes = self.changes.lock();
        let now_us = self.clock.now_us();
        {
            let state = self.state.read();
            if !state.user(&user_id).is_some_and(|user| user.record.enabled) {
                return Err(ServiceError::new(
                    &UNAUTHENTICATED,
                    "the caller's account was removed or disabled",
                ));
            }
            let live = state
                .keys_of(&user_id)
                .filter(|key| !key.record.has_expired(now_us))
                .count();
            if live >= self.settings.api_keys_per_user_max {
                let message =
                    format!("the caller has {live} API keys, and no more are allowed; revoke one first");
                return Err(ServiceError::new(&API_KEY_LIMIT, message));
            }
        }
        let text = format!("{PREFIX}{}", secret::text(&random::<KEY_BYTES>(&*self.rng)));
        // Ends on a whole second, so that every place that shows the end shows the same.
        let end = |days: u32| (now_us.div_euclid(MICROS) + i64::from(days) * DAY_SECONDS) * MICROS;
        let record = ApiKeyRecord {
            user_id,
            name,
            digest: Digest::of(text.as_bytes()),
            created_at_us: now_us,
            expires_at_us: days.map(end),
        };
        let id = random_id(&*self.clock, &*self.rng);
        let write = commit::create(SpaceId::API_KEYS, &id, &record);
        let version = self.commit(vec![write]).map_err(store_failure)?;
        let key = Arc::new(Stored { id, version, record });
        self.change().put_key(Arc::clone(&key));
        Ok(NewApiKey { text, key })
    }

    fn revoke_api_key(&self, user_id: &str, id: &str) -> ServiceResult<()> {
        let _changes = self.changes.lock();
        let key = self.state.read().key_of(user_id, id).cloned().ok_or_else(|| {
            let message = format!("the caller has no API key {id:?}; auth.list_api_keys shows them");
            ServiceError::new(&API_KEY_NOT_FOUND, message)
        })?;
        self.commit(vec![commit::remove(SpaceId::API_KEYS, &key)])
            .map_err(store_failure)?;
        self.change().remove_key(user_id, id);
        Ok(())
    }
}
