//! Which calls are sent again, how often and after how long.

use std::time::Duration;

use rustydb_contract::Empty;
use serde_json::json;

use super::contract::{CHANGE, FIND, TOUCH};
use super::server::{Reply, Server, TestPace, ok, plain, problem};
use crate::{Call, Error, ErrorCode, RetryPolicy};

/// Answers `failures` times `reply`, then success.
async fn failing(failures: usize, reply: Reply) -> Server {
    Server::start(move |_, number| {
        if number < failures {
            reply.clone()
        } else {
            ok(json!({}))
        }
    })
    .await
}

async fn touch(server: &Server, pace: &TestPace) -> Result<Empty, Error> {
    let client = server.builder().pace(pace.clone()).build().unwrap();
    Call::new(&client, &TOUCH, &json!({})).await
}

#[tokio::test]
async fn an_error_that_is_safe_to_retry_is_retried_for_any_operation() {
    let server = failing(2, problem(503, "UNAVAILABLE")).await;
    let pace = TestPace::new(0.5);
    touch(&server, &pace).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    assert!(
        seen.iter()
            .all(|s| s.header("x-request-id") == seen[0].header("x-request-id"))
    );
}

#[tokio::test]
async fn pauses_double_with_full_jitter_and_end() {
    let server = failing(99, problem(503, "UNAVAILABLE")).await;
    let pace = TestPace::new(0.5);
    let error = touch(&server, &pace).await.unwrap_err();
    assert_eq!(error.code(), Some(&ErrorCode::Unavailable));
    assert_eq!(pace.pauses_ms(), [50, 100, 200]);
    assert_eq!(server.seen().len(), 4);

    let policy = RetryPolicy {
        retries_max: 9,
        ..RetryPolicy::default()
    };
    let client = server.builder().pace(pace.clone()).retry(policy).build().unwrap();
    let _: Error = Call::<Empty>::new(&client, &TOUCH, &json!({})).await.unwrap_err();
    assert_eq!(pace.pauses_ms().last(), Some(&2500));
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let mut reply = problem(503, "UNAVAILABLE");
    reply.headers.push(("retry-after", "2".to_owned()));
    let server = failing(1, reply).await;
    let pace = TestPace::new(0.5);
    touch(&server, &pace).await.unwrap();
    assert_eq!(pace.pauses_ms(), [2000]);
}

#[tokio::test]
async fn a_pause_beyond_the_timeout_is_not_begun() {
    let mut reply = problem(503, "UNAVAILABLE");
    reply.headers.push(("retry-after", "60".to_owned()));
    let server = failing(1, reply).await;
    let pace = TestPace::new(0.5);
    let client = server
        .builder()
        .pace(pace.clone())
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap();
    let outcome: Result<Empty, Error> = Call::new(&client, &TOUCH, &json!({})).await;
    assert_eq!(outcome.unwrap_err().code(), Some(&ErrorCode::Unavailable));
    assert!(pace.pauses_ms().is_empty());
}

#[tokio::test]
async fn an_error_that_would_come_again_is_not_retried() {
    let server = failing(99, problem(400, "INVALID_ARGUMENT")).await;
    touch(&server, &TestPace::new(0.0)).await.unwrap_err();
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_gateway_error_is_retried_only_where_the_contract_allows() {
    for status in [502, 503, 504] {
        let server = failing(1, plain(status, "")).await;
        let client = server.builder().pace(TestPace::new(0.0)).build().unwrap();
        let found: Result<Empty, Error> = Call::new(&client, &FIND, &json!({"name": "t", "id": "1"})).await;
        found.unwrap();
        assert_eq!(server.seen().len(), 2);

        let server = failing(1, plain(status, "")).await;
        let client = server.builder().pace(TestPace::new(0.0)).build().unwrap();
        let changed: Result<Empty, Error> = Call::new(&client, &CHANGE, &json!({"id": "1"})).await;
        assert_eq!(changed.unwrap_err().answer().unwrap().status, status);
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_lost_connection_is_retried_only_where_the_contract_allows() {
    // A listener that hangs up on every connection.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        loop {
            drop(listener.accept().await.unwrap());
        }
    });
    let pace = TestPace::new(0.0);
    let client = crate::Client::builder(url)
        .http(reqwest::Client::builder().no_proxy().build().unwrap())
        .pace(pace.clone())
        .build()
        .unwrap();
    let changed: Result<Empty, Error> = Call::new(&client, &CHANGE, &json!({"id": "1"})).await;
    assert!(matches!(changed, Err(Error::Connection { .. })));
    assert_eq!(pace.pauses_ms().len(), 0);
    let found: Result<Empty, Error> = Call::new(&client, &FIND, &json!({"name": "t", "id": "1"})).await;
    assert!(matches!(found, Err(Error::Connection { .. })));
    assert_eq!(pace.pauses_ms().len(), 3);
    task.abort();
}

#[tokio::test]
async fn retries_can_be_turned_off_for_one_call() {
    let server = failing(1, problem(503, "UNAVAILABLE")).await;
    let client = server.client();
    let outcome: Result<Empty, Error> = Call::new(&client, &TOUCH, &json!({}))
        .with_retry(RetryPolicy::never())
        .await;
    outcome.unwrap_err();
    assert_eq!(server.seen().len(), 1);
}
