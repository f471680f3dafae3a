//! What a restart keeps, and when a change counts as made.

use std::path::Path;
use std::sync::Arc;

use rustydb_contract_admin::{AdminGetUserInput, AdminService};
use rustydb_contract_auth::{AuthCreateApiKeyInput, AuthRevokeApiKeyInput, AuthService};
use rustydb_runtime::{ManualClock, SystemRng};
use rustydb_store::error::StoreError;
use rustydb_store::kernel_store::{KernelOptions, KernelStore};
use rustydb_store::seam::{SpaceId, TableStore, Write, WriteBatch};
use rustydb_store::testing::MemStore;

use super::support::{PASSWORD, START_US, World, change_of, code, nobody, settings};
use crate::identity::{AdminSecret, IdentityError, IdentityService};

fn open(folder: &Path, clock: &Arc<ManualClock>) -> World {
    let store = KernelStore::open(
        folder,
        "store",
        Arc::clone(clock) as _,
        &SystemRng,
        KernelOptions::default(),
    )
    .unwrap();
    World::open(Arc::new(store), Arc::clone(clock), Some(folder), settings())
}

#[tokio::test]
async fn a_restart_keeps_users_keys_sessions_and_the_signing_key() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START_US));
    let world = open(folder.path(), &clock);
    world
        .identity
        .ensure_admin(Some(PASSWORD.to_owned()))
        .await
        .unwrap();
    let user = world.create_user("alice", &["analyst"]).await;
    world.create_user("disabled", &[]).await;
    let mut change = change_of("disabled");
    change.enabled = Some(false);
    world.update_user(change).await.unwrap();
    let used = world.login("alice").await;
    let tokens = world.refresh(&used).await.unwrap();
    let caller = world.caller("alice").await;
    let mut keys = Vec::new();
    for name in ["kept", "revoked"] {
        let input = AuthCreateApiKeyInput {
            name: name.to_owned(),
            expires_in_days: Some(1),
        };
        keys.push(world.auth.create_api_key(&caller, input).await.unwrap());
    }
    let revoke = AuthRevokeApiKeyInput {
        id: keys[1].id.clone(),
    };
    world.auth.revoke_api_key(&caller, revoke).await.unwrap();
    drop(world);

    let world = open(folder.path(), &clock);
    assert_eq!(
        world.identity.ensure_admin(None).await.unwrap(),
        AdminSecret::Existing
    );
    let input = AdminGetUserInput { id: user.id.clone() };
    assert_eq!(world.admin.get_user(&nobody(), input).await.unwrap(), user);
    assert_eq!(world.bearer(&tokens.access_token).await.unwrap().user_id, user.id);
    assert_eq!(world.api_key(&keys[0].api_key).await.unwrap().user_id, user.id);
    assert_eq!(code(world.api_key(&keys[1].api_key).await), "UNAUTHENTICATED");
    assert_eq!(
        code(world.try_login("disabled", PASSWORD).await),
        "INVALID_CREDENTIALS"
    );
    let next = world.refresh(&tokens).await.unwrap();
    // That a token was used is known after a restart too.
    drop(world);
    let world = open(folder.path(), &clock);
    assert_eq!(code(world.refresh(&used).await), "INVALID_REFRESH_TOKEN");
    assert_eq!(code(world.refresh(&next).await), "INVALID_REFRESH_TOKEN");
    world.login("alice").await;
    clock.advance_us(86_400 * 1_000_000);
    assert_eq!(code(world.api_key(&keys[0].api_key).await), "TOKEN_EXPIRED");
}

#[tokio::test]
async fn more_users_than_one_read_are_loaded() {
    let clock = Arc::new(ManualClock::new(START_US));
    let store: Arc<dyn TableStore> = Arc::new(MemStore::new(Arc::clone(&clock) as _));
    let world = World::open(Arc::clone(&store), Arc::clone(&clock), None, settings());
    for at in 0..1_001 {
        world.create_user(&format!("user{at}"), &[]).await;
    }
    let world = World::open(store, clock, None, settings());
    for name in ["user0", "user999", "user1000"] {
        world.login(name).await;
    }
}

