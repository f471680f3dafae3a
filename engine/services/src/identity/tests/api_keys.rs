//! API keys: made, shown once, listed, expired, revoked.

use std::sync::Arc;

use rustydb_contract::{Cursor, Timestamp};
use rustydb_contract_admin::{AdminListUsersInput, AdminService};
use rustydb_contract_auth::{
    AuthCreateApiKeyInput, AuthListApiKeysInput, AuthLogoutInput, AuthRevokeApiKeyInput, AuthService,
    AuthValidateInput, CreatedApiKey,
};
use rustydb_contract_core::access::{DATABASE_READ, SYSTEM_READ};
use rustydb_store::seam::SpaceId;

use super::support::{DAY, START_US, World, called_by, change_of, code, nobody, settings};
use crate::identity::IdentitySettings;

async fn create(world: &World, caller: &rustydb_contract::CallContext, days: Option<u32>) -> CreatedApiKey {
    let input = AuthCreateApiKeyInput {
        name: "Production".to_owned(),
        expires_in_days: days,
    };
    world.auth.create_api_key(caller, input).await.unwrap()
}

#[tokio::test]
async fn a_key_acts_for_its_owner_with_the_roles_of_the_moment() {
    let world = World::new().await;
    let user = world.create_user("alice", &["analyst"]).await;
    let caller = world.caller("alice").await;
    let key = create(&world, &caller, None).await;
    assert!(key.api_key.starts_with("rustydb_"));
    assert_eq!(key.api_key.len(), "rustydb_".len() + 43);
    assert_eq!(key.expires_at, None);
    assert_eq!(key.created_at, Timestamp::from_micros(START_US));
    let principal = world.api_key(&key.api_key).await.unwrap();
    assert_eq!(principal.user_id, user.id);
    assert_eq!(principal.permissions, DATABASE_READ);
    assert_eq!(principal.api_key_id.as_deref(), Some(key.id.as_str()));
    assert_eq!(
        (&principal.session_id, principal.expires_at_seconds),
        (&None, None)
    );
    let mut change = change_of(&user.id);
    change.roles = Some(vec!["monitor".to_owned()]);
    world.update_user(change).await.unwrap();
    assert!(
        world
            .api_key(&key.api_key)
            .await
            .unwrap()
            .permissions
            .contains(SYSTEM_READ)
    );
    // There is no session to end.
    let by_key = called_by(world.api_key(&key.api_key).await.unwrap());
    world.auth.logout(&by_key, AuthLogoutInput {}).await.unwrap();
    assert_eq!(code(world.api_key(&key.api_key).await), "OK");
    assert_eq!(
        code(world.auth.validate(&caller, AuthValidateInput {}).await),
        "OK"
    );
}

#[tokio::test]
async fn a_key_ends_with_its_days() {
    let world = World::new().await;
    let caller = world.caller("admin").await;
    let key = create(&world, &caller, Some(90)).await;
    let end = key.expires_at.unwrap();
    // On the whole second that begins the moment's.
    assert_eq!(end.as_micros(), START_US - 250_000 + 90 * DAY as i64 * 1_000_000);
    let principal = world.api_key(&key.api_key).await.unwrap();
    let info = world
        .auth
        .validate(&called_by(principal), AuthValidateInput {})
        .await
        .unwrap();
    assert_eq!(info.expires_at, Some(end));
    world.clock.advance_us(90 * DAY * 1_000_000 - 250_001);
    assert_eq!(code(world.api_key(&key.api_key).await), "OK");
    world.clock.advance_us(1);
    assert_eq!(code(world.api_key(&key.api_key).await), "TOKEN_EXPIRED");
    let list = world
        .auth
        .list_api_keys(&caller, AuthListApiKeysInput::default())
        .await
        .unwrap();
    assert!(list.api_keys[0].expired);
}

