//! Sessions are told of as they begin and end, whatever ends them, and from where they begin.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::MaybeTlsStream;

use crate::harness::contract::view;
use crate::harness::credential::Credential;
use crate::harness::server::ADMIN_PASSWORD;
use crate::harness::watch::{Stream, Transport, Watcher, hear, say, socket};
use crate::harness::world::World;

async fn watch(world: &World, transport: Transport) -> Watcher {
    let (view, input) = (view("session.session_events"), json!({"user_filter": "alice"}));
    let credential = world.credential("monitor");
    Watcher::open(transport, world.base_url(), view, &input, &credential)
        .await
        .unwrap()
}

async fn create(world: &World) -> Value {
    let input = json!({"username": "alice", "password": ADMIN_PASSWORD, "roles": ["analyst"]});
    world.must("admin.create_user", &input, "admin").await["id"].clone()
}

async fn login(world: &World) -> Value {
    let input = json!({"username": "alice", "password": ADMIN_PASSWORD});
    world
        .call("auth.login", &input, &Credential::Nobody)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_tell_sessions_as_they_begin_and_end() {
    let world = World::new().await;
    let id = create(&world).await;
    let mut watchers = Vec::new();
    for transport in [Transport::Rpc, Transport::Raw, Transport::Sse, Transport::Graphql] {
        watchers.push(watch(&world, transport).await);
    }
    let update = async |change: Value| {
        let mut input = change;
        input["id"] = id.clone();
        world.must("admin.update_user", &input, "admin").await;
    };
    let tokens = login(&world).await;
    let caller = Credential::Bearer(tokens["access_token"].as_str().unwrap().to_owned());
    world.call("auth.logout", &json!({}), &caller).await.unwrap();
    login(&world).await;
    update(json!({"enabled": false})).await;
    let refused = json!({"username": "alice", "password": ADMIN_PASSWORD});
    let refused = world.call("auth.login", &refused, &Credential::Nobody).await;
    assert_eq!(refused.unwrap_err().code, "INVALID_CREDENTIALS");
    update(json!({"enabled": true})).await;
    login(&world).await;
    update(json!({"roles": ["developer"]})).await;
    update(json!({"password": format!("{ADMIN_PASSWORD}!")})).await;
    update(json!({"password": ADMIN_PASSWORD})).await;
    let reused = login(&world).await;
    let refresh = json!({"refresh_token": reused["refresh_token"]});
    let refreshed = world.call("auth.refresh", &refresh, &Credential::Nobody).await;
    refreshed.unwrap();
    let second = world.call("auth.refresh", &refresh, &Credential::Nobody).await;
    assert_eq!(second.unwrap_err().code, "INVALID_REFRESH_TOKEN");
    login(&world).await;
    world.must("admin.delete_user", &json!({"id": id}), "admin").await;
    for watcher in &mut watchers {
        for (kind, reason) in [
            ("DISCONNECTED", "LOGOUT"),
            ("KILLED", "USER_DISABLED"),
            ("KILLED", "PASSWORD_CHANGED"),
            ("KILLED", "REFRESH_TOKEN_REUSED"),
            ("KILLED", "USER_DELETED"),
        ] {
            let (begun, ended) = (watcher.event().await.data, watcher.event().await.data);
            assert_eq!(begun["event_type"], "CONNECTED", "before {reason}: {begun}");
            assert_eq!(
                (&ended["event_type"], &ended["reason"]),
                (&json!(kind), &json!(reason))
            );
            for field in ["session_id", "user_id", "username", "connection_time"] {
                assert_eq!(begun[field], ended[field], "{field} after {reason}");
            }
        }
    }
}

/// A connection that leads nowhere but to the server, and its own address.
async fn connect(world: &World) -> (TcpStream, String) {
    let stream = TcpStream::connect(world.server.address()).await.unwrap();
    let address = stream.local_addr().unwrap().to_string();
    (stream, address)
}

async fn post(stream: &mut TcpStream, path: &str, body: &Value) {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && !answer.contains("\"errors\""),
        "{answer}"
    );
}

fn address_of(stream: &Stream) -> String {
    match stream.get_ref() {
        MaybeTlsStream::Plain(stream) => stream.local_addr().unwrap().to_string(),
        _ => panic!("the test speaks no TLS"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_tell_from_where_a_session_begins_over_every_interface() {
    let world = World::new().await;
    create(&world).await;
    let mut events = watch(&world, Transport::Rpc).await;
    let input = json!({"username": "alice", "password": ADMIN_PASSWORD});
    let document = json!({
        "query": "mutation($username: String!, $password: String!) { authLogin(username: $username, password: $password) { expiresIn } }",
        "variables": input,
    });
    let told = async |events: &mut Watcher, over: &str, address: String| {
        let event = events.event().await.data;
        assert_eq!(event["event_type"], "CONNECTED", "over {over}");
        assert_eq!(event["client_address"], address, "over {over}");
    };
    let (mut stream, address) = connect(&world).await;
    post(&mut stream, "/api/v1/auth/login", &input).await;
    told(&mut events, "REST", address).await;
    let (mut stream, address) = connect(&world).await;
    post(&mut stream, "/graphql", &document).await;
    told(&mut events, "GraphQL", address).await;
    for batched in [false, true] {
        let mut stream = open(&world, "/api/v1/ws", "rustydb.json").await;
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "auth.login", "params": input});
        say(&mut stream, &if batched { json!([call]) } else { call }).await;
        told(&mut events, "JSON-RPC", address_of(&stream)).await;
    }
    let mut stream = open(&world, "/graphql", "graphql-transport-ws").await;
    say(&mut stream, &json!({"type": "connection_init"})).await;
    assert_eq!(hear(&mut stream).await, Some(json!({"type": "connection_ack"})));
    say(
        &mut stream,
        &json!({"id": "1", "type": "subscribe", "payload": document}),
    )
    .await;
    told(&mut events, "graphql-transport-ws", address_of(&stream)).await;
}

async fn open(world: &World, path: &str, protocol: &str) -> Stream {
    socket(world.server.address(), path, Some(protocol), &Credential::Nobody)
        .await
        .unwrap()
}
