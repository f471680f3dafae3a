//! A subscription lasts as long as the token that it was opened with, on every transport: to the second, and no longer.
//!
//! The server gives tokens of an hour; these are its own with a nearer end, signed with its key.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

use crate::harness::contract::view;
use crate::harness::credential::Credential;
use crate::harness::watch::{Event, TRANSPORTS, Transport, Watcher, hear, say, socket};
use crate::harness::world::World;

/// From the making of a token to its end: all transports are opened meanwhile.
const LIFE_SECONDS: u64 = 6;

/// After the end of a token its subscriptions end within this.
const LATE_MAX: Duration = Duration::from_secs(5);

/// Far longer than a token's life.
const WITHIN: Duration = Duration::from_secs(60);

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// The role's token with another end, in seconds since 1970.
fn token_until(world: &World, role: &str, end: u64) -> String {
    let Credential::Bearer(token) = world.credential(role) else {
        panic!("the world's users have tokens")
    };
    let pem = std::fs::read_to_string(world.server.data_dir().join("signing.key")).unwrap();
    let key = SigningKey::from_pkcs8_pem(&pem).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let claims = URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
    let mut claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["exp"] = end.into();
    let signed = format!("{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = key.sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

async fn open_all(world: &World, id: &str, input: &Value, token: &str) -> Vec<(Transport, Watcher)> {
    let credential = Credential::Bearer(token.to_owned());
    let mut watchers = Vec::new();
    for transport in TRANSPORTS.iter().copied() {
        if transport.carries(view(id)) {
            let opened = Watcher::open(transport, world.base_url(), view(id), input, &credential).await;
            watchers.push((transport, opened.unwrap()));
        }
    }
    watchers
}

/// Takes what comes until the subscription ends with the token, at `end`; answers the events that came before.
async fn until_the_end(watcher: &mut Watcher, end: u64, what: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let error = loop {
        let next = tokio::time::timeout(WITHIN, watcher.next()).await;
        match next.unwrap_or_else(|_| panic!("{what}: goes on after {WITHIN:?}")) {
            Some(Ok(event)) if event.is_control => assert_eq!(event.name, "BOOKMARK", "{what}"),
            Some(Ok(event)) => events.push(event),
            Some(Err(error)) => break error,
            None => panic!("{what}: ended without a word"),
        }
    };
    let late = now().checked_sub(Duration::from_secs(end));
    let late = late.unwrap_or_else(|| panic!("{what}: ended before its time: {error:?}"));
    assert!(late <= LATE_MAX, "{what}: ended {late:?} late");
    assert_eq!(
        (error.code.as_str(), error.status),
        ("TOKEN_EXPIRED", 401),
        "{what}"
    );
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_when_their_token_does_and_not_before() {
    let world = World::new().await;
    let columns = json!([{"name": "id", "type": "bigint"}]);
    let input = json!({"name": "t", "columns": columns, "primary_key": ["id"]});
    world.must("database.create_table", &input, "admin").await;
    let end = now().as_secs() + LIFE_SECONDS;
    let token = token_until(&world, "analyst", end);
    let changes = open_all(&world, "database.events", &json!({"tables": ["t"]}), &token).await;
    let beats = open_all(&world, "protocol.heartbeat", &json!({"interval_ms": 100}), &token).await;
    assert!(now().as_secs() < end, "the machine is too slow for this test");

    // Rows are written over the end.
    let written = async {
        let mut id = 0;
        while now().as_secs() <= end {
            let input = json!({"name": "t", "rows": [{"id": id}]});
            world.must("database.insert_rows", &input, "admin").await;
            id += 1;
        }
        id
    };
    let watched = changes.into_iter().map(async |(transport, mut watcher)| {
        let events = until_the_end(&mut watcher, end, &format!("changes over {transport:?}")).await;
        (transport, events)
    });
    let beating = beats.into_iter().map(async |(transport, mut watcher)| {
        let events = until_the_end(&mut watcher, end, &format!("heartbeats over {transport:?}")).await;
        // Up to the end, give or take a stall of the machine.
        let sequence = events.last().unwrap().data["sequence"].as_u64().unwrap();
        assert_eq!(sequence, events.len() as u64, "{transport:?}: none is missing");
        let last = match &events.last().unwrap().timestamp {
            Value::Number(seconds) => seconds.as_u64().unwrap(),
            other => {
                let at: rustydb_contract::Timestamp = serde_json::from_value(other.clone()).unwrap();
                u64::try_from(at.as_micros()).unwrap() / 1_000_000
            }
        };
        assert!(
            (end - 2..=end).contains(&last),
            "{transport:?}: the last is of {last}, the end of {end}"
        );
    });
    let (written, watched, _) = tokio::join!(
        written,
        futures::future::join_all(watched),
        futures::future::join_all(beating)
    );
    for (transport, events) in watched {
        assert!(
            events.len() > 1 && events.len() < written,
            "{transport:?}: {} of {written}",
            events.len()
        );
        for (id, event) in events.iter().enumerate() {
            assert_eq!(
                event.data["row_data"]["id"], id,
                "{transport:?}: none is missing before the end"
            );
        }
    }
    let (events, over) = (view("database.events"), Credential::Bearer(token));
    for transport in TRANSPORTS {
        let refused = Watcher::open(*transport, world.base_url(), events, &json!({}), &over).await;
        assert_eq!(refused.err().unwrap().code, "TOKEN_EXPIRED", "{transport:?}");
    }
}

/// Who shows another token in time goes on: the subscription asks with the one that the socket has now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_go_on_when_the_socket_has_another_token_in_time() {
    let world = World::new().await;
    let end = now().as_secs() + LIFE_SECONDS / 2;
    let short = token_until(&world, "monitor", end);
    let later = end + LIFE_SECONDS / 2;
    let long = token_until(&world, "monitor", later);
    let credential = Credential::Bearer(short);
    let open = async |protocol| {
        let address = world.server.address();
        socket(address, "/api/v1/ws", protocol, &credential)
            .await
            .unwrap()
    };
    let view = "protocol.heartbeat";
    let args = json!({"interval_ms": 100});
    let auth = json!({"token": long});

    let mut rpc = open(Some("rustydb.json")).await;
    for (id, method, params) in [
        (1, "subscribe", json!({"view": view, "args": args})),
        (2, "auth", auth.clone()),
    ] {
        say(
            &mut rpc,
            &json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}),
        )
        .await;
    }
    let mut raw = open(None).await;
    for (message_type, data) in [("subscribe", json!({"view": view, "args": args})), ("auth", auth)] {
        say(&mut raw, &json!({"message_type": message_type, "data": data})).await;
    }
    assert!(now().as_secs() < end, "the machine is too slow for this test");
    let is_over =
        |message: &Value| message["method"] == "complete" || message["message_type"] == "protocol_error";
    for stream in [&mut rpc, &mut raw] {
        let mut last = json!(0);
        let over = loop {
            let message = tokio::time::timeout(WITHIN, hear(stream)).await.unwrap().unwrap();
            if is_over(&message) {
                break message;
            }
            let data = if message["method"] == "event" {
                &message["params"]["data"]
            } else {
                &message["data"]
            };
            if data["sequence"].is_u64() {
                assert_eq!(data["sequence"], last.as_u64().unwrap() + 1);
                last = data["sequence"].clone();
            }
        };
        assert!(
            now().as_secs() >= later,
            "with the second token it lasts until {later}: {over}"
        );
        let details = if over["method"] == "complete" {
            &over["params"]["error"]["data"]["code"]
        } else {
            &over["data"]["code"]
        };
        assert_eq!(details, "TOKEN_EXPIRED", "{over}");
    }
}