#[tokio::test]
async fn a_change_is_seen_only_once_it_is_durable() {
    let world = World::new().await;
    let identity = world.identity.clone();
    world.store.before_commit(move |_| {
        assert!(identity.user("alice").is_err(), "seen before its commit");
        Ok(())
    });
    world.create_user("alice", &[]).await;
    world.store.let_commits_pass();
    assert!(world.identity.user("alice").is_ok());
}

#[tokio::test]
async fn a_store_that_fails_changes_nothing() {
    let world = World::new().await;
    let alice = world.create_user("alice", &["analyst"]).await;
    let caller = world.caller("alice").await;
    let input = AuthCreateApiKeyInput {
        name: "key".to_owned(),
        expires_in_days: None,
    };
    let key = world.auth.create_api_key(&caller, input.clone()).await.unwrap();
    world
        .store
        .before_commit(|_| Err(StoreError::Io("no space left".to_owned())));
    let mut change = change_of("alice");
    change.roles = Some(vec!["admin".to_owned()]);
    let revoke = AuthRevokeApiKeyInput { id: key.id };
    let delete = rustydb_contract_admin::AdminDeleteUserInput { id: alice.id.clone() };
    for outcome in [
        code(world.try_create_user("bob", &[]).await),
        code(world.update_user(change).await),
        code(world.admin.delete_user(&nobody(), delete).await),
        code(world.auth.create_api_key(&caller, input).await),
        code(world.auth.revoke_api_key(&caller, revoke).await),
        code(
            world
                .identity
                .logout(caller.principal().session_id.as_deref().unwrap(), None)
                .await,
        ),
    ] {
        assert_eq!(outcome, "STORAGE_FAILURE");
    }
    world.store.let_commits_pass();
    assert_eq!(world.api_key(&key.api_key).await.unwrap().roles, ["analyst"]);
    let found = world
        .admin
        .get_user(&nobody(), AdminGetUserInput { id: alice.id.clone() })
        .await
        .unwrap();
    assert_eq!(found, alice);
    assert!(world.identity.user("bob").is_err());
    assert!(
        world
            .identity
            .0
            .state
            .read()
            .session(caller.principal().session_id.as_deref().unwrap())
            .is_some()
    );
}

#[tokio::test]
async fn a_record_that_somebody_else_changed_is_not_overwritten() {
    let world = World::new().await;
    let user = world.create_user("alice", &[]).await;
    let found = world
        .store
        .snapshot()
        .unwrap()
        .get(SpaceId::USERS, user.id.as_bytes())
        .unwrap()
        .unwrap();
    let write = Write {
        space: SpaceId::USERS,
        key: user.id.clone().into_bytes(),
        expected: Some(found.version),
        value: Some(found.value),
    };
    world
        .store
        .commit(WriteBatch {
            writes: vec![write],
            ..WriteBatch::default()
        })
        .unwrap();
    let mut change = change_of("alice");
    change.roles = Some(vec!["admin".to_owned()]);
    assert_eq!(code(world.update_user(change).await), "WRITE_CONFLICT");
    assert!(world.identity.user("alice").unwrap().record.roles.is_empty());
}

#[test]
fn a_damaged_record_stops_the_opening_and_is_named_without_its_content() {
    let clock = Arc::new(ManualClock::new(START_US));
    for (value, reason) in [
        (
            r#"{"format":2,"record":{}}"#,
            "it has format 2, this binary reads 1",
        ),
        (
            r#"{"format":1,"record":{"password_hash":"secret"}}"#,
            "its fields are not those of its format",
        ),
        (r#"{"format":1,"#, "it is damaged at byte 12"),
    ] {
        let store = MemStore::new(Arc::clone(&clock) as _);
        let write = Write {
            space: SpaceId::USERS,
            key: b"the-id".to_vec(),
            expected: None,
            value: Some(value.as_bytes().to_vec()),
        };
        store
            .commit(WriteBatch {
                writes: vec![write],
                ..WriteBatch::default()
            })
            .unwrap();
        let opened = IdentityService::open(
            Arc::new(store),
            Arc::clone(&clock) as _,
            Arc::new(SystemRng),
            None,
            settings(),
        );
        let error = opened.err().unwrap();
        assert!(matches!(error, IdentityError::Record { .. }));
        assert_eq!(error.to_string(), format!("user the-id in the store: {reason}"));
    }
}
