//! The raw envelope: each message that a caller may send, the answers, and what is refused without harm to the socket.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use futures::SinkExt;

use crate::harness::contract::model;
use crate::harness::credential::Credential;
use crate::harness::server::ADMIN_PASSWORD;
use crate::harness::watch::{Stream, hear, say, socket};
use crate::harness::world::World;

const ENTRY: &str = "/api/v1/ws";

/// A path of one view.
const METRICS: &str = "/api/v1/ws/metrics";

/// Far longer than any answer takes.
const WITHIN: Duration = Duration::from_secs(60);

/// Subscriptions that a connection may have.
const SUBSCRIPTIONS_MAX: usize = 100;

async fn open(world: &World, path: &str, credential: &Credential) -> Stream {
    socket(world.server.address(), path, None, credential)
        .await
        .unwrap()
}

/// On the common entry, past what it says first.
async fn entered(world: &World, credential: &Credential) -> Stream {
    let mut stream = open(world, ENTRY, credential).await;
    assert_eq!(heard(&mut stream).await["message_type"], "connected");
    stream
}

async fn admin(world: &World) -> Stream {
    entered(world, &world.credential("admin")).await
}

/// What comes next, of the form that everything has.
async fn heard(stream: &mut Stream) -> Value {
    let message = tokio::time::timeout(WITHIN, hear(stream)).await;
    let message = message
        .expect("something is said")
        .expect("the socket stays open");
    let members: BTreeSet<&str> = message.as_object().unwrap().keys().map(String::as_str).collect();
    let known = BTreeSet::from(["message_type", "data", "timestamp", "cursor", "subscription_id"]);
    assert!(members.is_subset(&known), "{message}");
    assert!(message["message_type"].is_string(), "{message}");
    assert!(message["data"].is_object(), "{message}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let age = now.as_secs().checked_sub(message["timestamp"].as_u64().unwrap());
    assert!(age.is_some_and(|age| age < 600), "{message}");
    message
}

/// The data of the next message, which is of that type.
async fn told(stream: &mut Stream, message_type: &str) -> Value {
    let message = heard(stream).await;
    assert_eq!(message["message_type"], message_type, "{message}");
    message["data"].clone()
}

async fn send(stream: &mut Stream, message_type: &str, data: Value) {
    say(stream, &json!({"message_type": message_type, "data": data})).await;
}

/// The next message refuses something with this code.
async fn refused(stream: &mut Stream, code: &str, what: &str) -> Value {
    let message = heard(stream).await;
    assert_eq!(
        (&message["message_type"], &message["data"]["code"]),
        (&json!("protocol_error"), &json!(code)),
        "{what}: {message}"
    );
    assert!(!message["data"]["message"].as_str().unwrap().is_empty());
    assert_eq!(message["data"]["details"]["code"], code, "{message}");
    message["data"].clone()
}

/// The socket still does what it is asked.
async fn is_well(stream: &mut Stream) {
    send(stream, "ping", json!({"sequence": 4711})).await;
    assert_eq!(told(stream, "pong").await, json!({"sequence": 4711}));
}

async fn table(world: &World) {
    let input = json!({"name": "t", "columns": [{"name": "id", "type": "bigint"}], "primary_key": ["id"]});
    world.must("database.create_table", &input, "admin").await;
}

async fn insert(world: &World, id: usize) {
    let input = json!({"name": "t", "rows": [{"id": id}]});
    world.must("database.insert_rows", &input, "admin").await;
}

/// Subscribes; answers the id.
async fn subscribe(stream: &mut Stream, data: Value) -> String {
    send(stream, "subscribe", data).await;
    let told = told(stream, "subscription_ack").await;
    assert_eq!(told["status"], "subscribed", "{told}");
    told["subscription_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_the_entry_says_what_there_is() {
    let world = World::new().await;
    let mut stream = open(&world, ENTRY, &world.credential("monitor")).await;
    let told = told(&mut stream, "connected").await;
    let names = |list: &Value| -> BTreeSet<String> {
        let names = list.as_array().unwrap().iter();
        names.map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let views: BTreeSet<String> = model().views().map(|view| view.open.id.clone()).collect();
    assert_eq!(names(&told["available_events"]), views);
    let id = told["connection_id"].as_str().unwrap();
    let input = json!({"id": id});
    let shown = world.must("websocket.get_connection", &input, "admin").await;
    assert_eq!(shown["connection_id"], id);
    let version = world.must("websocket.get_status", &json!({}), "admin").await["version"].clone();
    assert_eq!(told["version"], version);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_ping_is_answered_with_its_sequence() {
    let world = World::new().await;
    let mut entry = admin(&world).await;
    let mut nobody = entered(&world, &Credential::Nobody).await;
    let mut path = open(&world, "/api/v1/ws/query", &world.credential("admin")).await;
    for stream in [&mut entry, &mut nobody, &mut path] {
        for (data, answer) in [
            (json!({}), json!({})),
            (json!({"sequence": 0}), json!({"sequence": 0})),
            (
                json!({"sequence": 9_007_199_254_740_993_u64}),
                json!({"sequence": 9_007_199_254_740_993_u64}),
            ),
            (json!({"sequence": "7"}), json!({})),
            (json!({"sequence": -1, "other": 1}), json!({})),
        ] {
            send(stream, "ping", data).await;
            assert_eq!(told(stream, "pong").await, answer);
        }
        say(stream, &json!({"message_type": "ping"})).await;
        assert_eq!(told(stream, "pong").await, json!({}), "data may be left out");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_auth_says_who_it_is_and_later_messages_are_theirs() {
    let world = World::with_keys().await;
    let mut stream = entered(&world, &Credential::Nobody).await;
    let heartbeat = json!({"event": "heartbeat", "args": {"interval_ms": 3_600_000}});
    send(&mut stream, "subscribe", heartbeat.clone()).await;
    refused(&mut stream, "UNAUTHENTICATED", "nobody").await;

    let Credential::ApiKey(key) = world.credential("analyst") else {
        panic!("keys were asked for")
    };
    for (data, code) in [
        (json!({}), "INVALID_ARGUMENT"),
        (json!({"token": 7}), "INVALID_ARGUMENT"),
        (json!({"token": "a", "api_key": key}), "INVALID_ARGUMENT"),
        (json!({"token": key}), "UNAUTHENTICATED"),
        (json!({"token": "garbage"}), "UNAUTHENTICATED"),
        (json!({"api_key": "rustydb_garbage"}), "UNAUTHENTICATED"),
    ] {
        send(&mut stream, "auth", data.clone()).await;
        let told = told(&mut stream, "auth_error").await;
        assert_eq!(told["code"], code, "{data}: {told}");
        assert!(!told["message"].as_str().unwrap().is_empty());
    }
    send(&mut stream, "subscribe", heartbeat.clone()).await;
    refused(&mut stream, "UNAUTHENTICATED", "still nobody").await;

    send(&mut stream, "auth", json!({"api_key": key})).await;
    let analyst = told(&mut stream, "auth_success").await;
    assert_eq!(
        (&analyst["username"], &analyst["roles"]),
        (&json!("role_analyst"), &json!(["analyst"]))
    );
    assert!(analyst["user_id"].is_string());
    assert!(
        analyst.get("session_id").is_none(),
        "a key has no session: {analyst}"
    );
    subscribe(&mut stream, heartbeat.clone()).await;
    assert_eq!(told(&mut stream, "heartbeat").await["sequence"], 1);
    send(&mut stream, "subscribe", json!({"event": "system_metrics"})).await;
    refused(&mut stream, "PERMISSION_DENIED", "an analyst").await;

    // Another one on the same socket, now with a token.
    let input = json!({"username": "admin", "password": ADMIN_PASSWORD});
    let tokens = world
        .call("auth.login", &input, &Credential::Nobody)
        .await
        .unwrap();
    send(&mut stream, "auth", json!({"token": tokens["access_token"]})).await;
    let admin = told(&mut stream, "auth_success").await;
    assert_eq!(
        (&admin["username"], &admin["roles"]),
        (&json!("admin"), &json!(["admin"]))
    );
    assert_ne!(admin["user_id"], analyst["user_id"]);
    assert!(admin["session_id"].is_string(), "{admin}");
    subscribe(&mut stream, json!({"event": "system_metrics"})).await;
    assert!(told(&mut stream, "system_metrics").await["cpu_usage"].is_number());
}

/// The path of a view opens it once the caller is known, and not before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_a_path_waits_for_its_caller_and_then_opens() {
    let world = World::with_keys().await;
    let mut stream = open(&world, METRICS, &Credential::Nobody).await;
    // Nothing is said before this is answered.
    is_well(&mut stream).await;
    send(&mut stream, "auth", json!({"api_key": "rustydb_garbage"})).await;
    assert_eq!(told(&mut stream, "auth_error").await["code"], "UNAUTHENTICATED");
    let Credential::ApiKey(key) = world.credential("monitor") else {
        panic!("keys were asked for")
    };
    send(&mut stream, "auth", json!({"api_key": key})).await;
    assert_eq!(
        told(&mut stream, "auth_success").await["username"],
        "role_monitor"
    );
    let ack = told(&mut stream, "subscription_ack").await;
    assert_eq!(
        (&ack["channel"], &ack["status"]),
        (&json!("monitoring.metrics"), &json!("subscribed"))
    );
    for message_type in ["system_metrics", "api_metrics"] {
        let event = heard(&mut stream).await;
        assert_eq!(event["message_type"], message_type);
        assert!(
            event.get("subscription_id").is_none(),
            "there is only one: {event}"
        );
    }
    let data = json!({"subscription_id": ack["subscription_id"]});
    send(&mut stream, "unsubscribe", data.clone()).await;
    // What was on its way may come before.
    let answer = loop {
        let message = heard(&mut stream).await;
        if !message["message_type"].as_str().unwrap().ends_with("_metrics") {
            break message;
        }
    };
    assert_eq!(
        (&answer["message_type"], &answer["data"]),
        (&json!("unsubscription_ack"), &data)
    );
    send(&mut stream, "subscribe", json!({"event": "system_metrics"})).await;
    refused(&mut stream, "INVALID_REQUEST", "the path has one view").await;
    is_well(&mut stream).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_what_is_no_message_is_refused_and_the_socket_stays() {
    let world = World::new().await;
    let mut entry = admin(&world).await;
    let mut path = open(&world, "/api/v1/ws/query", &world.credential("admin")).await;
    let deep = "[".repeat(1_000) + &"]".repeat(1_000);
    for stream in [&mut entry, &mut path] {
        for text in ["", "no JSON", "{\"message_type\": \"ping\"", &deep] {
            stream.send(Message::text(text)).await.unwrap();
            refused(stream, "MALFORMED_JSON", text).await;
        }
        for message in [
            json!(null),
            json!([]),
            json!([{"message_type": "ping"}]),
            json!("ping"),
            json!({}),
            json!({"message_type": null}),
            json!({"message_type": 7}),
            json!({"message_type": ""}),
            json!({"message_type": "Ping"}),
            json!({"message_type": "heartbeat"}),
            json!({"message_type": "subscription_ack"}),
            json!({"message_type": "ping", "data": null}),
            json!({"message_type": "ping", "data": []}),
            json!({"message_type": "ping", "data": "x"}),
            json!({"jsonrpc": "2.0", "id": 1, "method": "health.check_liveness"}),
        ] {
            say(stream, &message).await;
            refused(stream, "INVALID_REQUEST", &message.to_string()).await;
        }
        // A message that is one answers with the id of its message.
        for id in [json!("a"), json!(7), json!({"any": "value"})] {
            say(stream, &json!({"message_type": "no_such_type", "id": id})).await;
            let told = refused(stream, "INVALID_REQUEST", "an unknown type").await;
            assert_eq!(told["id"], id);
            assert!(
                told["message"].as_str().unwrap().contains("no_such_type"),
                "{told}"
            );
        }
        is_well(stream).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_subscriptions_to_what_there_is_not_are_refused() {
    let world = World::new().await;
    table(&world).await;
    let mut stream = admin(&world).await;
    for (data, code) in [
        (json!({}), "INVALID_ARGUMENT"),
        (json!({"event": 7}), "INVALID_ARGUMENT"),
        (json!({"event": "no_such_event"}), "OPERATION_NOT_FOUND"),
        (json!({"view": "database.no_such_view"}), "OPERATION_NOT_FOUND"),
        // An operation is no view.
        (json!({"event": "database.insert_rows"}), "OPERATION_NOT_FOUND"),
        (json!({"event": "heartbeat", "args": [1]}), "INVALID_ARGUMENT"),
        (
            json!({"event": "heartbeat", "interval_ms": 100}),
            "INVALID_ARGUMENT",
        ),
        (
            json!({"event": "heartbeat", "args": {"interval_ms": 1}}),
            "INVALID_ARGUMENT",
        ),
        (
            json!({"event": "heartbeat", "args": {"interval": 1}}),
            "INVALID_ARGUMENT",
        ),
        (json!({"event": "row_inserted"}), "INVALID_ARGUMENT"),
        (
            json!({"event": "row_inserted", "args": {"table": "none"}}),
            "TABLE_NOT_FOUND",
        ),
        (
            json!({"event": "row_inserted", "args": {"table": "t"}, "cursor": "made up"}),
            "INVALID_CURSOR",
        ),
        (
            json!({"event": "heartbeat", "fields": ["colour"]}),
            "INVALID_ARGUMENT",
        ),
        (
            json!({"event": "heartbeat", "filter": {"colour": 1}}),
            "INVALID_ARGUMENT",
        ),
        (
            json!({"view": "monitoring.metrics", "events": ["Colour"]}),
            "INVALID_ARGUMENT",
        ),
    ] {
        let message = json!({"message_type": "subscribe", "data": data, "id": "mine"});
        say(&mut stream, &message).await;
        let told = refused(&mut stream, code, &data.to_string()).await;
        assert_eq!(told["id"], "mine");
    }
    is_well(&mut stream).await;
    let listed = world
        .must("websocket.list_subscriptions", &json!({}), "admin")
        .await;
    assert_eq!(listed["total"], 0, "none of them stays: {listed}");
}

/// An event stands for the view with a path of its own that has it, and of that for itself alone; a view for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_an_event_is_subscribed_to_by_its_name_or_by_its_view() {
    let world = World::new().await;
    let mut stream = admin(&world).await;
    send(&mut stream, "subscribe", json!({"event": "system_metrics"})).await;
    let ack = told(&mut stream, "subscription_ack").await;
    assert_eq!(ack["channel"], "monitoring.metrics");
    for _ in 0..2 {
        let event = heard(&mut stream).await;
        assert_eq!(
            (&event["message_type"], &event["subscription_id"]),
            (&json!("system_metrics"), &ack["subscription_id"])
        );
    }
    let mut stream = admin(&world).await;
    let id = subscribe(&mut stream, json!({"view": "monitoring.metrics"})).await;
    for message_type in ["system_metrics", "api_metrics", "system_metrics"] {
        let event = heard(&mut stream).await;
        assert_eq!(
            (&event["message_type"], &event["subscription_id"]),
            (&json!(message_type), &json!(id))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_each_of_several_subscriptions_to_the_same_is_its_own() {
    let world = World::new().await;
    table(&world).await;
    let mut stream = admin(&world).await;
    let same = json!({"event": "row_inserted", "args": {"table": "t"}});
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        ids.insert(subscribe(&mut stream, same.clone()).await);
    }
    assert_eq!(ids.len(), 3, "each has an id of its own: {ids:?}");
    insert(&world, 1).await;
    let mut of = BTreeSet::new();
    let mut cursors = BTreeSet::new();
    for _ in 0..3 {
        let event = heard(&mut stream).await;
        assert_eq!(
            (&event["message_type"], &event["data"]["row"]["id"]),
            (&json!("row_inserted"), &json!("1"))
        );
        of.insert(event["subscription_id"].as_str().unwrap().to_owned());
        cursors.insert(event["cursor"].as_str().unwrap().to_owned());
    }
    assert_eq!((of, cursors.len()), (ids.clone(), 1));

    let ended = ids.pop_first().unwrap();
    let data = json!({"subscription_id": ended});
    send(&mut stream, "unsubscribe", data.clone()).await;
    assert_eq!(told(&mut stream, "unsubscription_ack").await, data);
    insert(&world, 2).await;
    let mut of = BTreeSet::new();
    for _ in 0..2 {
        let event = heard(&mut stream).await;
        assert_eq!(event["data"]["row"]["id"], "2", "{event}");
        of.insert(event["subscription_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(of, ids);
    is_well(&mut stream).await;

    // What is over, unknown, nobody's or somebody else's.
    let mut other = admin(&world).await;
    let foreign = subscribe(&mut other, same).await;
    for data in [
        data,
        json!({"subscription_id": foreign}),
        json!({"subscription_id": "sub-0"}),
        json!({"subscription_id": ""}),
        json!({"subscription_id": 1}),
        json!({"id": ids.first()}),
        json!({}),
    ] {
        send(&mut stream, "unsubscribe", data.clone()).await;
        refused(&mut stream, "INVALID_ARGUMENT", &data.to_string()).await;
    }
    insert(&world, 3).await;
    for (stream, count) in [(&mut stream, 2), (&mut other, 1)] {
        for _ in 0..count {
            assert_eq!(told(stream, "row_inserted").await["row"]["id"], "3");
        }
        is_well(stream).await;
    }
}

/// A statement ends by itself, and its subscription with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_the_end_of_a_subscription_is_told() {
    let world = World::new().await;
    table(&world).await;
    let mut stream = admin(&world).await;
    let results = json!({"view": "query.results", "args": {"sql": "SELECT 1 AS n"}});
    let id = subscribe(&mut stream, results).await;
    for message_type in ["query_started", "query_row", "query_completed"] {
        let event = heard(&mut stream).await;
        assert_eq!(
            (&event["message_type"], &event["subscription_id"]),
            (&json!(message_type), &json!(id))
        );
    }
    let end = json!({"subscription_id": id, "status": "complete"});
    assert_eq!(told(&mut stream, "unsubscription_ack").await, end);

    // Somebody else ends one: the others go on.
    let heartbeat = json!({"event": "heartbeat", "args": {"interval_ms": 3_600_000}});
    let ended = subscribe(&mut stream, heartbeat).await;
    told(&mut stream, "heartbeat").await;
    let rows = json!({"event": "row_inserted", "args": {"table": "t"}});
    subscribe(&mut stream, rows).await;
    world
        .must("websocket.delete_subscription", &json!({"id": ended}), "admin")
        .await;
    let told = refused(&mut stream, "CANCELLED", "a subscription that was ended").await;
    assert_eq!(told["subscription_id"], ended);
    insert(&world, 1).await;
    assert_eq!(heard(&mut stream).await["message_type"], "row_inserted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_a_connection_has_so_many_subscriptions_and_no_more() {
    let world = World::new().await;
    let mut stream = admin(&world).await;
    let one = json!({"view": "protocol.error_stream"});
    let mut last = String::new();
    for _ in 0..SUBSCRIPTIONS_MAX {
        last = subscribe(&mut stream, one.clone()).await;
    }
    send(&mut stream, "subscribe", json!({"event": "heartbeat"})).await;
    // Like any error that is answered, each of them is told of it.
    let (mut errors, mut refusals) = (0, 0);
    while errors < SUBSCRIPTIONS_MAX || refusals == 0 {
        let message = heard(&mut stream).await;
        let code = &message["data"]["code"];
        assert_eq!(code, "TOO_MANY_SUBSCRIPTIONS", "{message}");
        match message["message_type"].as_str().unwrap() {
            "call_error" => errors += 1,
            "protocol_error" => refusals += 1,
            other => panic!("{other}: {message}"),
        }
    }
    send(&mut stream, "unsubscribe", json!({"subscription_id": last})).await;
    told(&mut stream, "unsubscription_ack").await;
    subscribe(&mut stream, one).await;
}
