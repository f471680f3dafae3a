//! A reader of telemetry that is too slow loses the oldest events, and is told of each loss by exactly one GAP.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::harness::credential::Credential;
use crate::harness::rpc;
use crate::harness::world::World;

/// More than the server keeps for a reader, together with what fits into the buffers between.
const BATCHES: usize = 300;
const CALLS: usize = 100;

/// What the reader's machine takes before it is read.
const RECEIVE_BYTES: u32 = 4_096;

const WITHIN: Duration = Duration::from_secs(60);

/// A subscriber to all errors who has not begun to read.
async fn subscriber(world: &World) -> WebSocketStream<TcpStream> {
    let address = world.server.address();
    let mut request = format!("ws://{address}/api/v1/ws").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "rustydb.json".parse().unwrap());
    let Credential::Bearer(token) = world.credential("admin") else {
        panic!("the world's users have tokens")
    };
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(RECEIVE_BYTES).unwrap();
    let stream = socket.connect(address.parse().unwrap()).await.unwrap();
    let (mut stream, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {"view": "protocol.error_stream"}});
    stream.send(Message::text(message.to_string())).await.unwrap();
    assert!(next(&mut stream).await["result"]["subscription"].is_string());
    stream
}

async fn next(stream: &mut WebSocketStream<TcpStream>) -> Value {
    loop {
        if let Message::Text(text) = stream.next().await.unwrap().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

/// So many calls that fail, each told by one event.
async fn fail(world: &World) {
    let credential = world.credential("admin");
    let mut socket = rpc::Socket::open(world.server.address(), &credential)
        .await
        .unwrap();
    let call = |id: usize| json!({"jsonrpc": "2.0", "id": id, "method": "database.get_table", "params": {"name": "none"}});
    for _ in 0..BATCHES {
        socket
            .send_text(Value::from_iter((0..CALLS).map(call)).to_string())
            .await;
        let answers = socket.receive().await.expect("the socket stays open");
        let failed = answers
            .as_array()
            .unwrap()
            .iter()
            .filter(|answer| answer.get("error").is_some());
        assert_eq!(failed.count(), CALLS);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_each_loss_of_telemetry_is_told_once() {
    let world = World::new().await;
    let mut stream = subscriber(&world).await;
    fail(&world).await;

    let (mut events, mut lost, mut gaps) = (0, 0, 0);
    let mut after_gap = false;
    while events + lost < BATCHES * CALLS {
        let told = tokio::time::timeout(WITHIN, next(&mut stream)).await;
        let message = told.unwrap_or_else(|_| panic!("{events} events and {lost} lost are not all"));
        let params = &message["params"];
        if params["event"] == "CallError" {
            events += 1;
            after_gap = false;
            continue;
        }
        assert_eq!(params["control"]["kind"], "GAP", "{message}");
        assert!(!after_gap, "one loss is told by two gaps: {message}");
        let count = params["control"]["count"].as_u64().unwrap();
        assert!(count > 0, "{message}");
        lost += usize::try_from(count).unwrap();
        gaps += 1;
        after_gap = true;
    }
    println!("{events} events came, {lost} were lost and told of by {gaps} gaps");
    assert_eq!(
        events + lost,
        BATCHES * CALLS,
        "every error came or is counted as lost"
    );
    assert!(gaps > 0, "nothing was lost: the reader was not slow enough");
}
