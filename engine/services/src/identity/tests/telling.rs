//! Sessions are told of as they begin and end: each once, with its reason, and never what did not happen.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use rustydb_contract::CallContext;
use rustydb_contract::stream::{Body, Subscription};
use rustydb_contract_admin::{AdminDeleteUserInput, AdminService, User};
use rustydb_contract_auth::{AuthLoginInput, AuthLogoutInput, AuthService, TokenPair};
use rustydb_contract_session::{
    SessionEndReason, SessionEvent, SessionEventType, SessionService, SessionSessionEventsInput,
};
use rustydb_store::error::StoreError;
use rustydb_store::seam::SpaceId;

use super::support::{DAY, PASSWORD, World, called_by, change_of, code, nobody};
use crate::session::Sessions;

async fn watch(world: &World, user: Option<&str>) -> Subscription<SessionEvent> {
    let input = SessionSessionEventsInput {
        user_filter: user.map(str::to_owned),
        ..SessionSessionEventsInput::default()
    };
    let sessions = Sessions::new(world.identity.clone());
    sessions.session_events(&nobody(), input).await.unwrap()
}

async fn next(events: &mut Subscription<SessionEvent>) -> SessionEvent {
    match events.next().await.unwrap().unwrap().body {
        Body::Event(event) => event,
        other => panic!("{other:?}"),
    }
}

/// Signs a user in and takes the event of it.
async fn connected(
    world: &World,
    events: &mut Subscription<SessionEvent>,
    name: &str,
) -> (TokenPair, String) {
    let tokens = world.login(name).await;
    let event = next(events).await;
    assert_eq!(event.event_type, SessionEventType::Connected);
    let principal = world.bearer(&tokens.access_token).await.unwrap();
    assert_eq!(Some(&event.session_id), principal.session_id.as_ref());
    (tokens, event.session_id)
}

/// Nothing was told between the last event and the sign-in of somebody.
async fn nothing_more(world: &World, events: &mut Subscription<SessionEvent>) {
    let tokens = world.login("admin").await;
    let event = next(events).await;
    let principal = world.bearer(&tokens.access_token).await.unwrap();
    assert_eq!(
        (event.event_type, Some(event.session_id)),
        (SessionEventType::Connected, principal.session_id.clone())
    );
}

fn from(port: u16) -> (SocketAddr, CallContext) {
    let address = SocketAddr::from(([10, 0, 0, 7], port));
    let context = CallContext {
        peer: Some(address),
        ..nobody()
    };
    (address, context)
}

#[tokio::test]
async fn a_sign_in_and_a_logout_are_told_with_address_and_time() {
    let world = World::new().await;
    let user = world.create_user("alice", &[]).await;
    let mut events = watch(&world, None).await;
    let (address, context) = from(4_711);
    let input = AuthLoginInput {
        username: "alice".to_owned(),
        password: PASSWORD.to_owned(),
    };
    let tokens = world.auth.login(&context, input).await.unwrap();
    let begun = next(&mut events).await;
    let principal = world.bearer(&tokens.access_token).await.unwrap();
    assert_eq!(
        begun,
        SessionEvent {
            event_type: SessionEventType::Connected,
            session_id: principal.session_id.clone().unwrap(),
            user_id: user.id,
            username: "alice".to_owned(),
            client_address: Some(address.to_string()),
            connection_time: begun.connection_time,
            duration_seconds: None,
            reason: None,
        }
    );
    assert_eq!(begun.connection_time.as_micros(), super::support::START_US);
    world.clock.advance_us(61_999_999);
    let (address, context) = from(4_712);
    let context = CallContext {
        principal: Some(principal),
        ..context
    };
    world.auth.logout(&context, AuthLogoutInput {}).await.unwrap();
    assert_eq!(
        next(&mut events).await,
        SessionEvent {
            event_type: SessionEventType::Disconnected,
            client_address: Some(address.to_string()),
            duration_seconds: Some(61),
            reason: Some(SessionEndReason::Logout),
            ..begun
        }
    );
    // A second logout ends nothing.
    world.auth.logout(&context, AuthLogoutInput {}).await.unwrap();
    nothing_more(&world, &mut events).await;
}

