//! Who the client says it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use rustydb_contract::Empty;
use serde_json::{Value, json};

use super::contract::TOUCH;
use super::server::{Reply, Seen, Server, ok, problem};
use crate::{Call, Client, Credentials, Error, ErrorCode};

async fn touch(client: &Client) -> Result<Empty, Error> {
    Call::new(client, &TOUCH, &json!({})).await
}

#[tokio::test]
async fn a_token_and_an_api_key_are_sent_as_they_are() {
    let server = Server::start(|_, _| ok(json!({}))).await;
    let client = server.client();
    touch(&client).await.unwrap();
    touch(&client.with_credentials(Credentials::Bearer("t1".into())))
        .await
        .unwrap();
    touch(&client.with_credentials(Credentials::ApiKey("k1".into())))
        .await
        .unwrap();
    let seen = server.seen();
    let sent = |at: usize| (seen[at].header("authorization"), seen[at].header("x-api-key"));
    assert_eq!(sent(0), (None, None));
    assert_eq!(sent(1), (Some("Bearer t1"), None));
    assert_eq!(sent(2), (None, Some("k1")));
}

/// A server whose access tokens are numbered; only the newest is good, and the first one expires at once.
fn token_server(refreshes: &Arc<AtomicUsize>, refresh_works: bool) -> impl Fn(&Seen, usize) -> Reply + use<> {
    let refreshes = Arc::clone(refreshes);
    move |seen, _| match seen.target.as_str() {
        "/api/v1/auth/login" => {
            let body: Value = serde_json::from_str(&seen.body).unwrap();
            assert_eq!(body, json!({"username": "alice", "password": "pw"}));
            let token = if refreshes.load(Ordering::SeqCst) == 0 {
                "old"
            } else {
                "new"
            };
            ok(json!({"access_token": token, "refresh_token": "r1", "expires_in": 1, "token_type": "Bearer"}))
        }
        "/api/v1/auth/refresh" => {
            refreshes.fetch_add(1, Ordering::SeqCst);
            assert_eq!(seen.body, r#"{"refresh_token":"r1"}"#);
            assert_eq!(seen.header("authorization"), None);
            if refresh_works {
                ok(json!({"access_token": "new", "refresh_token": "r2"}))
            } else {
                problem(401, "UNAUTHENTICATED")
            }
        }
        _ if seen.header("authorization") == Some("Bearer new") => ok(json!({})),
        _ => problem(401, "TOKEN_EXPIRED"),
    }
}

fn count(server: &Server, target: &str) -> usize {
    server.seen().iter().filter(|seen| seen.target == target).count()
}

#[tokio::test]
async fn a_password_logs_in_once_and_refreshes_once_for_many_callers() {
    let refreshes = Arc::new(AtomicUsize::new(0));
    let server = Server::start(token_server(&refreshes, true)).await;
    let client = server.builder().password("alice", "pw").build().unwrap();
    assert_eq!(server.seen().len(), 0, "nothing is sent before the first call");
    for outcome in join_all((0..20).map(|_| touch(&client))).await {
        outcome.unwrap();
    }
    assert_eq!(count(&server, "/api/v1/auth/login"), 1);
    assert_eq!(refreshes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_refresh_that_is_refused_leads_to_one_new_login() {
    let refreshes = Arc::new(AtomicUsize::new(0));
    let server = Server::start(token_server(&refreshes, false)).await;
    let client = server.builder().password("alice", "pw").build().unwrap();
    touch(&client).await.unwrap();
    touch(&client).await.unwrap();
    assert_eq!(count(&server, "/api/v1/auth/login"), 2);
    assert_eq!(refreshes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_expired_token_without_a_password_is_the_callers() {
    let refreshes = Arc::new(AtomicUsize::new(0));
    let server = Server::start(token_server(&refreshes, true)).await;
    let client = server.builder().bearer("old").build().unwrap();
    assert_eq!(
        touch(&client).await.unwrap_err().code(),
        Some(&ErrorCode::TokenExpired)
    );
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_wrong_password_is_told_and_tried_anew_by_the_next_call() {
    let server = Server::start(|_, _| problem(401, "UNAUTHENTICATED")).await;
    let client = server.builder().password("alice", "no").build().unwrap();
    for _ in 0..2 {
        assert_eq!(
            touch(&client).await.unwrap_err().code(),
            Some(&ErrorCode::Unauthenticated)
        );
    }
    assert_eq!(count(&server, "/api/v1/auth/login"), 2);
}

#[test]
fn credentials_do_not_show_their_secret() {
    for credentials in [
        Credentials::Bearer("s3cret".into()),
        Credentials::ApiKey("s3cret".into()),
        Credentials::Password {
            username: "u".into(),
            password: "s3cret".into(),
        },
    ] {
        assert!(!format!("{credentials:?}").contains("s3cret"));
        let client = Client::builder("http://127.0.0.1:1")
            .credentials(credentials)
            .build()
            .unwrap();
        assert!(!format!("{client:?}").contains("s3cret"));
    }
}
