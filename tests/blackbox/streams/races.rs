//! The acknowledgement is what it says: a write that is sent right after it is never missed.
//!
//! Four subscribers, one on each transport, subscribe, have a row written as soon as they are told that they are
//! subscribed, receive it, and end the subscription; sockets are kept.

use codegen::emit::graphql_sdl::call;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::harness::contract::{model, view};
use crate::harness::credential::Credential;
use crate::harness::watch::{Transport, Watcher, hear, say, socket};
use crate::harness::world::World;

/// Over all transports together.
const WRITES: usize = 10_000;
const TRANSPORTS: usize = 4;

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_a_write_right_after_the_acknowledgement_is_never_missed() {
    let world = World::new().await;
    for table in ["race_rpc", "race_raw", "race_sse", "race_graphql"] {
        let columns = json!([{"name": "id", "type": "bigint"}]);
        let input = json!({"name": table, "columns": columns, "primary_key": ["id"]});
        world.must("database.create_table", &input, "admin").await;
    }
    tokio::join!(rpc(&world), raw(&world), sse(&world), graphql(&world));
}

async fn write(world: &World, table: &str, round: usize) {
    let input = json!({"name": table, "rows": [{"id": round}]});
    world.must("database.insert_rows", &input, "admin").await;
}

async fn open(world: &World, path: &str, protocol: Option<&str>) -> Stream {
    socket(world.server.address(), path, protocol, &world.credential("admin"))
        .await
        .unwrap()
}

async fn heard(stream: &mut Stream) -> Value {
    hear(stream).await.expect("the socket stays open")
}

fn is_row(data: &Value, round: usize) {
    assert_eq!(data["row"]["id"], round.to_string(), "{data}");
}

async fn rpc(world: &World) {
    let mut stream = open(world, "/api/v1/ws", Some("rustydb.json")).await;
    for round in 0..WRITES / TRANSPORTS {
        let params = json!({"view": "database.row_inserted", "args": {"table": "race_rpc"}});
        say(
            &mut stream,
            &json!({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": params}),
        )
        .await;
        let subscription = heard(&mut stream).await["result"]["subscription"].clone();
        write(world, "race_rpc", round).await;
        is_row(&heard(&mut stream).await["params"]["data"], round);
        let params = json!({"subscription": subscription});
        say(
            &mut stream,
            &json!({"jsonrpc": "2.0", "id": 2, "method": "unsubscribe", "params": params}),
        )
        .await;
        assert_eq!(heard(&mut stream).await["result"]["unsubscribed"], true);
    }
}

async fn raw(world: &World) {
    let mut stream = open(world, "/api/v1/ws", None).await;
    assert_eq!(heard(&mut stream).await["message_type"], "connected");
    for round in 0..WRITES / TRANSPORTS {
        let data = json!({"event": "row_inserted", "args": {"table": "race_raw"}});
        say(&mut stream, &json!({"message_type": "subscribe", "data": data})).await;
        let told = heard(&mut stream).await;
        assert_eq!(told["message_type"], "subscription_ack", "{told}");
        write(world, "race_raw", round).await;
        is_row(&heard(&mut stream).await["data"], round);
        let data = json!({"subscription_id": told["data"]["subscription_id"]});
        say(&mut stream, &json!({"message_type": "unsubscribe", "data": data})).await;
        assert_eq!(heard(&mut stream).await["message_type"], "unsubscription_ack");
    }
}

async fn sse(world: &World) {
    let (view, input) = (view("database.row_inserted"), json!({"table": "race_sse"}));
    let credential: Credential = world.credential("admin");
    for round in 0..WRITES / TRANSPORTS {
        let opened = Watcher::open(Transport::Sse, world.base_url(), view, &input, &credential).await;
        write(world, "race_sse", round).await;
        is_row(&opened.unwrap().event().await.data, round);
    }
}

async fn graphql(world: &World) {
    let mut stream = open(world, "/graphql", Some("graphql-transport-ws")).await;
    say(&mut stream, &json!({"type": "connection_init"})).await;
    assert_eq!(heard(&mut stream).await["type"], "connection_ack");
    let (view, input) = (view("database.row_inserted"), json!({"table": "race_graphql"}));
    let payload = json!({
        "query": call::subscription(model(), view, &input),
        "variables": call::variables(model(), &view.open, &input),
    });
    for round in 0..WRITES / TRANSPORTS {
        // One id again and again: `complete` frees it.
        say(
            &mut stream,
            &json!({"id": "race", "type": "subscribe", "payload": payload}),
        )
        .await;
        let told = heard(&mut stream).await;
        assert_eq!(
            told["payload"]["data"]["rowInserted"]["control"]["kind"], "BOOKMARK",
            "{told}"
        );
        write(world, "race_graphql", round).await;
        is_row(&heard(&mut stream).await["payload"]["data"]["rowInserted"], round);
        say(&mut stream, &json!({"id": "race", "type": "complete"})).await;
    }
}
