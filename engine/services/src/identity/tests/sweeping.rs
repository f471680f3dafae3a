//! Expired records go away, a bounded number with each login.

use rustydb_contract_auth::{AuthCreateApiKeyInput, AuthListApiKeysInput, AuthService};
use rustydb_store::error::StoreError;
use rustydb_store::seam::SpaceId;

use super::support::{DAY, PASSWORD, World, code};
use crate::identity::sweep::{SWEEP_KEYS_MAX, SWEEP_SESSIONS_MAX};

async fn open_sessions(world: &World, count: usize) {
    let admin = world.identity.user("admin").unwrap();
    let opened = world
        .identity
        .changing(move |inner| (0..count).map(|_| inner.open_session(&admin, None)).collect());
    let opened: Vec<_> = opened.await.unwrap();
    assert_eq!(opened.len(), count);
}

#[tokio::test]
async fn a_login_sweeps_expired_sessions_but_not_all_at_once() {
    let world = World::new().await;
    open_sessions(&world, 150).await;
    world.advance_seconds(30 * DAY - 1);
    world.login("admin").await;
    assert_eq!(world.entries(SpaceId::SESSIONS), 151);
    world.advance_seconds(1);
    let mut left = 151;
    for _ in 0..2 {
        world.login("admin").await;
        left = left + 1 - SWEEP_SESSIONS_MAX as u64;
        assert_eq!(world.entries(SpaceId::SESSIONS), left);
    }
    world.login("admin").await;
    world.login("admin").await;
    // The one of the last second, and the four logins since.
    assert_eq!(world.entries(SpaceId::SESSIONS), 5);
}

#[tokio::test]
async fn an_expired_key_is_shown_for_thirty_days_and_then_swept() {
    let world = World::new().await;
    let caller = world.caller("admin").await;
    for (count, days) in [(SWEEP_KEYS_MAX, Some(1)), (10, Some(2)), (3, Some(60)), (2, None)] {
        for _ in 0..count {
            let input = AuthCreateApiKeyInput {
                name: "key".to_owned(),
                expires_in_days: days,
            };
            world.auth.create_api_key(&caller, input).await.unwrap();
        }
    }
    let shown = async |world: &World| {
        let list = world
            .auth
            .list_api_keys(&caller, AuthListApiKeysInput::default())
            .await
            .unwrap()
            .api_keys;
        assert_eq!(world.entries(SpaceId::API_KEYS), list.len() as u64);
        (list.len(), list.iter().filter(|key| key.expired).count())
    };
    world.advance_seconds(30 * DAY);
    world.login("admin").await;
    assert_eq!(shown(&world).await, (SWEEP_KEYS_MAX + 15, SWEEP_KEYS_MAX + 10));
    world.advance_seconds(2 * DAY);
    world.login("admin").await;
    assert_eq!(shown(&world).await, (15, 10));
    world.login("admin").await;
    assert_eq!(shown(&world).await, (5, 0));
    world.login("admin").await;
    assert_eq!(shown(&world).await, (5, 0));
}

#[tokio::test]
async fn a_sweep_that_fails_does_not_fail_the_login() {
    let world = World::new().await;
    open_sessions(&world, 3).await;
    world.advance_seconds(31 * DAY);
    world.store.before_commit(|batch| {
        if batch.writes.iter().any(|write| write.value.is_none()) {
            return Err(StoreError::Io("no space left".to_owned()));
        }
        Ok(())
    });
    assert_eq!(code(world.try_login("admin", PASSWORD).await), "OK");
    world.store.let_commits_pass();
    assert_eq!(world.entries(SpaceId::SESSIONS), 4);
    world.login("admin").await;
    assert_eq!(world.entries(SpaceId::SESSIONS), 2);
}
