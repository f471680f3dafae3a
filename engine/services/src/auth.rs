//! The `auth` module: sign in, keep a session, hold API keys.

use rustydb_contract::{CallContext, Empty, ServiceResult, Timestamp, async_trait};
use rustydb_contract_auth::{
    ApiKey, ApiKeyList, AuthCreateApiKeyInput, AuthGetSigningKeysInput, AuthListApiKeysInput, AuthLoginInput,
    AuthLogoutInput, AuthRefreshInput, AuthRevokeApiKeyInput, AuthService, AuthValidateInput, CreatedApiKey,
    SigningKey, SigningKeySet, TokenInfo, TokenPair, TokenType,
};

use crate::identity::{IdentityService, IssuedTokens, paging, permission_names};

/// Name of the list in cursors.
const KEYS: &str = "api_keys";
const MICROS: i64 = 1_000_000;

/// Answers the `auth` operations from the identities.
#[derive(Clone)]
pub struct Auth {
    identity: IdentityService,
}

impl Auth {
    pub fn new(identity: IdentityService) -> Auth {
        Auth { identity }
    }
}

#[async_trait]
impl AuthService for Auth {
    async fn create_api_key(
        &self,
        context: &CallContext,
        input: AuthCreateApiKeyInput,
    ) -> ServiceResult<CreatedApiKey> {
        let user_id = &context.principal().user_id;
        let made = self
            .identity
            .create_api_key(user_id, input.name, input.expires_in_days)
            .await?;
        let record = &made.key.record;
        Ok(CreatedApiKey {
            id: made.key.id.clone(),
            api_key: made.text,
            name: record.name.clone(),
            created_at: Timestamp::from_micros(record.created_at_us),
            expires_at: record.expires_at_us.map(Timestamp::from_micros),
        })
    }

    async fn get_signing_keys(
        &self,
        _: &CallContext,
        _: AuthGetSigningKeysInput,
    ) -> ServiceResult<SigningKeySet> {
        let key = self.identity.public_key();
        let key = SigningKey {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: key.x.clone(),
            kid: key.kid.clone(),
            alg: "EdDSA".to_owned(),
            r#use: "sig".to_owned(),
        };
        Ok(SigningKeySet { keys: vec![key] })
    }

    async fn list_api_keys(
        &self,
        context: &CallContext,
        input: AuthListApiKeysInput,
    ) -> ServiceResult<ApiKeyList> {
        let after = paging::after(KEYS, input.after)?;
        let keys_max = paging::page_items(input.limit);
        let keys = self
            .identity
            .api_keys(&context.principal().user_id, after.as_deref(), keys_max + 1);
        let (keys, next) = paging::page(KEYS, keys, keys_max, |key| &key.id);
        let now_us = self.identity.now_us();
        let shown = keys.iter().map(|key| ApiKey {
            id: key.id.clone(),
            name: key.record.name.clone(),
            created_at: Timestamp::from_micros(key.record.created_at_us),
            expires_at: key.record.expires_at_us.map(Timestamp::from_micros),
            expired: key.record.has_expired(now_us),
        });
        Ok(ApiKeyList {
            api_keys: shown.collect(),
            next,
        })
    }

    async fn login(&self, context: &CallContext, input: AuthLoginInput) -> ServiceResult<TokenPair> {
        self.identity
            .login(&input.username, input.password, context.peer)
            .await
            .map(token_pair)
    }

    async fn logout(&self, context: &CallContext, _: AuthLogoutInput) -> ServiceResult<Empty> {
        if let Some(session_id) = &context.principal().session_id {
            self.identity.logout(session_id, context.peer).await?;
        }
        Ok(Empty {})
    }

    async fn refresh(&self, _: &CallContext, input: AuthRefreshInput) -> ServiceResult<TokenPair> {
        self.identity.refresh(input.refresh_token).await.map(token_pair)
    }

    async fn revoke_api_key(
        &self,
        context: &CallContext,
        input: AuthRevokeApiKeyInput,
    ) -> ServiceResult<Empty> {
        self.identity
            .revoke_api_key(&context.principal().user_id, input.id)
            .await?;
        Ok(Empty {})
    }

    async fn validate(&self, context: &CallContext, _: AuthValidateInput) -> ServiceResult<TokenInfo> {
        let caller = context.principal();
        let end = |seconds: i64| Timestamp::from_micros(seconds.saturating_mul(MICROS));
        Ok(TokenInfo {
            valid: true,
            user_id: caller.user_id.clone(),
            username: caller.username.clone(),
            roles: caller.roles.clone(),
            permissions: permission_names(caller.permissions),
            expires_at: caller.expires_at_seconds.map(end),
        })
    }
}

fn token_pair(issued: IssuedTokens) -> TokenPair {
    TokenPair {
        access_token: issued.access_token,
        refresh_token: issued.refresh_token,
        expires_in: issued.expires_in_seconds,
        token_type: TokenType::Bearer,
    }
}
