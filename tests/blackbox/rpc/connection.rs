//! How a socket is opened, who is on it, and how it ends.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::{ENDLESS, open, request};
use crate::harness::credential::Credential;
use crate::harness::error::WireError;
use crate::harness::rest::{problem, send};
use crate::harness::rpc::Socket;
use crate::harness::server::send_signal;
use crate::harness::wire::refusal;
use crate::harness::world::World;

const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "rustydb.json");

async fn refused(world: &World, credential: &Credential, headers: &[(&'static str, &str)]) -> WireError {
    match Socket::open_with(world.server.address(), credential, headers).await {
        Ok(_) => panic!("{headers:?} was let in"),
        Err(error) => refusal(error),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rpc_auth_sets_the_caller_of_later_calls() {
    let world = World::with_keys().await;
    let mut socket = open(&world, "nobody").await;
    let denied = socket.call("auth.validate", &json!({})).await.unwrap_err();
    assert_eq!(denied.code, "UNAUTHENTICATED");
    assert_eq!(
        socket.call("health.check_liveness", &json!({})).await.unwrap()["alive"],
        true
    );
    for (role, user) in [("analyst", "role_analyst"), ("admin", "admin")] {
        let Credential::ApiKey(key) = world.credential(role) else {
            panic!("keys were asked for")
        };
        let answer = socket.call("auth", &json!({"api_key": key})).await.unwrap();
        assert_eq!(answer, json!({"username": user, "roles": [role]}));
        assert_eq!(
            socket.call("auth.validate", &json!({})).await.unwrap()["username"],
            user
        );
    }
    // What is refused leaves the caller as it was.
    let wrong = socket
        .call("auth", &json!({"token": "garbage"}))
        .await
        .unwrap_err();
    assert_eq!((wrong.code.as_str(), wrong.status), ("UNAUTHENTICATED", 401));
    for params in [
        json!({}),
        json!({"token": "a", "api_key": "b"}),
        json!({"token": 7}),
        json!({"password": "x"}),
    ] {
        assert_eq!(
            socket.call("auth", &params).await.unwrap_err().code,
            "INVALID_ARGUMENT",
            "{params}"
        );
    }
    assert_eq!(
        socket.call("auth.validate", &json!({})).await.unwrap()["username"],
        "admin"
    );
}

/// A browser can't set headers, and offers its token among the subprotocols.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rpc_a_token_may_come_as_a_subprotocol() {
    let world = World::new().await;
    let Credential::Bearer(token) = world.credential("developer") else {
        panic!("tokens were asked for")
    };
    let offered = format!("rustydb.json, bearer.{token}");
    let headers = [("sec-websocket-protocol", offered.as_str())];
    let mut socket = Socket::open_with(world.server.address(), &Credential::Nobody, &headers)
        .await
        .unwrap();
    assert_eq!(
        socket.call("auth.validate", &json!({})).await.unwrap()["username"],
        "role_developer"
    );
    let headers = [("sec-websocket-protocol", "bearer.garbage, rustydb.json")];
    let error = refused(&world, &Credential::Nobody, &headers).await;
    assert_eq!((error.code.as_str(), error.status), ("UNAUTHENTICATED", 401));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rpc_what_may_not_connect_is_refused_before_the_upgrade() {
    let world = World::new().await;
    let nobody = Credential::Nobody;
    let other = [("sec-websocket-protocol", "graphql-transport-ws, other")];
    let error = refused(&world, &nobody, &other).await;
    assert_eq!((error.code.as_str(), error.status), ("INVALID_REQUEST", 400));
    assert!(error.message.contains("rustydb.json"), "{error:?}");
    let bad = Credential::Bearer("garbage".to_owned());
    let error = refused(&world, &bad, &[PROTOCOL]).await;
    assert_eq!((error.code.as_str(), error.status), ("UNAUTHENTICATED", 401));
    let bad = Credential::ApiKey("garbage".to_owned());
    assert_eq!(refused(&world, &bad, &[PROTOCOL]).await.code, "UNAUTHENTICATED");
    let own = format!("http://{}", world.server.address());
    let lookalike = format!("http://{}.example.org", world.server.address());
    for origin in ["https://example.org", "null", "", "http://localhost", &lookalike] {
        let error = refused(
            &world,
            &world.credential("admin"),
            &[PROTOCOL, ("origin", origin)],
        )
        .await;
        assert_eq!(
            (error.code.as_str(), error.status),
            ("PERMISSION_DENIED", 403),
            "{origin:?}"
        );
    }
    let headers = [PROTOCOL, ("origin", own.as_str())];
    let socket = Socket::open_with(world.server.address(), &nobody, &headers).await;
    assert!(socket.is_ok(), "a page of this server is let in");
    let answer = send(world.http.get(format!("{}/api/v1/ws", world.base_url()))).await;
    assert_eq!(
        problem(&answer).code,
        "INVALID_REQUEST",
        "a plain request is no upgrade"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rpc_frames_that_are_no_text_close_the_socket() {
    let world = World::new().await;
    let text =
        |bytes: &[u8], last| Message::Frame(Frame::message(bytes.to_vec(), OpCode::Data(Data::Text), last));
    for (message, code) in [
        (Message::Binary(vec![1, 2, 3].into()), 1003),
        (text(&[b'"', 0xff, 0xfe, b'"'], true), 1007),
        // A continuation of nothing.
        (
            Message::Frame(Frame::message(vec![b'1'], OpCode::Data(Data::Continue), true)),
            1002,
        ),
    ] {
        let mut socket = open(&world, "admin").await;
        socket.send(message).await;
        assert_eq!(socket.closed().await, Some(code));
    }
    let mut socket = open(&world, "admin").await;
    assert!(socket.call("auth.validate", &json!({})).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rpc_a_socket_without_credentials_is_closed_after_ten_seconds() {
    let world = World::with_keys().await;
    let begun = Instant::now();
    let mut silent = open(&world, "nobody").await;
    let mut signed = open(&world, "nobody").await;
    let Credential::ApiKey(key) = world.credential("analyst") else {
        panic!("keys were asked for")
    };
    signed.call("auth", &json!({"api_key": key})).await.unwrap();
    assert_eq!(silent.closed().await, Some(1008));
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(10), "{waited:?}");
    assert!(waited < Duration::from_secs(20), "{waited:?}");
    assert!(
        signed.call("auth.validate", &json!({})).await.is_ok(),
        "who signed in stays"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rpc_a_server_that_stops_finishes_calls_and_says_so() {
    let world = World::new().await;
    let mut idle = open(&world, "admin").await;
    let mut busy = open(&world, "admin").await;
    let mut slow = request(&json!("slow"), "sql.execute_query", &json!({"sql": ENDLESS}));
    slow["timeout_ms"] = json!(1500);
    busy.send_text(slow.to_string()).await;
    busy.send_text(request(&json!("next"), "health.check_liveness", &json!({})).to_string())
        .await;
    assert_eq!(busy.receive().await.unwrap()["id"], "next");
    send_signal(world.server.process_id(), "TERM");
    assert_eq!(idle.closed().await, Some(1001));
    let answer = busy.receive().await.expect("the call under way is answered");
    assert_eq!(answer["error"]["data"]["code"], "DEADLINE_EXCEEDED", "{answer}");
    assert_eq!(busy.closed().await, Some(1001));
}
