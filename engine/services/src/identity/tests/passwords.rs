//! Passwords and what is kept of them.

use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use argon2::Params;
use argon2::password_hash::phc::PasswordHash;
use rustydb_contract_auth::{AuthCreateApiKeyInput, AuthService};
use rustydb_store::seam::{KeyRange, SpaceId, TableStore as _};

use super::support::{PASSWORD, World, code, settings};
use crate::identity::{IdentityError, IdentityService, IdentitySettings, PasswordCost};

#[tokio::test]
async fn only_the_exact_password_signs_in_and_nobody_learns_which_part_was_wrong() {
    let world = World::new().await;
    world.create_user("alice", &[]).await;
    let mut messages = Vec::new();
    for (name, password) in [
        ("alice", "correct horse batterY"),
        ("alice", "correct horse battery "),
        ("alice", ""),
        ("Alice", PASSWORD),
        ("nobody", PASSWORD),
        ("", ""),
    ] {
        let refused = world.try_login(name, password).await.unwrap_err();
        assert_eq!(refused.code(), "INVALID_CREDENTIALS");
        messages.push(refused.to_string());
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(code(world.try_login("alice", PASSWORD).await), "OK");
    let other = world.try_login("alice", &"ü".repeat(1_024)).await;
    assert_eq!(code(other), "INVALID_CREDENTIALS");
}

#[tokio::test]
async fn a_password_is_kept_as_argon2id_with_the_cost_that_was_set_and_a_salt_of_its_own() {
    let cost = PasswordCost {
        memory_kib: 64,
        passes: 3,
        lanes: 2,
    };
    let world = World::with(IdentitySettings {
        password_cost: cost,
        ..settings()
    })
    .await;
    let user = world.create_user("alice", &[]).await;
    let hash = |name: &str| world.identity.user(name).unwrap().record.password_hash.0.clone();
    assert!(hash(&user.id).starts_with("$argon2id$v=19$m=64,t=3,p=2$"));
    assert_ne!(hash("alice"), hash("admin"));
}

#[test]
fn the_default_cost_is_the_one_recommended() {
    let PasswordCost {
        memory_kib,
        passes,
        lanes,
    } = IdentitySettings::default().password_cost;
    assert_eq!((memory_kib, passes, lanes), (19 * 1_024, 2, 1));
}

#[tokio::test]
async fn an_unknown_name_is_hashed_for_like_a_known_one() {
    let world = World::new().await;
    let decoy = world.identity.0.passwords.decoy().0.clone();
    let real = world
        .identity
        .user("admin")
        .unwrap()
        .record
        .password_hash
        .0
        .clone();
    let facts = |hash: &str| {
        let hash = PasswordHash::new(hash).unwrap();
        let salt_bytes = hash.salt.as_ref().unwrap().len();
        let hash_bytes = hash.hash.as_ref().unwrap().len();
        let params = Params::try_from(&hash).unwrap();
        (
            hash.algorithm.to_string(),
            hash.version,
            params.m_cost(),
            params.t_cost(),
            params.p_cost(),
            salt_bytes,
            hash_bytes,
        )
    };
    assert_eq!(facts(&decoy), facts(&real));

    // While nothing may be hashed, neither gets an answer.
    let permits = Arc::clone(world.identity.0.passwords.permits());
    let all = permits
        .acquire_many(permits.available_permits() as u32)
        .await
        .unwrap();
    for name in ["admin", "nobody"] {
        let mut login = pin!(world.try_login(name, "a guess"));
        let polled = login.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(
            matches!(polled, Poll::Pending),
            "{name} was answered without hashing"
        );
    }
    drop(all);
    assert_eq!(
        code(world.try_login("nobody", "a guess").await),
        "INVALID_CREDENTIALS"
    );
}

#[tokio::test]
async fn no_more_passwords_are_hashed_at_once_than_allowed_and_all_are_answered() {
    let world = World::with(IdentitySettings {
        password_hashes_at_once_max: 1,
        ..settings()
    })
    .await;
    let world = Arc::new(world);
    let mut calls = tokio::task::JoinSet::new();
    for at in 0..10 {
        let world = Arc::clone(&world);
        let password = if at % 2 == 0 { PASSWORD } else { "a guess" };
        calls.spawn(async move { code(world.try_login("admin", password).await) });
    }
    let outcomes = calls.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "OK").count(), 5);
    assert_eq!(world.identity.0.passwords.permits().available_permits(), 1);
}

#[test]
fn settings_that_can_hash_nothing_are_refused_by_name() {
    let clock = Arc::new(rustydb_runtime::ManualClock::new(0));
    let bad_cost = PasswordCost {
        memory_kib: 1,
        passes: 1,
        lanes: 1,
    };
    for (settings, name) in [
        (
            IdentitySettings {
                password_cost: bad_cost,
                ..settings()
            },
            "password_cost",
        ),
        (
            IdentitySettings {
                password_hashes_at_once_max: 0,
                ..settings()
            },
            "password_hashes_at_once_max",
        ),
    ] {
        let store = rustydb_store::testing::MemStore::new(Arc::clone(&clock) as _);
        let rng = Arc::new(rustydb_runtime::SystemRng);
        let opened = IdentityService::open(Arc::new(store), Arc::clone(&clock) as _, rng, None, settings);
        let Err(IdentityError::Setting { name: found, .. }) = opened else {
            panic!("{name} is accepted")
        };
        assert_eq!(found, name);
    }
}

#[tokio::test]
async fn no_secret_is_in_the_store_in_debug_output_or_in_an_error() {
    let world = World::new().await;
    let caller = world.caller("admin").await;
    let tokens = world.login("admin").await;
    let input = AuthCreateApiKeyInput {
        name: "key".to_owned(),
        expires_in_days: None,
    };
    let key = world.auth.create_api_key(&caller, input).await.unwrap();
    let used = world.refresh(&tokens).await.unwrap();
    let reuse = world.refresh(&tokens).await.unwrap_err();
    let wrong = world.try_login("admin", "a secret guess").await.unwrap_err();

    let mut written = format!("{reuse:?} {wrong:?} {tokens:?} {key:?} {used:?}");
    let snapshot = world.store.snapshot().unwrap();
    for space in [SpaceId::USERS, SpaceId::API_KEYS, SpaceId::SESSIONS] {
        for (key, found) in snapshot.scan(space, &KeyRange::default(), 100).unwrap() {
            written += &String::from_utf8(key).unwrap();
            written += &String::from_utf8(found.value).unwrap();
        }
    }
    assert!(
        written.contains("argon2id") && written.contains("digest"),
        "the records were looked at"
    );
    let user = world.identity.user("admin").unwrap();
    let record = format!("{user:?}");
    assert!(!record.contains("argon2id"), "{record}");
    let text = |token: &str| token.trim_start_matches("rustydb_").to_owned();
    for secret in [
        PASSWORD.to_owned(),
        "a secret guess".to_owned(),
        text(&key.api_key),
        tokens.refresh_token.clone(),
        tokens.refresh_token[22..].to_owned(),
        used.refresh_token.clone(),
        tokens.access_token.clone(),
    ] {
        assert!(!written.contains(&secret));
    }
}
