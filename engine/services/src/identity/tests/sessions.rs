//! Refresh tokens: good once, for thirty days, and watched.

use std::sync::{Arc, Barrier};

use rustydb_contract_auth::{AuthRefreshInput, AuthService, TokenPair};
use rustydb_store::error::StoreError;
use rustydb_store::seam::SpaceId;

use super::support::{DAY, World, change_of, code, nobody};

#[tokio::test]
async fn a_refresh_replaces_both_tokens() {
    let world = World::new().await;
    let first = world.login("admin").await;
    world.advance_seconds(3_600);
    assert_eq!(code(world.bearer(&first.access_token).await), "TOKEN_EXPIRED");
    let second = world.refresh(&first).await.unwrap();
    // The first 16 bytes are the family, in 21 letters and a bit; of the other 42 letters chance keeps one or none.
    let letters = first.refresh_token.bytes().zip(second.refresh_token.bytes());
    let same: Vec<_> = letters.map(|(before, after)| before == after).collect();
    assert!(same[..21].iter().all(|same| *same));
    assert!(same[22..].iter().filter(|same| **same).count() < 12);
    assert_eq!(second.expires_in, 3_600);
    assert_eq!(code(world.bearer(&second.access_token).await), "OK");
    assert_eq!(world.entries(SpaceId::SESSIONS), 1);
}

#[tokio::test]
async fn a_token_used_a_second_time_ends_its_session() {
    let world = World::new().await;
    let other = world.login("admin").await;
    let first = world.login("admin").await;
    let second = world.refresh(&first).await.unwrap();
    let third = world.refresh(&second).await.unwrap();
    // The oldest, not just the one before.
    assert_eq!(code(world.refresh(&first).await), "INVALID_REFRESH_TOKEN");
    assert_eq!(code(world.refresh(&third).await), "INVALID_REFRESH_TOKEN");
    assert_eq!(code(world.bearer(&third.access_token).await), "UNAUTHENTICATED");
    assert_eq!(code(world.refresh(&other).await), "OK");
    assert_eq!(world.entries(SpaceId::SESSIONS), 1);
}

