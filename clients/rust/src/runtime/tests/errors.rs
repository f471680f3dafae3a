//! Answers that are no success.

use std::time::Duration;

use rustydb_contract::Empty;
use serde_json::json;

use super::contract::{CHANGE, TOUCH};
use super::server::{Reply, Server, ok, plain, problem};
use crate::core::InvalidArgumentDetails;
use crate::{ApiError, Call, Error, ErrorCode, RetryPolicy};

async fn error_of(reply: Reply) -> ApiError {
    let server = Server::start(move |_, _| reply.clone()).await;
    let outcome: Result<Empty, Error> = Call::new(&server.client(), &TOUCH, &json!({}))
        .with_retry(RetryPolicy::never())
        .with_request_id("mine")
        .await;
    outcome.unwrap_err().answer().unwrap().clone()
}

#[tokio::test]
async fn an_error_of_the_contract_is_typed_with_all_it_carries() {
    let mut reply = plain(
        400,
        &json!({
            "type": "about:blank", "title": "t", "status": 400, "detail": "d", "request_id": "srv-9",
            "error": {
                "code": "INVALID_ARGUMENT", "message": "rows.3 is 5; give at most 4", "retry_after": 1.5,
                "details": {"field": "rows.3"},
            },
        })
        .to_string(),
    );
    reply
        .headers
        .push(("content-type", "application/problem+json".to_owned()));
    let error = error_of(reply).await;
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert_eq!(error.code.as_str(), "INVALID_ARGUMENT");
    assert_eq!(error.status, 400);
    assert_eq!(error.message, "rows.3 is 5; give at most 4");
    assert_eq!(error.request_id, "srv-9");
    assert_eq!(error.retry_after, Some(Duration::from_millis(1500)));
    assert_eq!(
        error.details_as::<InvalidArgumentDetails>().unwrap().field,
        "rows.3"
    );
    assert_eq!(error.operation, "t.touch");
    assert!(error.to_string().contains("srv-9"));
}

#[tokio::test]
async fn an_unknown_code_keeps_everything() {
    let error = error_of(problem(418, "TEAPOT_EMPTY")).await;
    assert_eq!(error.code, ErrorCode::Unknown("TEAPOT_EMPTY".to_owned()));
    assert_eq!((error.status, error.message.as_str()), (418, "no luck"));
}

#[tokio::test]
async fn a_body_that_is_no_problem_becomes_an_error_too() {
    let mut reply = plain(502, "<html>Bad Gateway</html>");
    reply.headers.push(("retry-after", "7".to_owned()));
    let error = error_of(reply).await;
    assert_eq!(error.code, ErrorCode::Unknown("HTTP_502".to_owned()));
    assert_eq!(error.message, "<html>Bad Gateway</html>");
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(error.request_id, "mine");
}

#[tokio::test]
async fn an_answer_of_another_form_is_a_decoding_error() {
    let server = Server::start(|_, _| ok(json!({"value": "text"}))).await;
    let outcome: Result<u64, Error> = Call::new(&server.client(), &TOUCH, &json!({})).await;
    assert!(matches!(
        outcome,
        Err(Error::Decode {
            operation: "t.touch",
            ..
        })
    ));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_connection_error() {
    let server = Server::start(|_, _| ok(json!({}))).await;
    let client = server.client();
    let url = server.url.clone();
    drop(server);
    // The port is free once the listener is gone; binding it again proves it.
    let address = url.trim_start_matches("http://").to_owned();
    while tokio::net::TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let outcome: Result<Empty, Error> = Call::new(&client, &CHANGE, &json!({"id": "1"})).await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Connection { .. }), "{error:?}");
    assert!(error.request_id().is_some());
}
