//! SQL that is wrong: the place of the fault is told, the same on every interface.

use serde_json::json;

use super::assert_answers;
use crate::harness::contract;
use crate::harness::wire::WIRES;
use crate::harness::world::World;

/// Texts with the code and the place, line and column from 1.
const WRONG: &[(&str, &str, (u64, u64))] = &[
    ("SELEC 1", "SYNTAX_ERROR", (1, 1)),
    ("SELECT 1,\n  FROM", "SYNTAX_ERROR", (2, 7)),
    ("SELECT 'open", "SYNTAX_ERROR", (1, 8)),
    (
        "SELECT DISTINCT id\nFROM wrong_rows\nFOR UPDATE",
        "UNSUPPORTED",
        (3, 1),
    ),
    ("SELECT 1; SELECT 2", "UNSUPPORTED", (1, 11)),
    ("BEGIN", "UNSUPPORTED", (1, 1)),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_wrong_sql_tells_its_place_on_every_interface() {
    let world = World::with_keys().await;
    let table = json!({"name": "wrong_rows", "columns": [{"name": "id", "type": "bigint"}]});
    world.must("database.create_table", &table, "admin").await;
    let operation = contract::operation("sql.execute_query");
    let mut faults = Vec::new();
    for (sql, code, (line, column)) in WRONG {
        let position = json!({"line": line, "column": column});
        for wire in WIRES {
            let answer = wire
                .call(
                    &world,
                    operation,
                    &json!({"sql": sql}),
                    &world.credential("admin"),
                )
                .await;
            let right = answer
                .as_ref()
                .is_err_and(|error| error.code == *code && error.details.as_ref() == Some(&position));
            if !right {
                faults.push(format!(
                    "{sql:?} over {wire:?} is not {code} at {position}: {answer:?}"
                ));
            }
        }
    }
    super::assert_none(&faults);
    assert_answers(&world).await;
}

/// SQL of every shape of nonsense: an error of the contract, never a failure of the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_hostile_sql_is_refused() {
    let world = World::with_keys().await;
    let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    let nots = format!("SELECT {} true", "NOT ".repeat(20_000));
    let long = format!("SELECT {}", vec!["1"; 20_000].join(" + "));
    let nul = "SELECT '\u{0}' FROM \u{0}";
    let operation = contract::operation("sql.execute_query");
    for sql in [
        deep.as_str(),
        &nots,
        &long,
        nul,
        ";",
        " ",
        "--",
        "/*",
        "$1",
        "\u{202e}",
    ] {
        for wire in WIRES {
            let answer = wire
                .call(
                    &world,
                    operation,
                    &json!({"sql": sql}),
                    &world.credential("admin"),
                )
                .await;
            let shown: String = sql.chars().take(30).collect();
            match answer {
                Ok(_) => assert_eq!(shown, long.chars().take(30).collect::<String>(), "{wire:?}"),
                Err(error) => assert!(error.status < 500, "{shown:?} over {wire:?}: {error:?}"),
            }
        }
    }
    assert_answers(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_the_statement_of_a_batch_that_cannot_be_read_is_named() {
    let world = World::with_keys().await;
    let operation = contract::operation("sql.execute_batch");
    let input = json!({"statements": ["SELECT 1", "SELEC 1"]});
    for wire in WIRES {
        let answer = wire
            .call(&world, operation, &input, &world.credential("admin"))
            .await;
        let error = answer.unwrap_err();
        assert_eq!(error.code, "SYNTAX_ERROR", "{wire:?}");
        assert!(error.message.starts_with("statements.1: "), "{wire:?}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_a_name_that_is_taken_changes_nothing() {
    let world = World::with_keys().await;
    let made = [
        (
            "database.create_table",
            json!({"name": "taken", "columns": [{"name": "id", "type": "bigint"}]}),
            "TABLE_EXISTS",
        ),
        ("database.create", json!({"name": "taken"}), "DATABASE_EXISTS"),
        (
            "sql.create_view",
            json!({"name": "taken_view", "query": "SELECT 1 AS n"}),
            "TABLE_EXISTS",
        ),
        (
            "admin.create_user",
            json!({"username": "taken", "password": "correct horse battery", "roles": []}),
            "USER_EXISTS",
        ),
    ];
    for (id, input, code) in made {
        world.must(id, &input, "admin").await;
        let before = world.state().await;
        for wire in WIRES {
            let answer = wire
                .call(
                    &world,
                    contract::operation(id),
                    &input,
                    &world.credential("admin"),
                )
                .await;
            let error = answer.unwrap_err();
            assert_eq!(
                (error.code.as_str(), error.status),
                (code, 409),
                "{id} over {wire:?}"
            );
        }
        assert_eq!(before, world.state().await, "{id}");
    }
}

/// Of many rows of which the last is wrong, none is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_nothing_is_half_done() {
    let world = World::with_keys().await;
    let table =
        json!({"name": "whole", "columns": [{"name": "id", "type": "bigint"}], "primary_key": ["id"]});
    world.must("database.create_table", &table, "admin").await;
    let rows = |last: serde_json::Value| {
        let mut rows: Vec<_> = (0..50).map(|id| json!({"id": id})).collect();
        rows.push(last);
        rows
    };
    let calls = [
        (
            "database.insert_rows",
            json!({"name": "whole", "rows": rows(json!({"id": "x"}))}),
            "INVALID_VALUE",
        ),
        (
            "database.insert_rows",
            json!({"name": "whole", "rows": rows(json!({"id": 0}))}),
            "UNIQUE_VIOLATION",
        ),
        (
            "transactions.execute",
            json!({"operations": [
                {"op": "insert", "table": "whole", "rows": rows(json!({"id": 51}))},
                {"op": "delete", "table": "whole", "id": "9999"},
            ]}),
            "ROW_NOT_FOUND",
        ),
        (
            "sql.execute_query",
            json!({"sql": "INSERT INTO whole SELECT value % 40 FROM generate_series(0, 50)"}),
            "UNIQUE_VIOLATION",
        ),
    ];
    for (id, input, code) in calls {
        for wire in WIRES {
            let answer = wire
                .call(
                    &world,
                    contract::operation(id),
                    &input,
                    &world.credential("admin"),
                )
                .await;
            assert_eq!(answer.unwrap_err().code, code, "{id} over {wire:?}");
            let count = world
                .must("database.count_rows", &json!({"name": "whole"}), "admin")
                .await;
            assert_eq!(count["count"], 0, "{id} over {wire:?}");
        }
    }
}
