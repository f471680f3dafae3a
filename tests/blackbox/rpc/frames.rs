//! Requests, notifications and batches, as the specification has them.

use serde_json::{Value, json};

use super::{ENDLESS, open, request};
use crate::harness::contract::model;
use crate::harness::rpc::{Socket, answer};
use crate::harness::world::World;

const ALIVE: &str = "health.check_liveness";

async fn exchange(socket: &mut Socket, frame: &Value) -> Value {
    socket.send_text(frame.to_string()).await;
    socket.receive().await.expect("the socket stays open")
}

fn code(response: &Value) -> String {
    answer(response).unwrap_err().code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rpc_ids_come_back_as_they_were_sent() {
    let world = World::new().await;
    let mut socket = open(&world, "admin").await;
    for id in [
        json!(1),
        json!(-7),
        json!(1.5),
        json!("a"),
        json!(""),
        json!("\u{1F980}"),
        json!(9_007_199_254_740_993_u64),
        Value::Null,
    ] {
        let response = exchange(&mut socket, &request(&id, ALIVE, &json!({}))).await;
        assert_eq!(response["id"], id, "{response}");
        assert_eq!(response["jsonrpc"], "2.0");
        assert_eq!(response["result"]["alive"], true);
        assert!(response.get("error").is_none());
    }
    for id in [json!(true), json!([1]), json!({"a": 1})] {
        let response = exchange(&mut socket, &request(&id, ALIVE, &json!({}))).await;
        assert_eq!(
            (&response["id"], code(&response).as_str()),
            (&Value::Null, "INVALID_REQUEST")
        );
        assert_eq!(response["error"]["code"], -32600);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rpc_what_is_no_request_is_told_so() {
    let world = World::new().await;
    let mut socket = open(&world, "admin").await;
    for (frame, id) in [
        (json!(1), Value::Null),
        (json!("x"), Value::Null),
        (Value::Null, Value::Null),
        (json!({}), Value::Null),
        (json!({"jsonrpc": "2.0", "id": 3}), json!(3)),
        (json!({"jsonrpc": "1.0", "id": 3, "method": ALIVE}), json!(3)),
        (json!({"id": 3, "method": ALIVE}), json!(3)),
        (json!({"jsonrpc": "2.0", "id": 3, "method": 1}), json!(3)),
        (
            json!({"jsonrpc": "2.0", "id": 3, "method": ALIVE, "params": [1]}),
            json!(3),
        ),
        (
            json!({"jsonrpc": "2.0", "id": 3, "method": ALIVE, "params": null}),
            json!(3),
        ),
        (
            json!({"jsonrpc": "2.0", "id": 3, "method": ALIVE, "timeout_ms": "soon"}),
            json!(3),
        ),
        (
            json!({"jsonrpc": "2.0", "id": 3, "method": ALIVE, "timeout_ms": -1}),
            json!(3),
        ),
    ] {
        let response = exchange(&mut socket, &frame).await;
        assert_eq!(
            (&response["id"], code(&response).as_str()),
            (&id, "INVALID_REQUEST"),
            "{frame}"
        );
        assert_eq!(response["error"]["code"], -32600, "{frame}");
    }
    for timeout_ms in [0_u64, 300_001] {
        let mut frame = request(&json!(1), ALIVE, &json!({}));
        frame["timeout_ms"] = json!(timeout_ms);
        assert_eq!(code(&exchange(&mut socket, &frame).await), "INVALID_ARGUMENT");
    }
    socket.send_text("{\"jsonrpc\": ").await;
    let response = socket.receive().await.unwrap();
    assert_eq!(
        (&response["id"], &response["error"]["code"]),
        (&Value::Null, &json!(-32700))
    );
    assert_eq!(socket.call(ALIVE, &json!({})).await.unwrap()["alive"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rpc_error_codes_are_the_contracts() {
    let world = World::new().await;
    let mut socket = open(&world, "admin").await;
    for (method, params, expected) in [
        ("no.method", json!({}), "OPERATION_NOT_FOUND"),
        ("database.get_table", json!({"name": "none"}), "TABLE_NOT_FOUND"),
        ("database.get_table", json!({}), "INVALID_ARGUMENT"),
        ("sql.execute_query", json!({"sql": "SELEC"}), "SYNTAX_ERROR"),
    ] {
        let mut frame = request(&json!(1), method, &params);
        frame["request_id"] = json!("of-this-call");
        let response = exchange(&mut socket, &frame).await;
        let error = model().errors.get(expected).unwrap();
        assert_eq!(response["error"]["code"], error.rpc, "{response}");
        assert_eq!(response["error"]["data"]["code"], expected);
        assert_eq!(response["error"]["data"]["status"], error.status);
        assert_eq!(response["error"]["data"]["request_id"], "of-this-call");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rpc_notifications_run_and_are_not_answered() {
    let world = World::new().await;
    let mut socket = open(&world, "admin").await;
    let table = json!({"name": "noted", "columns": [{"name": "id", "type": "bigint"}]});
    let notification =
        |method: &str, params: &Value| json!({"jsonrpc": "2.0", "method": method, "params": params});
    socket.call("database.create_table", &table).await.unwrap();
    for frame in [
        notification(
            "database.insert_rows",
            &json!({"name": "noted", "rows": [{"id": 1}]}),
        ),
        notification("no.method", &json!({})),
        notification("database.get_table", &json!({})),
        json!([notification(
            "database.insert_rows",
            &json!({"name": "noted", "rows": [{"id": 2}]})
        )]),
    ] {
        socket.send_text(frame.to_string()).await;
    }
    // Whatever is answered next is answered to this; the rows come when the notifications are done.
    loop {
        let count = socket
            .call("database.count_rows", &json!({"name": "noted"}))
            .await
            .unwrap();
        if count["count"] == 2 {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rpc_a_batch_is_answered_as_one() {
    let world = World::new().await;
    let mut socket = open(&world, "admin").await;
    let batch = json!([
        request(&json!(1), ALIVE, &json!({})),
        request(&json!("two"), "database.get_table", &json!({"name": "none"})),
        {"jsonrpc": "2.0", "method": ALIVE},
        7,
        request(&json!(5), "no.method", &json!({})),
    ]);
    let response = exchange(&mut socket, &batch).await;
    let answers = response.as_array().unwrap();
    assert_eq!(answers.len(), 4, "{response}");
    let of = |id: Value| answers.iter().find(|answer| answer["id"] == id).unwrap();
    assert_eq!(of(json!(1))["result"]["alive"], true);
    assert_eq!(code(of(json!("two"))), "TABLE_NOT_FOUND");
    assert_eq!(code(of(Value::Null)), "INVALID_REQUEST");
    assert_eq!(code(of(json!(5))), "OPERATION_NOT_FOUND");

    let response = exchange(&mut socket, &json!([])).await;
    assert_eq!(code(&response), "INVALID_REQUEST");
    let response = exchange(&mut socket, &json!([1, 2])).await;
    assert_eq!(response.as_array().unwrap().len(), 2);
    assert!(
        response
            .as_array()
            .unwrap()
            .iter()
            .all(|answer| code(answer) == "INVALID_REQUEST")
    );

    let most = model().limits.rpc_batch_calls as usize;
    let calls = |count: usize| {
        Value::Array(
            (0..count)
                .map(|id| request(&json!(id), ALIVE, &json!({})))
                .collect(),
        )
    };
    let response = exchange(&mut socket, &calls(most)).await;
    assert_eq!(response.as_array().unwrap().len(), most);
    let response = exchange(&mut socket, &calls(most + 1)).await;
    assert_eq!(code(&response), "INVALID_REQUEST");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rpc_calls_run_side_by_side_and_are_told_apart_by_id() {
    let world = World::new().await;
    let mut socket = open(&world, "admin").await;
    let mut endless = request(&json!("slow"), "sql.execute_query", &json!({"sql": ENDLESS}));
    endless["timeout_ms"] = json!(3000);
    socket.send_text(endless.to_string()).await;
    for id in 0..50 {
        socket
            .send_text(request(&json!(id), ALIVE, &json!({})).to_string())
            .await;
    }
    let mut seen = Vec::new();
    while seen.len() < 51 {
        seen.push(socket.receive().await.unwrap());
    }
    let last = seen.pop().unwrap();
    assert_eq!(
        (&last["id"], code(&last).as_str()),
        (&json!("slow"), "DEADLINE_EXCEEDED")
    );
    let mut ids: Vec<u64> = seen
        .iter()
        .map(|response| response["id"].as_u64().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..50).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rpc_cancel_stops_a_call_under_way() {
    let world = World::new().await;
    let mut socket = open(&world, "admin").await;
    for id in [json!("slow"), json!(7)] {
        socket
            .send_text(request(&id, "sql.execute_query", &json!({"sql": ENDLESS})).to_string())
            .await;
        // Frames are read in order: an answer to the next says that the call is under way.
        assert_eq!(
            exchange(&mut socket, &request(&json!("next"), ALIVE, &json!({}))).await["id"],
            "next"
        );
        let ended = exchange(
            &mut socket,
            &request(&json!("stop"), "cancel", &json!({"id": id})),
        )
        .await;
        assert_eq!((&ended["id"], code(&ended).as_str()), (&id, "CANCELLED"));
        let stopped = socket.receive().await.unwrap();
        assert_eq!(stopped["result"], json!({"cancelled": true}), "{stopped}");
        let again = exchange(
            &mut socket,
            &request(&json!("stop"), "cancel", &json!({"id": id})),
        )
        .await;
        assert_eq!(again["result"], json!({"cancelled": false}), "{again}");
    }
    let unknown = exchange(&mut socket, &request(&json!(1), "cancel", &json!({"id": "none"}))).await;
    assert_eq!(unknown["result"], json!({"cancelled": false}));
    let missing = exchange(&mut socket, &request(&json!(1), "cancel", &json!({}))).await;
    assert_eq!(code(&missing), "INVALID_ARGUMENT");
    assert_eq!(socket.call(ALIVE, &json!({})).await.unwrap()["alive"], true);
}

/// An explicit transaction outlives a call in it that was stopped, with what was written before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rpc_a_stopped_call_leaves_its_transaction_as_it_was() {
    let world = World::new().await;
    let mut socket = open(&world, "admin").await;
    let table = json!({"name": "kept", "columns": [{"name": "id", "type": "bigint"}], "primary_key": ["id"]});
    socket.call("database.create_table", &table).await.unwrap();
    let begun = socket.call("transactions.begin", &json!({})).await.unwrap();
    let transaction = &begun["transaction_id"];
    let rows = json!({"name": "kept", "rows": [{"id": 1}], "transaction_id": transaction});
    socket.call("database.insert_rows", &rows).await.unwrap();
    let slow = json!({"sql": ENDLESS, "transaction_id": transaction});
    socket
        .send_text(request(&json!("slow"), "sql.execute_query", &slow).to_string())
        .await;
    assert_eq!(
        exchange(&mut socket, &request(&json!("next"), ALIVE, &json!({}))).await["id"],
        "next"
    );
    let ended = exchange(
        &mut socket,
        &request(&json!("stop"), "cancel", &json!({"id": "slow"})),
    )
    .await;
    assert_eq!(code(&ended), "CANCELLED");
    assert_eq!(
        socket.receive().await.unwrap()["result"],
        json!({"cancelled": true})
    );
    let committed = socket
        .call("transactions.commit", &json!({"id": transaction}))
        .await
        .unwrap();
    assert_eq!(committed["rows_changed"], 1);
    let count = socket
        .call("database.count_rows", &json!({"name": "kept"}))
        .await
        .unwrap();
    assert_eq!(count["count"], 1);
}
