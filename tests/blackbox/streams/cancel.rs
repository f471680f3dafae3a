//! A run that nobody wants any more is over: stopped by a message, by the end of its subscription, or with its socket.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::contract::view;
use crate::harness::watch::{Stream, Transport, Watcher, hear, say, socket};
use crate::harness::world::World;

/// Far longer than the end of a run takes.
const WITHIN: Duration = Duration::from_secs(60);

const PATH: &str = "/api/v1/ws/query";

/// Computes for longer than any test lives, and has no row before that.
const ENDLESS: &str = "SELECT count(*) AS n FROM generate_series(1, 1000000000000000) WHERE value % 7 = 3";

async fn open(world: &World, path: &str, protocol: Option<&str>) -> Stream {
    let credential = world.credential("admin");
    socket(world.server.address(), path, protocol, &credential)
        .await
        .unwrap()
}

async fn heard(stream: &mut Stream) -> Value {
    let message = tokio::time::timeout(WITHIN, hear(stream)).await;
    message
        .expect("something is said")
        .expect("the socket stays open")
}

/// The next message of that type, whatever comes before it; how far a run is may be told at any time.
async fn typed(stream: &mut Stream, message_type: &str) -> Value {
    loop {
        let message = heard(stream).await;
        if message["message_type"] == message_type {
            return message;
        }
        assert_eq!(message["message_type"], "query_progress", "{message}");
    }
}

async fn ask(stream: &mut Stream, sql: &str) {
    let data = json!({"sql": sql});
    say(stream, &json!({"message_type": "query", "data": data})).await;
}

/// Begins a run on its own path; answers its id.
async fn begin(stream: &mut Stream, sql: &str) -> String {
    ask(stream, sql).await;
    let started = typed(stream, "query_started").await;
    started["data"]["query_id"].as_str().unwrap().to_owned()
}

async fn cancel(stream: &mut Stream, data: &Value) {
    say(stream, &json!({"message_type": "cancel", "data": data})).await;
}

/// Word of the ends of statements, from now on.
async fn endings(world: &World) -> Watcher {
    let input = json!({"filter": {"status": ["COMPLETED", "FAILED", "CANCELLED"]}});
    let (view, credential) = (view("query.executions"), world.credential("admin"));
    Watcher::open(Transport::Rpc, world.base_url(), view, &input, &credential)
        .await
        .unwrap()
}

/// The next statement that ends is this one, and it was given up.
async fn gives_up(endings: &mut Watcher, id: &str) {
    let ended = tokio::time::timeout(WITHIN, endings.event()).await;
    let ended = ended
        .unwrap_or_else(|_| panic!("{id} runs on after {WITHIN:?}"))
        .data;
    assert_eq!(
        (&ended["query_id"], &ended["status"]),
        (&json!(id), &json!("CANCELLED"))
    );
}