/// What ends all sessions of alice, done by somebody else or by alice.
async fn change(world: &World, user: &User, reason: &SessionEndReason, by: &CallContext) {
    let mut change = change_of(&user.id);
    match reason {
        SessionEndReason::UserDisabled => change.enabled = Some(false),
        SessionEndReason::PasswordChanged => change.password = Some("another long password".to_owned()),
        _ => {
            let delete = AdminDeleteUserInput { id: user.id.clone() };
            world.admin.delete_user(by, delete).await.unwrap();
            return;
        }
    }
    world.admin.update_user(by, change).await.unwrap();
}

#[tokio::test]
async fn every_session_that_a_change_of_its_user_ends_is_told_once() {
    for reason in [
        SessionEndReason::UserDisabled,
        SessionEndReason::PasswordChanged,
        SessionEndReason::UserDeleted,
    ] {
        for (own, kind) in [
            (false, SessionEventType::Killed),
            (true, SessionEventType::Disconnected),
        ] {
            let world = World::new().await;
            let user = world.create_user("alice", &["admin"]).await;
            let mut events = watch(&world, None).await;
            let mut open = Vec::new();
            for _ in 0..3 {
                open.push(connected(&world, &mut events, "alice").await);
            }
            let (other, _) = connected(&world, &mut events, "admin").await;
            let tokens = if own { &open[0].0 } else { &other };
            let by = called_by(world.bearer(&tokens.access_token).await.unwrap());
            change(&world, &user, &reason, &by).await;
            let mut ended = Vec::new();
            for _ in 0..3 {
                let event = next(&mut events).await;
                assert_eq!((&event.event_type, &event.reason), (&kind, &Some(reason.clone())));
                assert_eq!(event.client_address, None);
                ended.push(event.session_id);
            }
            ended.sort();
            let mut ids: Vec<String> = open.into_iter().map(|(_, id)| id).collect();
            ids.sort();
            assert_eq!(ended, ids);
            nothing_more(&world, &mut events).await;
        }
    }
}

#[tokio::test]
async fn a_refresh_token_that_comes_twice_is_told_to_kill_its_session() {
    let world = World::new().await;
    let mut events = watch(&world, None).await;
    let (first, id) = connected(&world, &mut events, "admin").await;
    world.refresh(&first).await.unwrap();
    assert_eq!(code(world.refresh(&first).await), "INVALID_REFRESH_TOKEN");
    let ended = next(&mut events).await;
    assert_eq!(ended.event_type, SessionEventType::Killed);
    assert_eq!(ended.reason, Some(SessionEndReason::RefreshTokenReused));
    assert_eq!(ended.session_id, id);
    nothing_more(&world, &mut events).await;
}

#[tokio::test]
async fn a_session_that_runs_out_is_told_to_those_who_watch_without_any_call() {
    let world = World::new().await;
    let mut events = watch(&world, None).await;
    let mut others = watch(&world, None).await;
    let (first, id) = connected(&world, &mut events, "admin").await;
    next(&mut others).await;
    world.advance_seconds(DAY);
    world.refresh(&first).await.unwrap();
    world.advance_seconds(30 * DAY + 5);
    for events in [&mut events, &mut others] {
        let ended = next(events).await;
        assert_eq!(ended.event_type, SessionEventType::IdleTimeout);
        assert_eq!(ended.reason, Some(SessionEndReason::Expired));
        assert_eq!(ended.duration_seconds, Some(31 * DAY));
        assert_eq!(ended.session_id, id);
    }
    assert_eq!(world.entries(SpaceId::SESSIONS), 0);
    nothing_more(&world, &mut events).await;
}

#[tokio::test]
async fn what_did_not_become_durable_is_not_told() {
    let world = World::new().await;
    let user = world.create_user("alice", &[]).await;
    let mut events = watch(&world, None).await;
    let (tokens, _) = connected(&world, &mut events, "alice").await;
    let caller = called_by(world.bearer(&tokens.access_token).await.unwrap());
    world
        .store
        .before_commit(|_| Err(StoreError::Io("no space left".to_owned())));
    let mut disable = change_of(&user.id);
    disable.enabled = Some(false);
    assert_eq!(code(world.try_login("alice", PASSWORD).await), "STORAGE_FAILURE");
    assert_eq!(code(world.update_user(disable).await), "STORAGE_FAILURE");
    let logout = world.auth.logout(&caller, AuthLogoutInput {}).await;
    assert_eq!(code(logout), "STORAGE_FAILURE");
    assert_eq!(
        code(world.try_login("alice", "a guess at it").await),
        "INVALID_CREDENTIALS"
    );
    world.store.let_commits_pass();
    nothing_more(&world, &mut events).await;
}

