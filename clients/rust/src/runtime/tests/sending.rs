//! What a request carries.

use std::time::Duration;

use rustydb_contract::Empty;
use serde_json::{Value, json};

use super::contract::{CHANGE, EITHER_DELETE, EITHER_POST, FIND, TOUCH};
use super::server::{Server, ok, plain};
use crate::{Call, Client, Error};

#[tokio::test]
async fn a_query_carries_its_input_in_path_and_query_and_has_no_body() {
    let server = Server::start(|_, _| ok(json!({"found": 1, "unheard_of": true}))).await;
    let input = json!({"name": "a b", "id": "1", "columns": ["x", "y"]});
    let answer: Value = Call::new(&server.client(), &FIND, &input).await.unwrap();
    assert_eq!(answer["found"], 1);
    let seen = &server.seen()[0];
    assert_eq!(seen.method, "GET");
    assert_eq!(seen.target, "/api/v1/tables/a%20b/rows/1?columns=x&columns=y");
    assert_eq!(seen.body, "");
    assert_eq!(seen.header("content-type"), None);
}

#[tokio::test]
async fn a_command_carries_a_json_body_and_none_without_body_inputs() {
    let server = Server::start(|_, _| ok(json!({}))).await;
    let client = server.client();
    let _: Empty = Call::new(&client, &CHANGE, &json!({"id": "7", "note": null}))
        .await
        .unwrap();
    let _: Empty = Call::new(&client, &TOUCH, &json!({})).await.unwrap();
    let seen = server.seen();
    assert_eq!(
        (seen[0].target.as_str(), seen[0].body.as_str()),
        ("/api/v1/rows/7", r#"{"note":null}"#)
    );
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(
        (seen[1].body.as_str(), seen[1].header("content-type")),
        ("", None)
    );
}

#[tokio::test]
async fn an_input_for_query_or_body_goes_where_the_method_has_room() {
    let server = Server::start(|_, _| ok(json!({}))).await;
    let client = server.client();
    let input = json!({"database": "d"});
    let _: Empty = Call::new(&client, &EITHER_DELETE, &input).await.unwrap();
    let _: Empty = Call::new(&client, &EITHER_POST, &input).await.unwrap();
    let seen = server.seen();
    assert_eq!(
        (seen[0].target.as_str(), seen[0].body.as_str()),
        ("/api/v1/either?database=d", "")
    );
    assert_eq!(
        (seen[1].target.as_str(), seen[1].body.as_str()),
        ("/api/v1/either", r#"{"database":"d"}"#)
    );
}

#[tokio::test]
async fn an_empty_answer_is_an_empty_object() {
    let server = Server::start(|_, _| plain(204, "")).await;
    let _: Empty = Call::new(&server.client(), &TOUCH, &json!({})).await.unwrap();
}

#[tokio::test]
async fn every_call_has_a_request_id_of_its_own_or_the_given_one() {
    let server = Server::start(|_, _| ok(json!({}))).await;
    let client = server.client();
    for _ in 0..2 {
        let _: Empty = Call::new(&client, &TOUCH, &json!({})).await.unwrap();
    }
    let _: Empty = Call::new(&client, &TOUCH, &json!({}))
        .with_request_id("mine")
        .await
        .unwrap();
    let seen = server.seen();
    let id = |at: usize| seen[at].header("x-request-id").unwrap();
    assert_ne!(id(0), id(1));
    assert_eq!(id(2), "mine");
}

#[tokio::test]
async fn a_timeout_is_told_to_the_server_and_kept_by_the_client() {
    let server = Server::start(|_, number| {
        let mut reply = ok(json!({}));
        if number == 1 {
            reply.delay = Duration::from_secs(30);
        }
        reply
    })
    .await;
    let client = server.client();
    let _: Empty = Call::new(&client, &TOUCH, &json!({}))
        .with_timeout(Duration::from_secs(20))
        .await
        .unwrap();
    let told: u64 = server.seen()[0].header("x-timeout-ms").unwrap().parse().unwrap();
    assert!((1..=20_000).contains(&told), "{told}");

    let late: Result<Empty, Error> = Call::new(&client, &TOUCH, &json!({}))
        .with_timeout(Duration::from_millis(50))
        .with_request_id("r")
        .await;
    let error = late.unwrap_err();
    assert!(
        matches!(error, Error::Timeout { timeout, .. } if timeout == Duration::from_millis(50)),
        "{error:?}"
    );
    assert_eq!(error.request_id(), Some("r"));
}

#[tokio::test]
async fn without_a_timeout_the_server_is_told_none() {
    let server = Server::start(|_, _| ok(json!({}))).await;
    let _: Empty = Call::new(&server.client(), &TOUCH, &json!({})).await.unwrap();
    assert_eq!(server.seen()[0].header("x-timeout-ms"), None);
}

#[test]
fn an_address_that_is_none_is_refused() {
    for address in [
        "",
        "localhost:8080",
        "ftp://h",
        "http://h?x=1",
        "/api",
        "https://h",
    ] {
        assert!(
            matches!(Client::new(address), Err(Error::Configuration { .. })),
            "{address}"
        );
    }
}

#[tokio::test]
async fn a_generated_method_speaks_the_contracts_route_and_types() {
    let server = Server::start(|_, _| {
        ok(json!({
            "status": "degraded",
            "components": [{"name": "sql", "status": "of a newer version", "check_us": 3, "newer": 1}],
        }))
    })
    .await;
    let health = server.client().health().get_summary().await.unwrap();
    assert_eq!(health.status, crate::health::HealthStatus::Degraded);
    assert_eq!(health.components[0].status.as_str(), "of a newer version");
    assert_eq!(server.seen()[0].target, "/api/v1/health");
}

#[cfg(feature = "driver")]
#[tokio::test]
async fn the_driver_goes_through_the_typed_methods() {
    let server = Server::start(|seen, _| match seen.header("authorization") {
        Some("Bearer t") => ok(json!({"alive": true, "uptime_seconds": 7, "newer": 1})),
        _ => super::server::problem(401, "UNAUTHENTICATED"),
    })
    .await;
    let client = server.client();
    let answer = async |line: Value| crate::driver::answer(&client, &line.to_string()).await;
    let op = "health.check_liveness";
    let alive = answer(json!({"op": op, "credential": {"bearer": "t"}})).await;
    // A field that the type does not have is lost on the way, which shows the type.
    assert_eq!(alive, json!({"ok": {"alive": true, "uptime_seconds": 7}}));
    let refused = answer(json!({"op": op, "input": {}, "credential": null})).await;
    assert_eq!(refused["error"]["code"], "UNAUTHENTICATED");
    assert_eq!(refused["error"]["class"], "Unauthenticated");
    assert_eq!(refused["error"]["status"], 401);
    for (line, class) in [
        (json!({"op": "health.unheard_of"}), "UNKNOWN_OPERATION"),
        (json!({"op": op, "iterate": true}), "NOT_PAGED"),
        (json!({"op": op, "input": 1}), "INPUT_TYPE"),
        (json!({"input": {}}), "BAD_LINE"),
    ] {
        assert_eq!(answer(line).await["error"]["class"], class);
    }
}
