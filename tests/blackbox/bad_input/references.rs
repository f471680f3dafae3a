//! Names of things that are not there, or not the caller's.

use codegen::emit::examples;
use codegen::model::Operation;
use serde_json::{Value, json};

use super::{assert_answers, assert_none};
use crate::harness::contract::{self, model};
use crate::harness::wire::WIRES;
use crate::harness::world::World;

type Calls = Vec<(&'static Operation, Value)>;

/// Operations on databases and in transactions, each with an input that succeeds.
async fn prepared(world: &World) -> Calls {
    let mut list = Vec::new();
    for operation in model().operations() {
        if takes(operation, "database") || takes(operation, "transaction_id") {
            let example = examples::succeeding(operation).next().unwrap();
            list.push((operation, world.prepare(operation, example).await));
        }
    }
    list
}

fn takes(operation: &Operation, name: &str) -> bool {
    model()
        .input_fields(operation)
        .iter()
        .any(|field| field.name == name)
}

/// Makes the calls with the field set, on every interface, and demands the code.
async fn refused(
    world: &World,
    calls: &Calls,
    name: &str,
    value: &Value,
    code: &str,
    faults: &mut Vec<String>,
) {
    for (operation, input) in calls.iter().filter(|(operation, _)| takes(operation, name)) {
        let mut input = input.clone();
        input[name] = value.clone();
        for wire in WIRES {
            let answer = wire
                .call(world, operation, &input, &world.credential("admin"))
                .await;
            if !answer.as_ref().is_err_and(|error| error.code == code) {
                faults.push(format!(
                    "{} {input} over {wire:?}: not {code} but {answer:?}",
                    operation.id
                ));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_unknown_databases_and_transactions_are_refused_by_every_operation() {
    let world = World::with_keys().await;
    let mut faults = Vec::new();
    let calls = prepared(&world).await;
    assert!(calls.len() > 20);
    let before = world.state().await;
    refused(
        &world,
        &calls,
        "database",
        &json!("no_such_database"),
        "DATABASE_NOT_FOUND",
        &mut faults,
    )
    .await;
    assert_eq!(before, world.state().await);

    let unknown = json!("18446744073709551615");
    refused(
        &world,
        &calls,
        "transaction_id",
        &unknown,
        "TRANSACTION_NOT_FOUND",
        &mut faults,
    )
    .await;

    let begun = world.must("transactions.begin", &json!({}), "developer").await;
    let foreign = &begun["transaction_id"];
    refused(
        &world,
        &calls,
        "transaction_id",
        foreign,
        "TRANSACTION_NOT_FOUND",
        &mut faults,
    )
    .await;
    world
        .must("transactions.rollback", &json!({"id": foreign}), "developer")
        .await;

    for end in ["transactions.commit", "transactions.rollback"] {
        let begun = world.must("transactions.begin", &json!({}), "admin").await;
        let ended = &begun["transaction_id"];
        world.must(end, &json!({"id": ended}), "admin").await;
        refused(
            &world,
            &calls,
            "transaction_id",
            ended,
            "TRANSACTION_NOT_ACTIVE",
            &mut faults,
        )
        .await;
    }
    assert_eq!(before, world.state().await);
    assert_none(&faults);
    assert_answers(&world).await;
}

/// The operations on a transaction take the id in another field; its owner alone may name it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_transactions_of_others_are_not_there() {
    let world = World::with_keys().await;
    let begun = world.must("transactions.begin", &json!({}), "developer").await;
    let id = json!({"id": begun["transaction_id"]});
    for name in ["transactions.commit", "transactions.rollback", "transactions.get"] {
        for wire in WIRES {
            let answer = wire
                .call(
                    &world,
                    contract::operation(name),
                    &id,
                    &world.credential("analyst"),
                )
                .await;
            assert_eq!(
                answer.unwrap_err().code,
                "TRANSACTION_NOT_FOUND",
                "{name} over {wire:?}"
            );
        }
    }
    world.must("transactions.commit", &id, "developer").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_a_read_only_transaction_takes_no_write() {
    let world = World::with_keys().await;
    let columns = json!([{"name": "id", "type": "bigint"}]);
    let table = json!({"name": "guarded", "columns": columns, "primary_key": ["id"]});
    world.must("database.create_table", &table, "admin").await;
    let rows = json!({"name": "guarded", "rows": [{"id": 1}]});
    world.must("database.insert_rows", &rows, "admin").await;
    let begun = world
        .must("transactions.begin", &json!({"read_only": true}), "admin")
        .await;
    let id = &begun["transaction_id"];
    let writes = [
        (
            "database.insert_rows",
            json!({"name": "guarded", "rows": [{"id": 2}]}),
        ),
        (
            "database.update_row",
            json!({"name": "guarded", "id": "1", "values": {"id": 3}}),
        ),
        (
            "database.update_rows",
            json!({"name": "guarded", "filter": {"and": []}, "values": {"id": 3}}),
        ),
        ("database.delete_row", json!({"name": "guarded", "id": "1"})),
        (
            "database.delete_rows",
            json!({"name": "guarded", "filter": {"and": []}}),
        ),
        (
            "database.upsert_row",
            json!({"name": "guarded", "values": {"id": 4}}),
        ),
        (
            "database.create_table",
            json!({"name": "fresh", "columns": columns}),
        ),
        ("database.drop_table", json!({"name": "guarded"})),
        ("sql.truncate_table", json!({"name": "guarded"})),
        (
            "sql.create_view",
            json!({"name": "seen", "query": "SELECT id FROM guarded"}),
        ),
        ("sql.execute_query", json!({"sql": "DELETE FROM guarded"})),
        (
            "sql.execute_query",
            json!({"sql": "CREATE TABLE fresh (id bigint)"}),
        ),
        (
            "transactions.execute",
            json!({"operations": [{"op": "delete", "table": "guarded", "id": "1"}]}),
        ),
    ];
    for (name, mut input) in writes {
        input["transaction_id"] = id.clone();
        for wire in WIRES {
            let operation = contract::operation(name);
            let answer = wire
                .call(&world, operation, &input, &world.credential("admin"))
                .await;
            let code = answer.as_ref().err().map(|error| error.code.as_str());
            assert_eq!(
                code,
                Some("TRANSACTION_READ_ONLY"),
                "{name} {input} over {wire:?}: {answer:?}"
            );
        }
    }
    let count = world
        .must(
            "database.count_rows",
            &json!({"name": "guarded", "transaction_id": id}),
            "admin",
        )
        .await;
    assert_eq!(count["count"], 1);
}

/// A cursor is the server's: what it did not make is refused, and so is one made for another question.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_damaged_cursors_are_refused_by_every_paged_operation() {
    let world = World::with_keys().await;
    let mut faults = Vec::new();
    for operation in model()
        .operations()
        .filter(|operation| operation.paginated.is_some())
    {
        let example = examples::succeeding(operation).next().unwrap();
        let mut input = world.prepare(operation, example).await;
        for damaged in ["damaged", "", "////", "eyJhIjoxfQ"] {
            input["after"] = json!(damaged);
            for wire in WIRES {
                let answer = wire
                    .call(&world, operation, &input, &world.credential("admin"))
                    .await;
                let right = answer.as_ref().is_err_and(|error| {
                    error.code == "INVALID_ARGUMENT"
                        && error
                            .details
                            .as_ref()
                            .is_some_and(|details| details["field"] == "after")
                });
                if !right {
                    faults.push(format!("{} {input} over {wire:?}: {answer:?}", operation.id));
                }
            }
        }
    }
    let table =
        json!({"name": "paged", "columns": [{"name": "id", "type": "bigint"}], "primary_key": ["id"]});
    world.must("database.create_table", &table, "admin").await;
    let rows = json!({"name": "paged", "rows": [{"id": 1}, {"id": 2}, {"id": 3}]});
    world.must("database.insert_rows", &rows, "admin").await;
    let page = world
        .must(
            "database.query_rows",
            &json!({"name": "paged", "limit": 1}),
            "admin",
        )
        .await;
    let other = json!({"name": "paged", "limit": 1, "order_by": ["-id"], "after": page["next"]});
    for wire in WIRES {
        let operation = contract::operation("database.query_rows");
        let answer = wire
            .call(&world, operation, &other, &world.credential("admin"))
            .await;
        assert_eq!(answer.unwrap_err().code, "INVALID_ARGUMENT", "{wire:?}");
    }
    assert_none(&faults);
}
