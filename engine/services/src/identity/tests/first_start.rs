//! The first administrator.

use std::sync::Arc;

use rustydb_runtime::ManualClock;
use rustydb_store::seam::SpaceId;
use rustydb_store::testing::MemStore;

use super::support::{PASSWORD, START_US, World, change_of, code, settings};
use crate::identity::{AdminSecret, IdentityError};

fn empty() -> World {
    let clock = Arc::new(ManualClock::new(START_US));
    World::open(
        Arc::new(MemStore::new(Arc::clone(&clock) as _)),
        clock,
        None,
        settings(),
    )
}

#[tokio::test]
async fn the_first_start_makes_an_administrator_with_the_password_given() {
    let world = empty();
    assert_eq!(
        world
            .identity
            .ensure_admin(Some(PASSWORD.to_owned()))
            .await
            .unwrap(),
        AdminSecret::Given
    );
    assert_eq!(world.caller("admin").await.principal().roles, ["admin"]);
}

#[tokio::test]
async fn without_a_password_one_is_generated_that_works_and_is_not_another_time_s() {
    let mut seen = std::collections::HashSet::new();
    for _ in 0..3 {
        let world = empty();
        let outcome = world.identity.ensure_admin(None).await.unwrap();
        let AdminSecret::Generated(password) = &outcome else {
            panic!("{outcome:?}")
        };
        assert!(password.len() >= 24 && password.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(!format!("{outcome:?}").contains(password));
        assert_eq!(code(world.try_login("admin", password).await), "OK");
        assert!(seen.insert(password.clone()));
    }
}

#[tokio::test]
async fn a_later_start_changes_nothing() {
    let world = World::new().await;
    let other = Some("another long password".to_owned());
    assert_eq!(
        world.identity.ensure_admin(other.clone()).await.unwrap(),
        AdminSecret::Existing
    );
    world.login("admin").await;
    // Not even when nobody has the name any more.
    let mut rename = change_of("admin");
    rename.username = Some("root".to_owned());
    world.update_user(rename).await.unwrap();
    assert_eq!(
        world.identity.ensure_admin(other).await.unwrap(),
        AdminSecret::Existing
    );
    assert_eq!(world.entries(SpaceId::USERS), 1);
}

#[tokio::test]
async fn a_password_out_of_bounds_is_refused_with_the_bounds_and_without_the_password() {
    let world = empty();
    for password in ["", "hunter2hunt", &"x".repeat(1_025)] {
        let refused = world
            .identity
            .ensure_admin(Some(password.to_owned()))
            .await
            .unwrap_err();
        assert!(matches!(refused, IdentityError::AdminPassword { chars } if chars == password.len()));
        let text = refused.to_string();
        assert!(text.contains("12 to 1024"), "{text}");
        assert!(password.is_empty() || !format!("{text}{refused:?}").contains(password));
    }
    assert_eq!(world.entries(SpaceId::USERS), 0);
}