/// Ids of the statements that run. One more is begun to be told of them: a look at nothing tells nothing.
async fn running(world: &World) -> Vec<String> {
    let mut other = open(world, PATH, None).await;
    let known = begin(&mut other, ENDLESS).await;
    let (view, credential) = (view("query.active_queries"), world.credential("admin"));
    let input = json!({"refresh_interval_ms": 100});
    let mut active = Watcher::open(Transport::Rpc, world.base_url(), view, &input, &credential)
        .await
        .unwrap();
    // The oldest first, so the one begun last ends the look.
    let mut ids = Vec::new();
    loop {
        let id = active.event().await.data["query_id"].as_str().unwrap().to_owned();
        if id == known {
            return ids;
        }
        ids.push(id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_cancel_ends_the_run_that_it_names_and_no_other() {
    let world = World::new().await;
    let mut stream = open(&world, PATH, None).await;
    let first = begin(&mut stream, ENDLESS).await;
    let second = begin(&mut stream, ENDLESS).await;
    assert_ne!(first, second);
    let mut endings = endings(&world).await;
    cancel(&mut stream, &json!({"query_id": first})).await;
    let told = typed(&mut stream, "query_error").await;
    assert_eq!(
        (&told["data"]["query_id"], &told["data"]["code"]),
        (&json!(first), &json!("CANCELLED"))
    );
    gives_up(&mut endings, &first).await;
    assert_eq!(running(&world).await, [second.as_str()]);
    // The list's own has ended, too, and nothing else.
    assert_ne!(endings.event().await.data["query_id"], second);
    // The socket goes on: with another run, and with the end of the first's neighbour.
    ask(&mut stream, "SELECT 1 AS n").await;
    let third = typed(&mut stream, "query_started").await["data"]["query_id"].clone();
    let row = typed(&mut stream, "query_row").await;
    assert_eq!(
        row["data"],
        json!({"query_id": third, "row_index": 0, "row_data": {"n": 1}})
    );
    assert_eq!(
        typed(&mut stream, "query_completed").await["data"]["query_id"],
        third
    );
    assert_eq!(endings.event().await.data["query_id"], third);
    cancel(&mut stream, &json!({"query_id": second})).await;
    assert_eq!(
        typed(&mut stream, "query_error").await["data"]["query_id"],
        second
    );
    gives_up(&mut endings, &second).await;
}

/// What is not there to be cancelled, or is over, is refused, and the runs go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_cancel_of_what_does_not_run_here_is_refused() {
    let world = World::new().await;
    let mut stream = open(&world, PATH, None).await;
    let mine = begin(&mut stream, ENDLESS).await;
    let mut other = open(&world, PATH, None).await;
    let done = begin(&mut other, "SELECT 1 AS n").await;
    typed(&mut other, "query_row").await;
    typed(&mut other, "query_completed").await;
    // Its last event is sent before it is forgotten.
    let subscriptions = async || {
        world
            .must("websocket.list_subscriptions", &json!({}), "admin")
            .await
    };
    while subscriptions().await["total"] != 1 {}
    for data in [
        json!({}),
        json!({"query_id": 7}),
        json!({"query_id": "query-of-nobody"}),
        json!({"query_id": done}),
        // One that runs, but on another socket.
        json!({"query_id": mine}),
    ] {
        cancel(&mut other, &data).await;
        let told = heard(&mut other).await;
        assert_eq!(
            (&told["message_type"], &told["data"]["code"]),
            (&json!("protocol_error"), &json!("INVALID_ARGUMENT")),
            "{data}: {told}"
        );
    }
    assert_eq!(running(&world).await, [mine.as_str()]);
}

/// Where messages begin no run there is none to cancel.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_cancel_is_a_message_of_paths_with_runs_only() {
    let world = World::new().await;
    let mut stream = open(&world, "/api/v1/ws", None).await;
    assert_eq!(heard(&mut stream).await["message_type"], "connected");
    for message_type in ["query", "cancel"] {
        say(
            &mut stream,
            &json!({"message_type": message_type, "data": {"sql": "SELECT 1 AS n"}}),
        )
        .await;
        let told = heard(&mut stream).await;
        assert_eq!(
            (&told["message_type"], &told["data"]["code"]),
            (&json!("protocol_error"), &json!("INVALID_REQUEST")),
            "{told}"
        );
    }
}

/// By JSON-RPC and by the raw envelope, on the common entry and on the run's own path.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_the_end_of_a_subscription_ends_its_statement() {
    let world = World::new().await;
    let mut endings = endings(&world).await;
    let args = json!({"sql": ENDLESS});
    for path in ["/api/v1/ws", PATH] {
        let mut stream = open(&world, path, Some("rustydb.json")).await;
        let params = json!({"view": "query.results", "args": args});
        let subscribe = json!({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": params});
        say(&mut stream, &subscribe).await;
        let subscription = heard(&mut stream).await["result"]["subscription"].clone();
        let id = heard(&mut stream).await["params"]["data"]["query_id"].clone();
        let params = json!({"subscription": subscription});
        let unsubscribe = json!({"jsonrpc": "2.0", "id": 2, "method": "unsubscribe", "params": params});
        say(&mut stream, &unsubscribe).await;
        gives_up(&mut endings, id.as_str().unwrap()).await;
    }
    let mut stream = open(&world, "/api/v1/ws", None).await;
    assert_eq!(heard(&mut stream).await["message_type"], "connected");
    let data = json!({"view": "query.results", "args": args});
    say(&mut stream, &json!({"message_type": "subscribe", "data": data})).await;
    let subscription = heard(&mut stream).await["data"]["subscription_id"].clone();
    let id = typed(&mut stream, "query_started").await["data"]["query_id"].clone();
    let data = json!({"subscription_id": subscription});
    say(&mut stream, &json!({"message_type": "unsubscribe", "data": data})).await;
    gives_up(&mut endings, id.as_str().unwrap()).await;
    assert_eq!(running(&world).await, Vec::<String>::new());
}

/// However the socket ends: with a close, or without a word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_the_end_of_a_socket_ends_all_its_statements() {
    let world = World::new().await;
    for with_close in [true, false] {
        let mut stream = open(&world, PATH, None).await;
        let mut begun = Vec::new();
        for _ in 0..3 {
            begun.push(begin(&mut stream, ENDLESS).await);
        }
        let mut endings = endings(&world).await;
        if with_close {
            stream.close(None).await.unwrap();
        } else {
            drop(stream);
        }
        let mut ended = Vec::new();
        for _ in &begun {
            let told = tokio::time::timeout(WITHIN, endings.event()).await;
            let told = told
                .unwrap_or_else(|_| panic!("of {begun:?} only {ended:?} ended"))
                .data;
            assert_eq!(told["status"], "CANCELLED");
            ended.push(told["query_id"].as_str().unwrap().to_owned());
        }
        begun.sort_unstable();
        ended.sort_unstable();
        assert_eq!(ended, begun);
    }
    assert_eq!(running(&world).await, Vec::<String>::new());
}

/// Nobody reads what it says, and still it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_a_statement_whose_reader_stands_still_is_stopped_by_its_name() {
    let world = World::new().await;
    let sql = format!(
        "SELECT value, '{}' AS much FROM generate_series(1, 1000000000) AS s(value)",
        "x".repeat(2_000)
    );
    let admin = world.credential("admin");
    for transport in [
        Transport::Rpc,
        Transport::Raw,
        Transport::Sse,
        Transport::Graphql,
        Transport::Multipart,
    ] {
        let (view, input) = (view("query.results"), json!({"sql": sql}));
        let mut reader = Watcher::open(transport, world.base_url(), view, &input, &admin)
            .await
            .unwrap();
        let query = json!({"query_id": reader.event().await.data["query_id"]});
        // It goes on until nothing more fits in what lies between, and then stands still.
        let mut scanned = (0, 0);
        let stands = async {
            while scanned.0 == 0 || scanned.1 < 3 {
                let status = world.must("query.get_status", &query, "admin").await;
                let returned = status["rows_returned"].as_u64().unwrap();
                scanned = if returned == scanned.0 {
                    (returned, scanned.1 + 1)
                } else {
                    (returned, 0)
                };
            }
        };
        tokio::time::timeout(WITHIN, stands)
            .await
            .expect("it stands still");
        let stopped = tokio::time::timeout(WITHIN, world.must("query.cancel", &query, "admin")).await;
        stopped.unwrap_or_else(|_| panic!("{transport:?}: it is not stopped"));
        let active = world.must("query.list_active", &json!({}), "admin").await;
        assert_eq!(active["queries"], json!([]), "{transport:?}");
        // Who reads on is told why there is no more.
        let told = async {
            loop {
                let event = reader.event().await;
                if event.name == "QueryError" {
                    return event.data;
                }
            }
        };
        let told = tokio::time::timeout(WITHIN, told)
            .await
            .expect("it tells the end");
        assert_eq!(told["code"], "CANCELLED", "{transport:?}");
    }
}
