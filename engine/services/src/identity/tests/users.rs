//! Accounts: what changes, what is refused, and what ends with them.

use std::sync::Arc;

use rustydb_contract::Cursor;
use rustydb_contract_admin::{AdminDeleteUserInput, AdminGetUserInput, AdminListUsersInput, AdminService};
use rustydb_contract_auth::{AuthCreateApiKeyInput, AuthService};
use rustydb_store::error::StoreError;
use rustydb_store::seam::SpaceId;

use super::support::{PASSWORD, World, change_of, code, nobody};

async fn names(world: &World, limit: Option<u32>, after: Option<Cursor>) -> (Vec<String>, Option<Cursor>) {
    let list = world
        .admin
        .list_users(&nobody(), AdminListUsersInput { limit, after })
        .await
        .unwrap();
    (
        list.users.into_iter().map(|user| user.username).collect(),
        list.next,
    )
}

async fn delete(world: &World, id: &str) -> &'static str {
    code(
        world
            .admin
            .delete_user(&nobody(), AdminDeleteUserInput { id: id.to_owned() })
            .await,
    )
}

#[tokio::test]
async fn a_user_is_found_by_id_and_by_name() {
    let world = World::new().await;
    let made = world.create_user("alice", &["analyst"]).await;
    assert!(made.enabled);
    assert_eq!(made.created_at, made.updated_at);
    for id in [made.id.clone(), "alice".to_owned()] {
        let found = world
            .admin
            .get_user(&nobody(), AdminGetUserInput { id })
            .await
            .unwrap();
        assert_eq!(found, made);
    }
    let unknown = AdminGetUserInput {
        id: "nobody".to_owned(),
    };
    assert_eq!(
        code(world.admin.get_user(&nobody(), unknown).await),
        "USER_NOT_FOUND"
    );
}

#[tokio::test]
async fn roles_must_exist_and_are_held_once() {
    let world = World::new().await;
    assert_eq!(
        code(world.try_create_user("alice", &["wizard"]).await),
        "ROLE_NOT_FOUND"
    );
    let made = world
        .create_user("alice", &["analyst", "monitor", "analyst"])
        .await;
    assert_eq!(made.roles, ["analyst", "monitor"]);
    let mut change = change_of("alice");
    change.roles = Some(vec!["wizard".to_owned()]);
    assert_eq!(code(world.update_user(change).await), "ROLE_NOT_FOUND");
}

#[tokio::test]
async fn a_name_is_held_by_one_user() {
    let world = World::new().await;
    world.create_user("alice", &[]).await;
    assert_eq!(code(world.try_create_user("alice", &[]).await), "USER_EXISTS");
    world.create_user("bob", &[]).await;
    let mut rename = change_of("bob");
    rename.username = Some("alice".to_owned());
    assert_eq!(code(world.update_user(rename.clone()).await), "USER_EXISTS");
    // The own name is no conflict, and a name that was given up is free.
    rename.username = Some("bob".to_owned());
    world.update_user(rename.clone()).await.unwrap();
    rename.username = Some("robert".to_owned());
    world.update_user(rename).await.unwrap();
    world.create_user("bob", &[]).await;
    assert_eq!(
        names(&world, None, None).await.0,
        ["admin", "alice", "bob", "robert"]
    );
}

#[tokio::test]
async fn of_many_who_take_one_name_at_once_one_gets_it() {
    let world = Arc::new(World::new().await);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let world = Arc::clone(&world);
        calls.spawn(async move { code(world.try_create_user("alice", &[]).await) });
    }
    let mut outcomes = calls.join_all().await;
    outcomes.sort_unstable();
    assert_eq!(outcomes[0], "OK");
    assert!(
        outcomes[1..].iter().all(|outcome| *outcome == "USER_EXISTS"),
        "{outcomes:?}"
    );
    assert_eq!(world.entries(SpaceId::USERS), 2);
}

#[tokio::test]
async fn what_an_update_leaves_out_stays() {
    let world = World::new().await;
    let made = world.create_user("alice", &["analyst"]).await;
    world.advance_seconds(10);
    assert_eq!(world.update_user(change_of(&made.id)).await.unwrap(), made);
    let mut change = change_of("alice");
    change.roles = Some(vec![]);
    let changed = world.update_user(change).await.unwrap();
    assert_eq!(
        changed.updated_at.as_micros() - made.updated_at.as_micros(),
        10_000_000
    );
    assert_eq!(
        changed,
        rustydb_contract_admin::User {
            roles: vec![],
            updated_at: changed.updated_at,
            ..made
        }
    );
    assert_eq!(
        code(world.update_user(change_of("nobody")).await),
        "USER_NOT_FOUND"
    );
}

