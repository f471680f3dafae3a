//! What is believed of an access token, and what is not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rustydb_contract::Timestamp;
use rustydb_contract_auth::{AuthGetSigningKeysInput, AuthLogoutInput, AuthService, AuthValidateInput};
use rustydb_contract_core::access::{DATABASE_READ, DATABASE_WRITE};
use rustydb_store::testing::MemStore;
use serde_json::{Value, json};
use std::sync::Arc;

use super::support::{START_US, World, called_by, change_of, code, nobody, settings};
use crate::identity::{IdentitySettings, SIGNING_KEY_FILE};

const START_SECONDS: i64 = START_US / 1_000_000;

/// The claims of a token, unchecked.
fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn a_token_says_who_signed_in_and_verifies_with_the_published_key() {
    let world = World::new().await;
    let user = world.create_user("alice", &["developer", "monitor"]).await;
    let tokens = world.login("alice").await;

    let keys = world
        .auth
        .get_signing_keys(&nobody(), AuthGetSigningKeysInput {})
        .await
        .unwrap()
        .keys;
    assert_eq!(keys.len(), 1);
    let published = serde_json::to_value(&keys[0]).unwrap();
    assert_eq!(published["kty"], "OKP");
    assert_eq!(published["crv"], "Ed25519");
    assert_eq!(published["alg"], "EdDSA");
    assert_eq!(published["use"], "sig");
    let header = jsonwebtoken::decode_header(&tokens.access_token).unwrap();
    assert_eq!(header.kid.as_deref(), Some(keys[0].kid.as_str()));
    assert_eq!(header.alg, Algorithm::EdDSA);

    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.validate_exp = false;
    validation.set_audience(&["rustydb"]);
    validation.set_issuer(&["rustydb"]);
    let key = DecodingKey::from_ed_components(&keys[0].x).unwrap();
    let claims = jsonwebtoken::decode::<Value>(&tokens.access_token, &key, &validation)
        .unwrap()
        .claims;
    assert_eq!(claims["sub"], user.id);
    assert_eq!(claims["username"], "alice");
    assert_eq!(claims["roles"], json!(["developer", "monitor"]));
    assert_eq!(claims["iat"], START_SECONDS);
    assert_eq!(claims["exp"], START_SECONDS + 3_600);
}

#[tokio::test]
async fn each_token_has_an_identifier_of_its_own() {
    let world = World::new().await;
    let first = world.login("admin").await;
    let second = world.refresh(&first).await.unwrap();
    let (first, second) = (claims(&first.access_token), claims(&second.access_token));
    assert_ne!(first["jti"], second["jti"]);
    let session = |claims: &Value| {
        claims["jti"]
            .as_str()
            .unwrap()
            .split('.')
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(session(&first), session(&second));
}

#[tokio::test]
async fn a_token_gives_the_principal_with_the_permissions_of_its_roles() {
    let world = World::new().await;
    let user = world.create_user("alice", &["developer"]).await;
    let tokens = world.login("alice").await;
    let principal = world.bearer(&tokens.access_token).await.unwrap();
    assert_eq!(principal.user_id, user.id);
    assert_eq!(principal.username, "alice");
    assert_eq!(principal.roles, ["developer"]);
    assert_eq!(principal.permissions, DATABASE_READ.union(DATABASE_WRITE));
    assert_eq!(principal.expires_at_seconds, Some(START_SECONDS + 3_600));
    assert!(principal.session_id.is_some() && principal.api_key_id.is_none());

    let info = world
        .auth
        .validate(&called_by(principal), AuthValidateInput {})
        .await
        .unwrap();
    assert!(info.valid);
    assert_eq!(info.permissions, ["database:read", "database:write"]);
    assert_eq!(
        info.expires_at,
        Some(Timestamp::from_micros((START_SECONDS + 3_600) * 1_000_000))
    );
}

#[tokio::test]
async fn a_token_ends_with_its_hour_and_not_before() {
    let world = World::new().await;
    let tokens = world.login("admin").await;
    assert_eq!(tokens.expires_in, 3_600);
    // The start is 250 ms into its second: the last moment is 3599.749999 s on.
    world.clock.advance_us(3_599_749_999);
    assert_eq!(code(world.bearer(&tokens.access_token).await), "OK");
    world.clock.advance_us(1);
    assert_eq!(code(world.bearer(&tokens.access_token).await), "TOKEN_EXPIRED");
    world.advance_seconds(86_400 * 60);
    assert_eq!(code(world.bearer(&tokens.access_token).await), "TOKEN_EXPIRED");
}

#[tokio::test]
async fn the_life_of_a_token_is_a_setting_and_never_beyond_its_session() {
    let world = World::with(IdentitySettings {
        access_token_seconds: 90,
        ..settings()
    })
    .await;
    let tokens = world.login("admin").await;
    assert_eq!(tokens.expires_in, 90);
    let claims = claims(&tokens.access_token);
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        90
    );

    let world = World::with(IdentitySettings {
        refresh_token_seconds: 40,
        ..settings()
    })
    .await;
    assert_eq!(world.login("admin").await.expires_in, 40);
}