#[tokio::test]
async fn a_session_lives_thirty_days_from_its_last_refresh() {
    let world = World::new().await;
    let mut tokens = world.login("admin").await;
    for _ in 0..3 {
        world.clock.advance_us(30 * DAY * 1_000_000 - 1);
        tokens = world.refresh(&tokens).await.unwrap();
    }
    world.advance_seconds(30 * DAY);
    assert_eq!(code(world.refresh(&tokens).await), "INVALID_REFRESH_TOKEN");
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused_and_ends_nothing() {
    let world = World::new().await;
    let tokens = world.login("admin").await;
    let good = &tokens.refresh_token;
    // Its first letters are the family: another letter there is another family, which nobody has.
    let stranger = format!("{}{}", if good.starts_with('A') { 'B' } else { 'A' }, &good[1..]);
    let cut = good[..good.len() - 1].to_owned();
    for text in [
        stranger,
        cut,
        format!("{good}A"),
        "x".to_owned(),
        "A".repeat(1 << 20),
        format!("{good}="),
    ] {
        let input = AuthRefreshInput { refresh_token: text };
        assert_eq!(
            code(world.auth.refresh(&nobody(), input).await),
            "INVALID_REFRESH_TOKEN"
        );
    }
    assert_eq!(code(world.refresh(&tokens).await), "OK");
}

#[tokio::test]
async fn an_access_token_is_no_refresh_token() {
    let world = World::new().await;
    let tokens = world.login("admin").await;
    let input = AuthRefreshInput {
        refresh_token: tokens.access_token,
    };
    assert_eq!(
        code(world.auth.refresh(&nobody(), input).await),
        "INVALID_REFRESH_TOKEN"
    );
    assert_eq!(code(world.bearer(&tokens.refresh_token).await), "UNAUTHENTICATED");
}

/// Makes the next two commits of sessions wait for each other, so that both have read the same version.
fn let_two_meet(world: &World) {
    let meeting = Barrier::new(2);
    world.store.before_commit(move |batch| {
        if batch.writes.iter().any(|write| write.space == SpaceId::SESSIONS) {
            meeting.wait();
        }
        Ok(())
    });
}

#[tokio::test]
async fn of_two_refreshes_that_race_one_wins_and_its_tokens_work() {
    let world = World::new().await;
    let tokens = world.login("admin").await;
    let_two_meet(&world);
    let (left, right) = tokio::join!(world.refresh(&tokens), world.refresh(&tokens));
    world.store.let_commits_pass();
    let (won, lost) = match (left, right) {
        (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
        (left, right) => panic!("one wins: {left:?}, {right:?}"),
    };
    assert_eq!(lost.code(), "WRITE_CONFLICT");
    assert_eq!(code(world.bearer(&won.access_token).await), "OK");
    let next: TokenPair = world.refresh(&won).await.unwrap();
    // Once more with the token of the race: now it is used a second time.
    assert_eq!(code(world.refresh(&tokens).await), "INVALID_REFRESH_TOKEN");
    assert_eq!(code(world.refresh(&next).await), "INVALID_REFRESH_TOKEN");
}

#[tokio::test]
async fn a_logout_that_races_with_a_refresh_ends_the_session_for_good() {
    let world = World::new().await;
    let tokens = world.login("admin").await;
    let id = world
        .bearer(&tokens.access_token)
        .await
        .unwrap()
        .session_id
        .clone()
        .unwrap();
    // The refresh is held just before its commit until the session is gone.
    let (reached, wait_until_reached) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = parking_lot::Mutex::new(released);
    world.store.before_commit(move |batch| {
        if batch.writes.iter().any(|write| write.value.is_some()) {
            reached.send(()).unwrap();
            released.lock().recv().unwrap();
        }
        Ok(())
    });
    let identity = world.identity.clone();
    let logout = async {
        tokio::task::spawn_blocking(move || wait_until_reached.recv().unwrap())
            .await
            .unwrap();
        identity.logout(&id, None).await.unwrap();
        release.send(()).unwrap();
    };
    let (refreshed, ()) = tokio::join!(world.refresh(&tokens), logout);
    world.store.let_commits_pass();
    assert_eq!(code(refreshed), "WRITE_CONFLICT");
    assert_eq!(code(world.bearer(&tokens.access_token).await), "UNAUTHENTICATED");
    assert_eq!(world.entries(SpaceId::SESSIONS), 0);
}

#[tokio::test]
async fn a_refresh_that_commits_first_does_not_keep_a_session_alive_that_is_logged_out() {
    let world = World::new().await;
    let tokens = world.login("admin").await;
    let id = world
        .bearer(&tokens.access_token)
        .await
        .unwrap()
        .session_id
        .clone()
        .unwrap();
    // The logout has read the session's version, then a refresh commits another one, then the logout commits.
    let identity = world.identity.clone();
    let refresh_token = parking_lot::Mutex::new(Some(tokens.refresh_token.clone()));
    let handle = tokio::runtime::Handle::current();
    let renewed = Arc::new(parking_lot::Mutex::new(None));
    let renewed_there = Arc::clone(&renewed);
    world.store.before_commit(move |batch| {
        if batch.writes.iter().all(|write| write.value.is_none())
            && let Some(token) = refresh_token.lock().take()
        {
            let issued = handle.block_on(identity.refresh(token)).unwrap();
            *renewed_there.lock() = Some(issued.access_token);
        }
        Ok(())
    });
    world.identity.logout(&id, None).await.unwrap();
    world.store.let_commits_pass();
    let renewed = renewed.lock().take().expect("the refresh came in between");
    assert_eq!(code(world.bearer(&renewed).await), "UNAUTHENTICATED");
    assert_eq!(world.entries(SpaceId::SESSIONS), 0);
}

#[tokio::test]
async fn a_session_opened_with_a_password_that_is_changed_meanwhile_is_dead_from_the_start() {
    let world = World::new().await;
    let user = world.create_user("alice", &[]).await;
    let held = world.identity.user(&user.id).unwrap();
    let mut change = change_of(&user.id);
    change.password = Some("another long password".to_owned());
    world.update_user(change).await.unwrap();
    // What a login does that checked the old password just before the change.
    let issued = world
        .identity
        .changing(move |inner| inner.open_session(&held, None))
        .await
        .unwrap();
    assert_eq!(code(world.bearer(&issued.access_token).await), "UNAUTHENTICATED");
    let input = AuthRefreshInput {
        refresh_token: issued.refresh_token,
    };
    assert_eq!(
        code(world.auth.refresh(&nobody(), input).await),
        "INVALID_REFRESH_TOKEN"
    );
}

#[tokio::test]
async fn a_store_that_fails_opens_no_session_and_says_so() {
    let world = World::new().await;
    world.store.before_commit(|_| {
        Err(StoreError::Poisoned {
            reason: "the disk is gone".to_owned(),
        })
    });
    assert_eq!(
        code(world.try_login("admin", super::support::PASSWORD).await),
        "STORAGE_FAILURE"
    );
    world.store.let_commits_pass();
    assert_eq!(world.entries(SpaceId::SESSIONS), 0);
    assert!(
        world
            .identity
            .0
            .state
            .read()
            .sessions_ended(i64::MAX, 10)
            .is_empty()
    );
}