#[tokio::test]
async fn disabling_a_user_ends_its_sessions_and_suspends_its_keys() {
    let world = World::new().await;
    world.create_user("alice", &["analyst"]).await;
    let tokens = world.login("alice").await;
    let caller = world.caller("alice").await;
    let input = AuthCreateApiKeyInput {
        name: "key".to_owned(),
        expires_in_days: None,
    };
    let key = world
        .auth
        .create_api_key(&caller, input.clone())
        .await
        .unwrap()
        .api_key;
    assert_eq!(world.entries(SpaceId::SESSIONS), 2);

    let mut change = change_of("alice");
    change.enabled = Some(false);
    world.update_user(change.clone()).await.unwrap();
    assert_eq!(code(world.bearer(&tokens.access_token).await), "UNAUTHENTICATED");
    assert_eq!(code(world.refresh(&tokens).await), "INVALID_REFRESH_TOKEN");
    assert_eq!(code(world.api_key(&key).await), "UNAUTHENTICATED");
    assert_eq!(
        code(world.try_login("alice", PASSWORD).await),
        "INVALID_CREDENTIALS"
    );
    assert_eq!(
        code(world.auth.create_api_key(&caller, input).await),
        "UNAUTHENTICATED"
    );
    assert_eq!(world.entries(SpaceId::SESSIONS), 0);

    change.enabled = Some(true);
    world.update_user(change).await.unwrap();
    assert_eq!(code(world.bearer(&tokens.access_token).await), "UNAUTHENTICATED");
    assert_eq!(code(world.api_key(&key).await), "OK");
    world.login("alice").await;
}

#[tokio::test]
async fn sessions_are_over_even_when_their_records_could_not_be_removed() {
    let world = World::new().await;
    world.create_user("alice", &[]).await;
    let tokens = world.login("alice").await;
    world.store.before_commit(|batch| {
        if batch.writes.iter().any(|write| write.space == SpaceId::SESSIONS) {
            return Err(StoreError::Io("no space left".to_owned()));
        }
        Ok(())
    });
    let mut change = change_of("alice");
    change.enabled = Some(false);
    world.update_user(change.clone()).await.unwrap();
    change.enabled = Some(true);
    world.update_user(change).await.unwrap();
    world.store.let_commits_pass();
    assert_eq!(world.entries(SpaceId::SESSIONS), 1);
    assert_eq!(code(world.bearer(&tokens.access_token).await), "UNAUTHENTICATED");
    assert_eq!(code(world.refresh(&tokens).await), "INVALID_REFRESH_TOKEN");
}

#[tokio::test]
async fn a_new_password_replaces_the_old_one_and_ends_the_sessions() {
    let world = World::new().await;
    world.create_user("alice", &[]).await;
    let tokens = world.login("alice").await;
    let mut change = change_of("alice");
    change.password = Some("another long password".to_owned());
    world.update_user(change).await.unwrap();
    assert_eq!(code(world.bearer(&tokens.access_token).await), "UNAUTHENTICATED");
    assert_eq!(
        code(world.try_login("alice", PASSWORD).await),
        "INVALID_CREDENTIALS"
    );
    assert_eq!(
        code(world.try_login("alice", "another long password").await),
        "OK"
    );
}

#[tokio::test]
async fn hundreds_of_sessions_end_with_their_user() {
    let world = World::new().await;
    let user = world.create_user("alice", &[]).await;
    let held = world.identity.user(&user.id).unwrap();
    let opened = world
        .identity
        .changing(move |inner| (0..600).map(|_| inner.open_session(&held, None)).collect());
    let opened: Vec<_> = opened.await.unwrap();
    assert_eq!(world.entries(SpaceId::SESSIONS), 600);
    assert_eq!(delete(&world, "alice").await, "OK");
    assert_eq!(world.entries(SpaceId::SESSIONS), 0);
    for issued in opened {
        assert_eq!(code(world.bearer(&issued.access_token).await), "UNAUTHENTICATED");
    }
}

