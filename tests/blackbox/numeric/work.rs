//! How much a command did.

use serde_json::{Value, json};

use super::{call, number, table};
use crate::harness::world::World;

fn at_least(id: u64) -> Value {
    json!({"field": "id", "operator": "GE", "value": id})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_commands_tell_how_many_rows_they_changed() {
    let world = World::new().await;
    table(&world, "t", 0).await;
    let mut next = 1;
    for count in [1_u64, 2, 17] {
        let rows: Vec<Value> = (next..next + count).map(|id| json!({"id": id})).collect();
        next += count;
        let inserted = call(&world, "database.insert_rows", json!({"name": "t", "rows": rows})).await;
        assert_eq!(number(&inserted, "/inserted"), count as f64);
    }
    for (from, matching) in [(1, 20.0), (11, 10.0), (20, 1.0), (21, 0.0)] {
        let input = json!({"name": "t", "filter": at_least(from), "values": {"name": "changed"}});
        assert_eq!(
            number(&call(&world, "database.update_rows", input).await, "/updated"),
            matching
        );
    }
    for (from, matching) in [(21, 0.0), (20, 1.0), (15, 5.0)] {
        let input = json!({"name": "t", "filter": at_least(from)});
        assert_eq!(
            number(&call(&world, "database.delete_rows", input).await, "/deleted"),
            matching
        );
    }
    for expected in [14.0, 0.0] {
        assert_eq!(
            number(
                &call(&world, "sql.truncate_table", json!({"name": "t"})).await,
                "/rows_removed"
            ),
            expected
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_a_list_of_operations_tells_what_each_did() {
    let world = World::new().await;
    table(&world, "t", 4).await;
    for inserted in [1_u64, 6] {
        let rows: Vec<Value> = (0..inserted).map(|n| json!({"id": 100 * inserted + n})).collect();
        let operations = json!([
            {"op": "insert", "table": "t", "rows": rows},
            {"op": "update", "table": "t", "id": "1", "values": {"name": "changed"}},
            {"op": "delete", "table": "t", "id": format!("{}", 100 * inserted)},
        ]);
        let done = call(&world, "transactions.execute", json!({"operations": operations})).await;
        let affected = [inserted as f64, 1.0, 1.0];
        for (at, expected) in affected.into_iter().enumerate() {
            assert_eq!(
                number(&done, &format!("/results/{at}/rows_affected")),
                expected,
                "{at}"
            );
        }
        assert_eq!(number(&done, "/rows_changed"), affected.iter().sum::<f64>());
    }
}

/// The three answers that show a transaction; one that was just begun has changed nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_a_transaction_counts_its_changes() {
    let world = World::new().await;
    table(&world, "t", 10).await;
    let begun = call(&world, "transactions.begin", json!({})).await;
    assert_eq!(begun["changes"], json!([]));
    let id = begun["transaction_id"].clone();
    let changes = async || {
        let one = call(&world, "transactions.get", json!({"id": id})).await;
        let listed = call(&world, "transactions.list_active", json!({})).await;
        assert_eq!(listed["transactions"][0]["changes"], one["changes"]);
        let of = |field: &str| number(&one, &format!("/changes/0/{field}"));
        (of("inserted"), of("updated"), of("deleted"))
    };
    let rows: Vec<Value> = (20..23).map(|id| json!({"id": id})).collect();
    call(
        &world,
        "database.insert_rows",
        json!({"name": "t", "rows": rows, "transaction_id": id}),
    )
    .await;
    assert_eq!(changes().await, (3.0, 0.0, 0.0));
    let one_to_five = json!({"field": "id", "operator": "LE", "value": 5});
    let update =
        json!({"name": "t", "filter": one_to_five, "values": {"name": "changed"}, "transaction_id": id});
    call(&world, "database.update_rows", update).await;
    assert_eq!(changes().await, (3.0, 5.0, 0.0));
    let nine_and_ten = json!({"field": "id", "operator": "IN", "values": [9, 10]});
    call(
        &world,
        "database.delete_rows",
        json!({"name": "t", "filter": nine_and_ten, "transaction_id": id}),
    )
    .await;
    assert_eq!(changes().await, (3.0, 5.0, 2.0));
    let committed = call(&world, "transactions.commit", json!({"id": id})).await;
    assert_eq!(number(&committed, "/rows_changed"), 10.0);
    let empty = call(&world, "transactions.begin", json!({})).await;
    let committed = call(
        &world,
        "transactions.commit",
        json!({"id": empty["transaction_id"]}),
    )
    .await;
    assert_eq!(number(&committed, "/rows_changed"), 0.0);
}

/// What is asked for is told, and acted on: the shorter one ends by itself, the longer one stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_idle_timeouts_are_those_asked_for() {
    let world = World::new().await;
    let default = call(&world, "transactions.begin", json!({})).await;
    assert_eq!(number(&default, "/idle_timeout_ms"), 60_000.0);
    let long = call(
        &world,
        "transactions.begin",
        json!({"idle_timeout_ms": 3_600_000}),
    )
    .await;
    assert_eq!(number(&long, "/idle_timeout_ms"), 3_600_000.0);
    let begun = std::time::Instant::now();
    let short = call(&world, "transactions.begin", json!({"idle_timeout_ms": 1000})).await;
    assert_eq!(number(&short, "/idle_timeout_ms"), 1000.0);
    let one = call(&world, "transactions.get", json!({"id": short["transaction_id"]})).await;
    assert_eq!(number(&one, "/idle_timeout_ms"), 1000.0);
    // Looking at the list is no use of a transaction.
    let left = loop {
        let listed = call(&world, "transactions.list_active", json!({})).await;
        let timeouts: Vec<f64> = (0..listed["transactions"].as_array().unwrap().len())
            .map(|at| number(&listed, &format!("/transactions/{at}/idle_timeout_ms")))
            .collect();
        if !timeouts.contains(&1000.0) {
            break timeouts;
        }
        assert!(begun.elapsed().as_secs() < 20, "the transaction stays: {listed}");
    };
    assert!(begun.elapsed().as_millis() >= 1000);
    assert_eq!(left, [60_000.0, 3_600_000.0]);
}
