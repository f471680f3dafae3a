//! From a credential to a principal, and from roles to permissions.

use std::pin::Pin;
use std::sync::Arc;

use rustydb_contract::host::{Credential, Identity};
use rustydb_contract::{AnswerFuture, Permissions, Principal, ServiceError, ServiceResult, Timestamp};
use rustydb_contract_core::access::{PERMISSIONS, ROLES};
use rustydb_contract_core::errors::{TOKEN_EXPIRED, UNAUTHENTICATED};

use super::api_keys::digest_of_key;
use super::records::{Stored, UserRecord};
use super::{IdentityService, Inner};

/// The role that manages users.
pub(crate) const ADMIN_ROLE: &str = "admin";

pub(crate) const MICROS: i64 = 1_000_000;

impl Identity for IdentityService {
    fn changed<'a>(&'a self, seen: u64) -> Pin<Box<dyn Future<Output = u64> + Send + 'a>> {
        let mut revision = self.0.revision.subscribe();
        Box::pin(async move {
            let now = revision.wait_for(|now| *now != seen).await.map(|now| *now);
            match now {
                Ok(now) => now,
                // The sender lives as long as `self`.
                Err(_) => std::future::pending().await,
            }
        })
    }

    fn authenticate<'a>(&'a self, credential: &'a Credential) -> AnswerFuture<'a, Arc<Principal>> {
        Box::pin(std::future::ready(match credential {
            Credential::Bearer(token) => self.0.bearer(token),
            Credential::ApiKey(key) => self.0.api_key(key),
        }))
    }
}

impl Inner {
    fn bearer(&self, token: &str) -> ServiceResult<Arc<Principal>> {
        let refused = || {
            ServiceError::new(
                &UNAUTHENTICATED,
                "the access token is not valid; sign in with auth.login for another",
            )
        };
        let token = self.tokens.verify(token).ok_or_else(refused)?;
        let now_us = self.clock.now_us();
        if now_us >= token.expires_at_seconds.saturating_mul(MICROS) {
            return Err(ended(
                token.expires_at_seconds,
                "access token",
                "refresh it with auth.refresh",
            ));
        }
        let state = self.state.read();
        let (session, user) = state
            .session(&token.session_id)
            .zip(state.user(&token.user_id))
            .filter(|(session, user)| session.is_live(user, now_us))
            .ok_or_else(refused)?;
        let principal = principal(user);
        Ok(Arc::new(Principal {
            session_id: Some(session.id.clone()),
            expires_at_seconds: Some(token.expires_at_seconds),
            ..principal
        }))
    }

    fn api_key(&self, key: &str) -> ServiceResult<Arc<Principal>> {
        let refused = || {
            ServiceError::new(
                &UNAUTHENTICATED,
                "the API key is not valid; make another with auth.create_api_key",
            )
        };
        let digest = digest_of_key(key).ok_or_else(refused)?;
        let state = self.state.read();
        let key = state.key(&digest).ok_or_else(refused)?;
        let user = state
            .user(&key.record.user_id)
            .filter(|user| user.record.enabled)
            .ok_or_else(refused)?;
        let ends_at_seconds = key.record.expires_at_us.map(|end| end.div_euclid(MICROS));
        if key.record.has_expired(self.clock.now_us()) {
            let end = ends_at_seconds.unwrap_or_default();
            return Err(ended(end, "API key", "make another with auth.create_api_key"));
        }
        Ok(Arc::new(Principal {
            api_key_id: Some(key.id.clone()),
            expires_at_seconds: ends_at_seconds,
            ..principal(user)
        }))
    }
}

fn ended(end_seconds: i64, what: &str, remedy: &str) -> ServiceError {
    let end = Timestamp::from_micros(end_seconds.saturating_mul(MICROS));
    ServiceError::new(
        &TOKEN_EXPIRED,
        format!("the {what}'s time was over at {end}; {remedy}"),
    )
}

fn principal(user: &Stored<UserRecord>) -> Principal {
    Principal {
        user_id: user.id.clone(),
        username: user.record.username.clone(),
        roles: user.record.roles.clone(),
        permissions: permissions_of(&user.record.roles),
        session_id: None,
        api_key_id: None,
        expires_at_seconds: None,
    }
}

/// All that the roles permit together.
pub(crate) fn permissions_of(roles: &[String]) -> Permissions {
    let held = ROLES
        .iter()
        .filter(|role| roles.iter().any(|name| name == role.name));
    held.fold(Permissions::NONE, |all, role| all.union(role.permissions))
}

/// Names of the permissions in a set, in the contract's order.
pub(crate) fn permission_names(permissions: Permissions) -> Vec<String> {
    let held = PERMISSIONS
        .iter()
        .filter(|permission| permissions.contains(permission.bit));
    held.map(|permission| permission.name.to_owned()).collect()
}