#[tokio::test]
async fn a_change_of_roles_or_name_holds_from_the_next_call() {
    let world = World::new().await;
    let user = world.create_user("alice", &["analyst"]).await;
    let tokens = world.login("alice").await;
    assert_eq!(
        world.bearer(&tokens.access_token).await.unwrap().permissions,
        DATABASE_READ
    );
    let mut change = change_of(&user.id);
    change.roles = Some(vec!["developer".to_owned()]);
    change.username = Some("alicia".to_owned());
    world.update_user(change).await.unwrap();
    let principal = world.bearer(&tokens.access_token).await.unwrap();
    assert_eq!(principal.permissions, DATABASE_READ.union(DATABASE_WRITE));
    assert_eq!(principal.roles, ["developer"]);
    assert_eq!(principal.username, "alicia");
}

#[tokio::test]
async fn logging_out_ends_the_tokens_of_the_session_and_no_other() {
    let world = World::new().await;
    let (here, there) = (world.login("admin").await, world.login("admin").await);
    let caller = called_by(world.bearer(&here.access_token).await.unwrap());
    world.auth.logout(&caller, AuthLogoutInput {}).await.unwrap();
    assert_eq!(code(world.bearer(&here.access_token).await), "UNAUTHENTICATED");
    assert_eq!(code(world.refresh(&here).await), "INVALID_REFRESH_TOKEN");
    assert_eq!(code(world.bearer(&there.access_token).await), "OK");
    // A call that was let through before may log out again.
    world.auth.logout(&caller, AuthLogoutInput {}).await.unwrap();
}

fn segment(value: Value) -> String {
    BASE64_URL.encode(value.to_string())
}

