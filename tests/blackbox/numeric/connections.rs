//! Numbers about connections and subscriptions: each connection that is made and each message on it moves them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{call, number};
use crate::harness::contract::view;
use crate::harness::watch::{Stream, Transport, Watcher, hear, say, socket};
use crate::harness::world::World;

async fn raw(world: &World) -> (Stream, String) {
    let credential = world.credential("admin");
    let mut stream = socket(world.server.address(), "/api/v1/ws", None, &credential)
        .await
        .unwrap();
    let connected = hear(&mut stream).await.unwrap();
    let id = connected["data"]["connection_id"].as_str().unwrap().to_owned();
    (stream, id)
}

/// Sends a ping and hears its answer; the bytes of both texts.
async fn ping(stream: &mut Stream) -> (f64, f64) {
    let message = json!({"message_type": "ping", "data": {}});
    say(stream, &message).await;
    let pong = hear(stream).await.unwrap();
    (message.to_string().len() as f64, pong.to_string().len() as f64)
}

async fn shown(world: &World, id: &str) -> Value {
    let one = call(world, "websocket.get_connection", json!({"id": id})).await;
    let all = call(world, "websocket.list_connections", json!({"limit": 1000})).await;
    let listed = all["connections"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["connection_id"] == id);
    assert_eq!(listed, Some(&one), "the list says the same");
    one
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_connections_count_what_they_carry() {
    let world = World::new().await;
    let total = async || {
        number(
            &call(&world, "websocket.list_connections", json!({})).await,
            "/total",
        )
    };
    let before = total().await;
    let (mut stream, id) = raw(&world).await;
    assert_eq!(total().await, before + 1.0);
    let first = shown(&world, &id).await;
    let (mut sent, mut received) = (0.0, 0.0);
    for _ in 0..5 {
        let (asked, answered) = ping(&mut stream).await;
        received += asked;
        sent += answered;
    }
    let data = json!({"view": "protocol.heartbeat", "args": {"interval_ms": 3_600_000}});
    let message = json!({"message_type": "subscribe", "data": data});
    say(&mut stream, &message).await;
    received += message.to_string().len() as f64;
    for _ in 0..2 {
        // The acknowledgement and the first heartbeat.
        sent += hear(&mut stream).await.unwrap().to_string().len() as f64;
    }
    let then = shown(&world, &id).await;
    let moved = |field: &str| number(&then, field) - number(&first, field);
    assert_eq!(moved("/messages_received"), 6.0);
    assert_eq!(moved("/messages_sent"), 7.0);
    assert_eq!(moved("/bytes_received"), received);
    assert_eq!(moved("/bytes_sent"), sent);
    assert_eq!(moved("/subscriptions"), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_the_status_counts_connections_and_their_messages() {
    let world = World::new().await;
    let status = async || call(&world, "websocket.get_status", json!({})).await;
    let seconds = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs_f64()
            .floor()
    };
    let (earliest, first, latest) = (seconds(), status().await, seconds());
    let told = number(&first, "/timestamp");
    assert!((earliest..=latest).contains(&told), "{told}");
    let (mut one, _) = raw(&world).await;
    let (_other, id) = raw(&world).await;
    for _ in 0..3 {
        ping(&mut one).await;
    }
    let input =
        json!({"connection_id": id, "view": "protocol.heartbeat", "args": {"interval_ms": 3_600_000}});
    call(&world, "websocket.create_subscription", input).await;
    // The heartbeat is sent once it is subscribed; the list says when.
    let connection = json!({"id": id});
    while number(
        &call(&world, "websocket.get_connection", connection.clone()).await,
        "/messages_sent",
    ) < 3.0
    {
        tokio::task::yield_now().await;
    }
    let then = status().await;
    let moved = |field: &str| number(&then, field) - number(&first, field);
    assert_eq!(moved("/total_connections"), 2.0);
    assert_eq!(moved("/active_connections"), 2.0);
    assert_eq!(moved("/total_subscriptions"), 1.0);
    assert_eq!(moved("/messages_received"), 3.0);
    // Two connections that are told so, three answers, an acknowledgement and a heartbeat.
    assert_eq!(moved("/messages_sent"), 7.0);
    let uptime = number(&then, "/uptime_seconds");
    let alive = number(
        &call(&world, "health.check_liveness", json!({})).await,
        "/uptime_seconds",
    );
    assert!((uptime..=uptime + 2.0).contains(&alive), "{uptime} and {alive}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_subscriptions_count_their_events() {
    let world = World::new().await;
    let list = async || call(&world, "websocket.list_subscriptions", json!({})).await;
    let before = number(&list().await, "/total");
    let (mut stream, id) = raw(&world).await;
    let input = json!({"connection_id": id, "view": "protocol.heartbeat", "args": {"interval_ms": 100}});
    let made = call(&world, "websocket.create_subscription", input).await;
    assert!(number(&made, "/events_sent") <= 1.0, "{made}");
    let all = list().await;
    assert_eq!(number(&all, "/total"), before + 1.0);
    assert_eq!(
        hear(&mut stream).await.unwrap()["message_type"],
        "subscription_ack"
    );
    for heard in 1..=5 {
        assert_eq!(hear(&mut stream).await.unwrap()["data"]["sequence"], heard);
        let input = json!({"id": made["subscription_id"]});
        let counted = number(
            &call(&world, "websocket.get_subscription", input).await,
            "/events_sent",
        );
        assert!(counted >= f64::from(heard), "{counted}");
        let listed = number(&list().await, &format!("/subscriptions/{before}/events_sent"));
        assert!(listed >= counted, "{listed} and {counted}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_broadcasts_count_who_receives_them() {
    let world = World::new().await;
    let send = async |to: Value| {
        let mut input = json!({"topic": "test", "message": 1});
        input
            .as_object_mut()
            .unwrap()
            .extend(to.as_object().unwrap().clone());
        number(&call(&world, "websocket.broadcast", input).await, "/recipients")
    };
    let before = send(json!({})).await;
    let (mut stream, id) = raw(&world).await;
    let credential = world.credential("analyst");
    let (broadcasts, none) = (view("websocket.broadcasts"), json!({}));
    let watching = Watcher::open(Transport::Sse, world.base_url(), broadcasts, &none, &credential);
    let mut watching = watching.await.unwrap();
    assert_eq!(send(json!({})).await, before + 2.0);
    assert_eq!(send(json!({"usernames": ["role_analyst"]})).await, 1.0);
    assert_eq!(send(json!({"connection_ids": [id]})).await, 1.0);
    assert_eq!(send(json!({"usernames": ["nobody_of_that_name"]})).await, 0.0);
    for _ in 0..2 {
        assert_eq!(watching.event().await.name, "Broadcast");
        assert_eq!(hear(&mut stream).await.unwrap()["message_type"], "broadcast");
    }
}