/// The records of ended sessions stay in a store that fails then; they are over all the same, and told once.
#[tokio::test]
async fn sessions_whose_records_stay_are_told_when_they_end_and_not_when_they_are_swept() {
    let world = World::new().await;
    let user = world.create_user("alice", &[]).await;
    let mut events = watch(&world, None).await;
    connected(&world, &mut events, "alice").await;
    world.store.before_commit(|batch| {
        if batch.writes.iter().all(|write| write.value.is_none()) {
            return Err(StoreError::Io("no space left".to_owned()));
        }
        Ok(())
    });
    change(&world, &user, &SessionEndReason::UserDisabled, &nobody()).await;
    assert_eq!(next(&mut events).await.event_type, SessionEventType::Killed);
    world.store.let_commits_pass();
    assert_eq!(world.entries(SpaceId::SESSIONS), 1);
    world.advance_seconds(31 * DAY);
    nothing_more(&world, &mut events).await;
    assert_eq!(world.entries(SpaceId::SESSIONS), 1, "only the new one");
}

#[tokio::test]
async fn a_session_that_was_dead_from_the_start_is_not_told() {
    let world = World::new().await;
    let user = world.create_user("alice", &[]).await;
    let held = world.identity.user(&user.id).unwrap();
    change(&world, &user, &SessionEndReason::PasswordChanged, &nobody()).await;
    let mut events = watch(&world, None).await;
    let opened = world
        .identity
        .changing(move |inner| inner.open_session(&held, None));
    opened.await.unwrap();
    nothing_more(&world, &mut events).await;
}

#[tokio::test]
async fn a_filter_takes_the_sessions_of_a_user_by_id_or_name() {
    let world = World::new().await;
    let user = world.create_user("alice", &[]).await;
    let mut by_name = watch(&world, Some("alice")).await;
    let mut by_id = watch(&world, Some(&user.id)).await;
    let mut all = watch(&world, None).await;
    for name in ["admin", "alice", "admin", "alice"] {
        world.login(name).await;
        assert_eq!(next(&mut all).await.username, name);
    }
    for events in [&mut by_name, &mut by_id] {
        for _ in 0..2 {
            assert_eq!(next(events).await.username, "alice");
        }
    }
}

/// Logouts, sign-ins and a change of the user at the same time: each session that was told to begin is told to end, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_ends_that_race_each_session_is_told_one() {
    const SESSIONS: usize = 20;
    for _ in 0..20 {
        let world = Arc::new(World::new().await);
        let user = world.create_user("alice", &[]).await;
        let mut events = watch(&world, Some("alice")).await;
        let mut callers = Vec::new();
        for _ in 0..SESSIONS {
            callers.push(world.caller("alice").await);
        }
        let mut racing = tokio::task::JoinSet::new();
        for caller in callers {
            let there = Arc::clone(&world);
            racing.spawn(async move {
                there.auth.logout(&caller, AuthLogoutInput {}).await.unwrap();
            });
            let there = Arc::clone(&world);
            // Refused once alice is disabled.
            racing.spawn(async move { drop(there.try_login("alice", PASSWORD).await) });
        }
        let (there, disabled) = (Arc::clone(&world), user.clone());
        racing.spawn(
            async move { change(&there, &disabled, &SessionEndReason::UserDisabled, &nobody()).await },
        );
        while let Some(done) = racing.join_next().await {
            done.unwrap();
        }
        let mut enable = change_of(&user.id);
        enable.enabled = Some(true);
        world.update_user(enable).await.unwrap();
        let last = world.caller("alice").await.principal().session_id.clone();
        let (mut open, mut begun) = (BTreeSet::new(), 0);
        loop {
            let event = next(&mut events).await;
            if Some(&event.session_id) == last.as_ref() {
                break;
            }
            if event.event_type == SessionEventType::Connected {
                begun += 1;
                assert!(open.insert(event.session_id), "it began twice");
            } else {
                assert!(open.remove(&event.session_id), "{event:?} without a session");
            }
        }
        assert!(begun >= SESSIONS);
        assert_eq!(open, BTreeSet::new(), "they are over and were not told to be");
    }
}