#[tokio::test]
async fn a_removed_user_leaves_nothing_behind() {
    let world = World::new().await;
    world.create_user("alice", &["analyst"]).await;
    let tokens = world.login("alice").await;
    let caller = world.caller("alice").await;
    let input = AuthCreateApiKeyInput {
        name: "key".to_owned(),
        expires_in_days: Some(1),
    };
    let key = world
        .auth
        .create_api_key(&caller, input.clone())
        .await
        .unwrap()
        .api_key;
    assert_eq!(delete(&world, "alice").await, "OK");
    assert_eq!(code(world.bearer(&tokens.access_token).await), "UNAUTHENTICATED");
    assert_eq!(code(world.refresh(&tokens).await), "INVALID_REFRESH_TOKEN");
    assert_eq!(code(world.api_key(&key).await), "UNAUTHENTICATED");
    assert_eq!(
        code(world.auth.create_api_key(&caller, input).await),
        "UNAUTHENTICATED"
    );
    for (space, left) in [
        (SpaceId::USERS, 1),
        (SpaceId::API_KEYS, 0),
        (SpaceId::SESSIONS, 0),
    ] {
        assert_eq!(world.entries(space), left, "{space:?}");
    }
    assert_eq!(delete(&world, "alice").await, "USER_NOT_FOUND");
    // The name is free, and whoever takes it is somebody else.
    world.create_user("alice", &[]).await;
    assert_eq!(code(world.bearer(&tokens.access_token).await), "UNAUTHENTICATED");
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let world = World::new().await;
    let mut disabled = change_of("admin");
    disabled.enabled = Some(false);
    let mut demoted = change_of("admin");
    demoted.roles = Some(vec!["developer".to_owned()]);
    let refused = async |world: &World| {
        for change in [&disabled, &demoted] {
            assert_eq!(
                code(world.update_user(change.clone()).await),
                "LAST_ADMINISTRATOR"
            );
        }
        assert_eq!(delete(world, "admin").await, "LAST_ADMINISTRATOR");
    };
    refused(&world).await;
    // One who is disabled does not count.
    world.create_user("second", &["admin"]).await;
    let mut change = change_of("second");
    change.enabled = Some(false);
    world.update_user(change.clone()).await.unwrap();
    refused(&world).await;
    change.enabled = Some(true);
    world.update_user(change).await.unwrap();
    world.update_user(demoted.clone()).await.unwrap();
    assert_eq!(delete(&world, "admin").await, "OK");
    assert_eq!(delete(&world, "second").await, "LAST_ADMINISTRATOR");
    // What is no loss of an administrator goes through.
    let mut rename = change_of("second");
    rename.username = Some("first".to_owned());
    rename.password = Some("another long password".to_owned());
    world.update_user(rename).await.unwrap();
}

#[tokio::test]
async fn two_administrators_who_remove_each_other_at_once_leave_one() {
    for _ in 0..20 {
        let world = World::new().await;
        world.create_user("second", &["admin"]).await;
        let outcomes = tokio::join!(delete(&world, "admin"), delete(&world, "second"));
        assert!(
            matches!(
                outcomes,
                ("OK", "LAST_ADMINISTRATOR") | ("LAST_ADMINISTRATOR", "OK")
            ),
            "{outcomes:?}"
        );
    }
}

#[tokio::test]
async fn users_are_listed_by_name_page_by_page() {
    let world = World::new().await;
    for name in ["zoe", "bob", "Bob", "_x", "al.ice"] {
        world.create_user(name, &[]).await;
    }
    let all = ["Bob", "_x", "admin", "al.ice", "bob", "zoe"];
    for limit in 1..8 {
        let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let (page, next) = names(&world, Some(limit), after).await;
            assert!(page.len() <= limit as usize);
            seen.extend(page);
            pages += 1;
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, all, "limit {limit}");
        assert_eq!(pages, all.len().div_ceil(limit as usize), "limit {limit}");
    }
    // The user of a cursor may go away.
    let (_, next) = names(&world, Some(3), None).await;
    world.create_user("spare", &["admin"]).await;
    assert_eq!(delete(&world, "admin").await, "OK");
    assert_eq!(
        names(&world, None, next).await.0,
        ["al.ice", "bob", "spare", "zoe"]
    );
}

#[tokio::test]
async fn a_cursor_that_is_none_of_the_list_is_refused_by_its_field() {
    let world = World::new().await;
    for text in ["", "x", "YWRtaW4", "!!!"] {
        let input = AdminListUsersInput {
            limit: None,
            after: Some(Cursor(text.to_owned())),
        };
        let refused = world.admin.list_users(&nobody(), input).await.unwrap_err();
        assert_eq!(refused.code(), "INVALID_ARGUMENT");
        assert_eq!(refused.details().unwrap()["field"], "after");
    }
}

#[tokio::test]
async fn roles_and_permissions_are_those_of_the_contract() {
    use rustydb_contract_admin::{AdminGetVersionInput, AdminListPermissionsInput, AdminListRolesInput};
    let world = World::new().await;
    let roles = world
        .admin
        .list_roles(&nobody(), AdminListRolesInput {})
        .await
        .unwrap()
        .roles;
    let told: Vec<_> = roles
        .iter()
        .map(|role| (role.id.as_str(), role.permissions.join(" ")))
        .collect();
    let all =
        "database:read database:write database:admin cluster:read cluster:write system:read system:admin";
    assert_eq!(
        told,
        [
            ("admin", all.to_owned()),
            ("developer", "database:read database:write".to_owned()),
            ("analyst", "database:read".to_owned()),
            ("monitor", "cluster:read system:read".to_owned()),
        ]
    );
    assert!(roles.iter().all(|role| role.builtin && !role.summary.is_empty()));
    let permissions = world
        .admin
        .list_permissions(&nobody(), AdminListPermissionsInput {})
        .await
        .unwrap();
    let ids: Vec<_> = permissions
        .permissions
        .iter()
        .map(|permission| permission.id.as_str())
        .collect();
    assert_eq!(ids.join(" "), all);
    let version = world
        .admin
        .get_version(&nobody(), AdminGetVersionInput {})
        .await
        .unwrap();
    assert_eq!((version.data_format, version.row_format), (3, 3));
    assert_eq!(version.protocols, ["graphql-transport-ws", "rustydb.json"]);
}
