//! Operations whose permission is what their SQL would do.

use codegen::model::PermissionRule;
use serde_json::{Value, json};

use super::{check, verdict};
use crate::harness::contract::{self, model};
use crate::harness::world::World;

const READ: &str = "database:read";
const WRITE: &str = "database:write";
const ADMIN: &str = "database:admin";

/// Texts and what all their statements need together.
const SCRIPTS: &[(&str, &[&str])] = &[
    ("SELECT id FROM access_rows", &[READ]),
    ("VALUES (1)", &[READ]),
    ("WITH a AS (SELECT 1 AS n) SELECT n FROM a", &[READ]),
    ("SELECT id FROM access_rows FOR UPDATE", &[WRITE]),
    ("INSERT INTO access_rows VALUES (1000)", &[WRITE]),
    (
        "INSERT INTO access_rows SELECT id + 2000 FROM access_other",
        &[WRITE],
    ),
    ("UPDATE access_rows SET id = id + 5000", &[WRITE]),
    ("DELETE FROM access_rows", &[WRITE]),
    (
        "WITH a AS (DELETE FROM access_rows RETURNING id) SELECT id FROM a",
        &[WRITE],
    ),
    ("CREATE TABLE access_made (id bigint)", &[ADMIN]),
    (
        "CREATE TABLE access_copied AS SELECT id FROM access_rows",
        &[ADMIN],
    ),
    ("SELECT id INTO access_into FROM access_rows", &[ADMIN]),
    ("CREATE VIEW access_view AS SELECT id FROM access_rows", &[ADMIN]),
    ("TRUNCATE TABLE access_rows", &[ADMIN]),
    ("DROP TABLE access_other", &[ADMIN]),
    ("CREATE DATABASE access_database", &[ADMIN]),
    ("DROP DATABASE access_database", &[ADMIN]),
    ("ALTER TABLE access_rows ADD COLUMN n bigint", &[ADMIN]),
    ("GRANT SELECT ON access_rows TO analyst", &[ADMIN]),
    ("EXPLAIN SELECT id FROM access_rows", &[READ]),
    ("EXPLAIN DELETE FROM access_rows", &[READ]),
    ("EXPLAIN ANALYZE SELECT id FROM access_rows", &[READ]),
    ("EXPLAIN ANALYZE DELETE FROM access_rows", &[WRITE]),
    (
        "EXPLAIN ANALYZE CREATE TABLE access_explained (id bigint)",
        &[ADMIN],
    ),
    (
        "SELECT id FROM access_rows; DELETE FROM access_rows",
        &[READ, WRITE],
    ),
    (
        "SELECT id FROM access_rows; DROP TABLE access_rows",
        &[READ, ADMIN],
    ),
    ("DELETE FROM access_rows; DROP TABLE access_rows", &[WRITE, ADMIN]),
    (
        "DROP TABLE access_rows; SELECT 1; DELETE FROM access_rows",
        &[READ, WRITE, ADMIN],
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_statements_need_what_they_would_do() {
    let world = World::with_keys().await;
    let mut faults = Vec::new();
    for (sql, needed) in SCRIPTS {
        refill(&world).await;
        for (id, input, extra) in calls(sql) {
            let mut needed: Vec<String> = needed.iter().map(|name| (*name).to_owned()).collect();
            needed.extend(extra.map(str::to_owned));
            let operation = contract::operation(id);
            check(
                &world,
                operation,
                &input,
                |caller| verdict(caller, &needed),
                &mut faults,
            )
            .await;
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// The operations that take the text, and what else they need by their other statements.
fn calls(sql: &str) -> Vec<(&'static str, Value, Option<&'static str>)> {
    let separate: Vec<&str> = sql.split("; ").collect();
    vec![
        ("sql.execute_query", json!({"sql": sql}), None),
        ("query.explain", json!({"sql": sql}), None),
        ("query.submit", json!({"sql": sql}), None),
        ("sql.execute_batch", json!({"statements": separate}), None),
        (
            "sql.execute_union",
            json!({"queries": [sql, "SELECT 1 AS id"]}),
            Some(READ),
        ),
    ]
}

/// Tables that the statements find; those that are gone are made again.
async fn refill(world: &World) {
    for name in ["access_rows", "access_other"] {
        let input = json!({"name": name, "columns": [{"name": "id", "type": "bigint"}]});
        // Refused where the table is there still.
        drop(
            world
                .call("database.create_table", &input, &world.credential("admin"))
                .await,
        );
        let rows = json!({"name": name, "rows": [{"id": 1}, {"id": 2}]});
        world.must("database.insert_rows", &rows, "admin").await;
    }
}

/// The table above is of these operations; one more in the contract wants a row there.
#[test]
fn access_statement_operations_are_all_tried() {
    let tried: Vec<&str> = calls("SELECT 1").into_iter().map(|(id, ..)| id).collect();
    for operation in model().operations() {
        if matches!(operation.permission, PermissionRule::Statement { .. }) {
            assert!(
                tried.contains(&operation.id.as_str()),
                "{} is not tried",
                operation.id
            );
        }
    }
}

/// Roles hold from the next call: a key does not keep what its owner had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_a_change_of_roles_holds_at_once() {
    let world = World::with_keys().await;
    let (input, key) = (json!({}), world.credential("analyst"));
    assert!(world.call("database.get_schema", &input, &key).await.is_ok());
    let change = json!({"id": "role_analyst", "roles": ["monitor"]});
    world.must("admin.update_user", &change, "admin").await;
    let denied = world.call("database.get_schema", &input, &key).await.unwrap_err();
    assert_eq!(denied.code, "PERMISSION_DENIED");
    let change = json!({"id": "role_analyst", "enabled": false});
    world.must("admin.update_user", &change, "admin").await;
    let refused = world.call("admin.get_version", &input, &key).await.unwrap_err();
    assert_eq!(refused.code, "UNAUTHENTICATED");
}