#[tokio::test]
async fn damaged_and_forged_tokens_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(rustydb_runtime::ManualClock::new(START_US));
    let store = Arc::new(MemStore::new(Arc::clone(&clock) as _));
    let world = World::open(store, clock, Some(folder.path()), settings());
    world
        .identity
        .ensure_admin(Some(super::support::PASSWORD.to_owned()))
        .await
        .unwrap();
    let good = world.login("admin").await.access_token;
    let good_claims = claims(&good);
    let [header, payload, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();

    let pem = std::fs::read_to_string(folder.path().join(SIGNING_KEY_FILE)).unwrap();
    let key = SigningKey::from_pkcs8_pem(&pem).unwrap();
    let encoding = |key: &SigningKey| EncodingKey::from_ed_der(key.to_pkcs8_der().unwrap().as_bytes());
    let ours = encoding(&key);
    let signed = |claims: &Value, key: &EncodingKey| {
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), claims, key).unwrap()
    };
    let with = |name: &str, value: Value| {
        let mut claims = good_claims.clone();
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = good_claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    // The way of forging works, so what is refused below is refused for its fault.
    assert_eq!(code(world.bearer(&signed(&good_claims, &ours)).await), "OK");

    let stranger = encoding(&SigningKey::from_bytes(&[7; 32]));
    let public_as_secret = EncodingKey::from_secret(key.verifying_key().as_bytes());
    let hs256 =
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &good_claims, &public_as_secret).unwrap();
    let mut forged = vec![
        ("another key", signed(&good_claims, &stranger)),
        ("HS256 with the public key", hs256),
        ("another audience", signed(&with("aud", json!("others")), &ours)),
        (
            "several audiences",
            signed(&with("aud", json!(["others", "theirs"])), &ours),
        ),
        ("no audience", signed(&without("aud"), &ours)),
        ("another issuer", signed(&with("iss", json!("others")), &ours)),
        ("no issuer", signed(&without("iss"), &ours)),
        ("no end", signed(&without("exp"), &ours)),
        ("an end that is text", signed(&with("exp", json!("never")), &ours)),
        ("no subject", signed(&without("sub"), &ours)),
        ("another subject", signed(&with("sub", json!("somebody")), &ours)),
        ("no session", signed(&without("jti"), &ours)),
        (
            "an unknown session",
            signed(&with("jti", json!("unknown.1")), &ours),
        ),
        (
            "a session without its dot",
            signed(&with("jti", json!("unknown")), &ours),
        ),
        (
            "another payload",
            format!(
                "{header}.{}.{signature}",
                segment(with("username", json!("root")))
            ),
        ),
        ("no signature", format!("{header}.{payload}.")),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{good}.{signature}")),
        ("empty", String::new()),
        ("dots", "..".to_owned()),
        ("a megabyte", "a".repeat(1 << 20)),
        ("a megabyte of dots", ".".repeat(1 << 20)),
        (
            "a good token and a megabyte",
            format!("{good}{}", "A".repeat(1 << 20)),
        ),
        ("padding", format!("{good}=")),
        ("a space", format!(" {good}")),
        ("text", "kein Tökén".to_owned()),
    ];
    for alg in ["none", "None", "HS512", "ES256", "EdDSA "] {
        let header = segment(json!({"alg": alg, "typ": "JWT"}));
        forged.push(("another algorithm, no signature", format!("{header}.{payload}.")));
        forged.push(("another algorithm", format!("{header}.{payload}.{signature}")));
    }
    for (fault, token) in forged {
        assert_eq!(code(world.bearer(&token).await), "UNAUTHENTICATED", "{fault}");
    }
    for length in 0..good.len() {
        assert_eq!(
            code(world.bearer(&good[..length]).await),
            "UNAUTHENTICATED",
            "{length} bytes of it"
        );
    }
    assert_eq!(code(world.bearer(&good).await), "OK");
}

#[tokio::test]
async fn an_expired_token_of_another_key_is_not_called_expired() {
    let (world, other) = (World::new().await, World::new().await);
    let foreign = other.login("admin").await;
    world.advance_seconds(7_200);
    assert_eq!(code(world.bearer(&foreign.access_token).await), "UNAUTHENTICATED");
}

#[tokio::test]
async fn the_cache_of_verified_tokens_is_bounded_and_forgets_nothing_that_matters() {
    let world = World::with(IdentitySettings {
        verified_tokens_max: 8,
        ..settings()
    })
    .await;
    let mut tokens = Vec::new();
    for _ in 0..40 {
        tokens.push(world.login("admin").await);
    }
    for round in 0..2 {
        for tokens in &tokens {
            assert_eq!(
                code(world.bearer(&tokens.access_token).await),
                "OK",
                "round {round}"
            );
        }
        let held = world.identity.0.tokens.verified_tokens();
        assert!((1..=8).contains(&held), "{held} of 40 tokens are held");
    }
}

#[tokio::test]
async fn a_cached_token_still_expires_and_its_session_still_ends() {
    let world = World::new().await;
    let (expires, ends) = (world.login("admin").await, world.login("admin").await);
    for tokens in [&expires, &ends] {
        assert_eq!(code(world.bearer(&tokens.access_token).await), "OK");
    }
    assert_eq!(world.identity.0.tokens.verified_tokens(), 2);
    let caller = called_by(world.bearer(&ends.access_token).await.unwrap());
    world.auth.logout(&caller, AuthLogoutInput {}).await.unwrap();
    assert_eq!(code(world.bearer(&ends.access_token).await), "UNAUTHENTICATED");
    world.advance_seconds(3_600);
    assert_eq!(code(world.bearer(&expires.access_token).await), "TOKEN_EXPIRED");
}