#[tokio::test]
async fn what_is_no_key_is_refused() {
    let world = World::new().await;
    let caller = world.caller("admin").await;
    let good = create(&world, &caller, None).await.api_key;
    let (head, last) = good.split_at(good.len() - 1);
    let other = if last == "A" { "E" } else { "A" };
    for text in [
        String::new(),
        "rustydb_".to_owned(),
        head.to_owned(),
        format!("{head}{other}"),
        format!("{good}A"),
        format!("{good}="),
        good.replace("rustydb_", "rustydb-"),
        good.replace("rustydb_", ""),
        good.to_uppercase(),
        format!("rustydb_{}", "A".repeat(43)),
        format!("rustydb_{}", "A".repeat(1 << 20)),
        format!("rustydb_{}", "ü".repeat(43)),
    ] {
        assert_eq!(
            code(world.api_key(&text).await),
            "UNAUTHENTICATED",
            "{} bytes",
            text.len()
        );
    }
    assert_eq!(code(world.bearer(&good).await), "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_and_only_its_owner_revokes() {
    let world = World::new().await;
    world.create_user("alice", &[]).await;
    let (alice, admin) = (world.caller("alice").await, world.caller("admin").await);
    let key = create(&world, &alice, None).await;
    let input = AuthRevokeApiKeyInput { id: key.id.clone() };
    assert_eq!(
        code(world.auth.revoke_api_key(&admin, input.clone()).await),
        "API_KEY_NOT_FOUND"
    );
    assert_eq!(code(world.api_key(&key.api_key).await), "OK");
    world.auth.revoke_api_key(&alice, input.clone()).await.unwrap();
    assert_eq!(code(world.api_key(&key.api_key).await), "UNAUTHENTICATED");
    assert_eq!(
        code(world.auth.revoke_api_key(&alice, input).await),
        "API_KEY_NOT_FOUND"
    );
    assert_eq!(world.entries(SpaceId::API_KEYS), 0);
}

#[tokio::test]
async fn a_user_has_at_most_a_hundred_keys_that_live() {
    let world = World::new().await;
    world.create_user("alice", &[]).await;
    let (alice, admin) = (world.caller("alice").await, world.caller("admin").await);
    let mut last = None;
    for at in 0..100 {
        last = Some(create(&world, &alice, (at == 0).then_some(1)).await);
    }
    let input = AuthCreateApiKeyInput {
        name: "one more".to_owned(),
        expires_in_days: None,
    };
    assert_eq!(
        code(world.auth.create_api_key(&alice, input.clone()).await),
        "API_KEY_LIMIT"
    );
    // Of each user.
    create(&world, &admin, None).await;
    // A revoked key makes room, and so does an expired one.
    let revoke = AuthRevokeApiKeyInput { id: last.unwrap().id };
    world.auth.revoke_api_key(&alice, revoke).await.unwrap();
    create(&world, &alice, None).await;
    assert_eq!(
        code(world.auth.create_api_key(&alice, input.clone()).await),
        "API_KEY_LIMIT"
    );
    world.advance_seconds(DAY);
    create(&world, &alice, None).await;
    assert_eq!(
        code(world.auth.create_api_key(&alice, input).await),
        "API_KEY_LIMIT"
    );
}

#[tokio::test]
async fn keys_made_at_once_do_not_pass_the_limit() {
    let world = Arc::new(
        World::with(IdentitySettings {
            api_keys_per_user_max: 5,
            ..settings()
        })
        .await,
    );
    let caller = Arc::new(world.caller("admin").await);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (world, caller) = (Arc::clone(&world), Arc::clone(&caller));
        calls.spawn(async move {
            let input = AuthCreateApiKeyInput {
                name: "key".to_owned(),
                expires_in_days: None,
            };
            code(world.auth.create_api_key(&caller, input).await)
        });
    }
    let outcomes = calls.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "OK").count(), 5);
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| **outcome == "API_KEY_LIMIT")
            .count(),
        15
    );
    assert_eq!(world.entries(SpaceId::API_KEYS), 5);
}

#[tokio::test]
async fn keys_are_listed_in_the_order_of_their_making_without_their_secrets() {
    let world = World::new().await;
    world.create_user("alice", &[]).await;
    let (alice, admin) = (world.caller("alice").await, world.caller("admin").await);
    create(&world, &admin, None).await;
    let mut made = Vec::new();
    for days in 1..=7 {
        world.clock.advance_us(1_000);
        made.push(create(&world, &alice, Some(days)).await);
    }
    for limit in 1..9 {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let input = AuthListApiKeysInput {
                limit: Some(limit),
                after,
            };
            let page = world.auth.list_api_keys(&alice, input).await.unwrap();
            assert!(page.api_keys.len() <= limit as usize);
            let text = serde_json::to_string(&page).unwrap();
            assert!(made.iter().all(|key| !text.contains(&key.api_key)));
            seen.extend(page.api_keys);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), made.len());
        for (seen, made) in seen.iter().zip(&made) {
            assert_eq!(
                (&seen.id, &seen.name, seen.created_at),
                (&made.id, &made.name, made.created_at)
            );
            assert_eq!((seen.expires_at, seen.expired), (made.expires_at, false));
        }
    }
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let world = World::new().await;
    let caller = world.caller("admin").await;
    world.create_user("alice", &[]).await;
    let input = AdminListUsersInput {
        limit: Some(1),
        after: None,
    };
    let users = world.admin.list_users(&nobody(), input).await.unwrap();
    for after in [users.next.unwrap(), Cursor("abc".to_owned())] {
        let input = AuthListApiKeysInput {
            limit: None,
            after: Some(after),
        };
        let refused = world.auth.list_api_keys(&caller, input).await.unwrap_err();
        assert_eq!(refused.code(), "INVALID_ARGUMENT");
        assert_eq!(refused.details().unwrap()["field"], "after");
    }
}
