//! What is refused, with which code and details, and that nothing of it is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustydb_contract::host::StatementClassifier;
use rustydb_contract_core::access::{DATABASE_ADMIN, DATABASE_READ, DATABASE_WRITE};
use rustydb_runtime::ManualClock;
use rustydb_runtime::disk::simulated::SimDisk;
use rustydb_store::error::StoreError;
use rustydb_store::kernel_store::KernelStore;
use rustydb_store::seam::{CommitSeq, LogEntry, LogExtent, StoreSnapshot, TableStore, WriteBatch};
use rustydb_store::testing::{kernel_store, kernel_store_on};
use serde_json::{Value, json};

use super::support::{START_US, World};

/// The operations that take `database` and `transaction_id`, with an input that would succeed without.
fn placed() -> Vec<(&'static str, Value)> {
    let rows = json!([{"id": 9}]);
    let all = json!({"and": []});
    vec![
        (
            "database.aggregate_rows",
            json!({"name": "t", "aggregates": [{"function": "COUNT", "field": "*"}]}),
        ),
        ("database.count_rows", json!({"name": "t"})),
        (
            "database.create_table",
            json!({"name": "u", "columns": [{"name": "id", "type": "bigint"}]}),
        ),
        ("database.delete_row", json!({"name": "t", "id": "1"})),
        ("database.delete_rows", json!({"name": "t", "filter": all})),
        ("database.drop_table", json!({"name": "t"})),
        ("database.get_row", json!({"name": "t", "id": "1"})),
        ("database.get_schema", json!({})),
        ("database.get_table", json!({"name": "t"})),
        ("database.get_table_stats", json!({"name": "t"})),
        ("database.insert_rows", json!({"name": "t", "rows": rows})),
        ("database.list_tables", json!({})),
        ("database.query_rows", json!({"name": "t"})),
        (
            "database.replace_table",
            json!({"name": "t", "columns": [{"name": "id", "type": "bigint"}]}),
        ),
        (
            "database.update_row",
            json!({"name": "t", "id": "1", "values": {"n": 1}}),
        ),
        (
            "database.update_rows",
            json!({"name": "t", "filter": all, "values": {"n": 1}}),
        ),
        ("database.upsert_row", json!({"name": "t", "values": {"id": 1}})),
        ("query.explain", json!({"sql": "SELECT id FROM t"})),
        (
            "sql.create_view",
            json!({"name": "v", "query": "SELECT id FROM t"}),
        ),
        ("sql.drop_view", json!({"name": "w"})),
        ("sql.execute_batch", json!({"statements": ["SELECT id FROM t"]})),
        ("sql.execute_query", json!({"sql": "SELECT id FROM t"})),
        (
            "sql.execute_union",
            json!({"queries": ["SELECT id FROM t", "SELECT id FROM t"]}),
        ),
        ("sql.truncate_table", json!({"name": "t"})),
        (
            "transactions.execute",
            json!({"operations": [{"op": "delete", "table": "t", "id": "1"}]}),
        ),
    ]
}

fn with(input: &Value, field: &str, value: Value) -> Value {
    let mut input = input.clone();
    input[field] = value;
    input
}

async fn filled() -> World {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, n integer)")
        .await;
    world.sql("INSERT INTO t VALUES (1, 10), (2, 20)").await;
    world.sql("CREATE VIEW w AS SELECT 1 AS one").await;
    world
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named_by_every_operation() {
    let world = filled().await;
    for (id, input) in placed() {
        let error = world
            .fails(
                id,
                with(&input, "database", json!("nowhere")),
                "DATABASE_NOT_FOUND",
            )
            .await;
        assert!(error.message().contains("\"nowhere\""), "{id}: {error}");
    }
    world
        .fails(
            "transactions.begin",
            json!({"database": "nowhere"}),
            "DATABASE_NOT_FOUND",
        )
        .await;
    world
        .fails("database.get", json!({"name": "nowhere"}), "DATABASE_NOT_FOUND")
        .await;
    world
        .fails("database.drop", json!({"name": "nowhere"}), "DATABASE_NOT_FOUND")
        .await;
}

#[tokio::test]
async fn a_transaction_that_is_not_the_callers_is_not_there() {
    let world = filled().await;
    let others = world
        .call("transactions.begin", &json!({}), "developer")
        .await
        .unwrap();
    for (id, input) in placed() {
        for transaction in [json!("77"), others["transaction_id"].clone()] {
            world
                .fails(
                    id,
                    with(&input, "transaction_id", transaction),
                    "TRANSACTION_NOT_FOUND",
                )
                .await;
        }
    }
    for id in ["transactions.get", "transactions.commit", "transactions.rollback"] {
        let unknown = world
            .fails(id, json!({"id": "77"}), "TRANSACTION_NOT_FOUND")
            .await;
        let foreign = world
            .fails(
                id,
                json!({"id": others["transaction_id"]}),
                "TRANSACTION_NOT_FOUND",
            )
            .await;
        // Nothing tells an outsider that it exists.
        let other_id = others["transaction_id"].as_str().unwrap();
        assert_eq!(unknown.message().replace("77", other_id), foreign.message());
    }
}

#[tokio::test]
async fn a_transaction_that_has_ended_says_how() {
    let world = filled().await;
    let begin = async || {
        world
            .must("transactions.begin", json!({"idle_timeout_ms": 1000}))
            .await["transaction_id"]
            .clone()
    };
    let (committed, rolled_back, idle) = (begin().await, begin().await, begin().await);
    world.must("transactions.commit", json!({"id": committed})).await;
    world
        .must("transactions.rollback", json!({"id": rolled_back}))
        .await;
    world.clock.advance_us(1_000_001);
    for (transaction, how) in [
        (committed, "committed"),
        (rolled_back, "rolled back"),
        (idle, "idle too long"),
    ] {
        for (id, input) in placed() {
            let input = with(&input, "transaction_id", transaction.clone());
            let error = world.fails(id, input, "TRANSACTION_NOT_ACTIVE").await;
            assert!(error.message().contains(how), "{id}: {error}");
        }
        for id in ["transactions.get", "transactions.commit", "transactions.rollback"] {
            world
                .fails(id, json!({"id": transaction}), "TRANSACTION_NOT_ACTIVE")
                .await;
        }
    }
}

#[tokio::test]
async fn a_read_only_transaction_reads_and_refuses_every_write() {
    let world = filled().await;
    let begun = world.must("transactions.begin", json!({"read_only": true})).await;
    let transaction = begun["transaction_id"].clone();
    let reads = [
        "database.aggregate_rows",
        "database.count_rows",
        "database.get_row",
        "database.get_schema",
        "database.get_table",
        "database.get_table_stats",
        "database.list_tables",
        "database.query_rows",
        "query.explain",
        "sql.execute_batch",
        "sql.execute_query",
        "sql.execute_union",
    ];
    for (id, input) in placed() {
        let input = with(&input, "transaction_id", transaction.clone());
        if reads.contains(&id) {
            world.must(id, input).await;
        } else {
            world.fails(id, input, "TRANSACTION_READ_ONLY").await;
        }
    }
    let write = json!({"sql": "DELETE FROM t", "transaction_id": transaction});
    world
        .fails("sql.execute_query", write, "TRANSACTION_READ_ONLY")
        .await;
    assert_eq!(world.rows("SELECT * FROM t ORDER BY id").await, "[[1,10],[2,20]]");
}

#[tokio::test]
async fn sql_errors_say_where() {
    let world = filled().await;
    let cases = [
        ("SELECT 1;\n  SELEC 2", "SYNTAX_ERROR", 2, 3),
        ("", "SYNTAX_ERROR", 1, 1),
        ("-- nothing", "SYNTAX_ERROR", 1, 1),
        ("SELECT 1;\n SELECT 2", "UNSUPPORTED", 2, 2),
        ("BEGIN", "UNSUPPORTED", 1, 1),
        ("SELECT DISTINCT id\nFROM t FOR UPDATE", "UNSUPPORTED", 2, 8),
        ("SELECT * FROM t WHERE id = ?", "UNSUPPORTED", 1, 28),
    ];
    for (sql, code, line, column) in cases {
        if sql.is_empty() {
            continue;
        }
        let error = world.fails("sql.execute_query", json!({"sql": sql}), code).await;
        assert_eq!(
            error.details(),
            Some(&json!({"line": line, "column": column})),
            "{sql}: {error}"
        );
    }
    let second = world
        .fails(
            "sql.execute_query",
            json!({"sql": "SELECT 1; SELECT 2"}),
            "UNSUPPORTED",
        )
        .await;
    assert!(second.message().contains("sql.execute_batch"), "{second}");
    for (sql, operation) in [("BEGIN", "begin"), ("COMMIT", "commit"), ("ROLLBACK", "rollback")] {
        let error = world
            .fails("sql.execute_query", json!({"sql": sql}), "UNSUPPORTED")
            .await;
        assert!(
            error.message().contains(&format!("transactions.{operation}")),
            "{error}"
        );
    }
    world
        .fails(
            "sql.execute_batch",
            json!({"statements": ["DELETE FROM t", "SELEC 1"]}),
            "SYNTAX_ERROR",
        )
        .await;
    // Which part of a list is meant.
    let error = world
        .fails(
            "sql.execute_batch",
            json!({"statements": ["DELETE FROM t", "ROLLBACK"]}),
            "UNSUPPORTED",
        )
        .await;
    assert!(error.message().starts_with("statements.1: "), "{error}");
    assert_eq!(
        world.rows("SELECT count(*) FROM t").await,
        "[[2]]",
        "nothing of the batch ran"
    );
    let queries = json!({"queries": ["SELECT 1", "DELETE FROM t"]});
    // Read as an administrator, so that no permission is in the way.
    let error = world.fails("sql.execute_union", queries, "UNSUPPORTED").await;
    assert!(error.message().starts_with("queries.1: "), "{error}");
}

#[tokio::test]
async fn what_sql_would_do_decides_what_it_needs() {
    let world = World::new();
    let needed = |sql: &str| world.engine.permissions(sql).map_err(|error| error.code());
    assert_eq!(needed("SELECT 1"), Ok(DATABASE_READ));
    assert_eq!(needed("EXPLAIN SELECT 1"), Ok(DATABASE_READ));
    assert_eq!(needed("COMMIT"), Ok(DATABASE_READ));
    assert_eq!(needed("DELETE FROM t"), Ok(DATABASE_WRITE));
    assert_eq!(
        needed("WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d"),
        Ok(DATABASE_WRITE)
    );
    assert_eq!(needed("DROP TABLE t"), Ok(DATABASE_ADMIN));
    assert_eq!(needed("GRANT SELECT ON t TO u"), Ok(DATABASE_ADMIN));
    assert_eq!(
        needed("SELECT 1; DELETE FROM t; DROP TABLE t"),
        Ok(DATABASE_READ.union(DATABASE_WRITE).union(DATABASE_ADMIN))
    );
    for sql in ["SELEC 1", "", " ; ;", "/* */"] {
        assert_eq!(needed(sql), Err("SYNTAX_ERROR"), "{sql:?}");
    }
    for sql in ["(".repeat(10_000), " ".repeat(2 << 20), "SELECT 1;".repeat(5_000)] {
        assert_eq!(needed(&sql), Err("UNSUPPORTED"));
    }
    let at = world.engine.permissions("SELECT 1;\nSELEC").unwrap_err();
    assert_eq!(at.details(), Some(&json!({"line": 2, "column": 1})));
    for (role, sql, may) in [
        ("analyst", "SELECT 1", true),
        ("analyst", "DELETE FROM t", false),
        ("developer", "CREATE TABLE t (id bigint)", false),
        ("monitor", "SELECT 1", false),
    ] {
        let answer = world.call("sql.execute_query", &json!({"sql": sql}), role).await;
        assert_eq!(answer.is_ok(), may, "{role}: {sql}");
    }
}

#[tokio::test]
async fn filters_of_another_form_are_refused_by_their_path() {
    let world = filled().await;
    let cases = [
        (json!({"field": "id"}), "filter.value"),
        (
            json!({"field": "id", "operator": "IN", "value": 1}),
            "filter.value",
        ),
        (json!({"field": "id", "operator": "IN"}), "filter.values"),
        (
            json!({"field": "id", "operator": "IS_NULL", "value": 1}),
            "filter.value",
        ),
        (
            json!({"field": "id", "operator": "IS_NULL", "values": [1]}),
            "filter.values",
        ),
        (
            json!({"field": "id", "operator": "GT", "values": [1]}),
            "filter.values",
        ),
        (
            json!({"and": [{"field": "id", "value": 1}, {"or": [{"not": {"field": "n"}}]}]}),
            "filter.and.1.or.0.not.value",
        ),
        (json!({"and": [], "operator": "EQ"}), "filter"),
    ];
    for (filter, field) in cases {
        for id in [
            "database.count_rows",
            "database.query_rows",
            "database.delete_rows",
        ] {
            let error = world
                .fails(id, json!({"name": "t", "filter": filter}), "INVALID_ARGUMENT")
                .await;
            assert_eq!(error.details().unwrap()["field"], field, "{filter}: {error}");
        }
    }
    let mut deep = json!({"field": "id", "value": 1});
    for _ in 0..60 {
        deep = json!({"not": deep});
    }
    world
        .fails(
            "database.count_rows",
            json!({"name": "t", "filter": deep}),
            "INVALID_ARGUMENT",
        )
        .await;
    let cases = [
        json!({"field": "id", "operator": "LIKE", "value": 1}),
        json!({"field": "id", "operator": "LIKE", "value": "1%"}),
        json!({"field": "n", "operator": "GT", "value": 4_000_000_000_u64}),
        json!({"field": "n", "operator": "IN", "values": [1, "x"]}),
    ];
    for filter in cases {
        world
            .fails(
                "database.count_rows",
                json!({"name": "t", "filter": filter}),
                "INVALID_VALUE",
            )
            .await;
    }
    assert_eq!(world.rows("SELECT count(*) FROM t").await, "[[2]]");
}

#[tokio::test]
async fn inputs_that_ask_for_one_thing_twice_or_for_nonsense_are_refused_by_their_path() {
    let world = filled().await;
    let cases = [
        (
            "database.query_rows",
            json!({"name": "t", "columns": ["id", "n", "id"]}),
            "columns.2",
        ),
        (
            "database.query_rows",
            json!({"name": "t", "order_by": ["id", "-id"]}),
            "order_by.1",
        ),
        ("database.query_rows", json!({"name": "t", "after": "x"}), "after"),
        ("database.list", json!({"after": "AAAA"}), "after"),
        ("database.list_tables", json!({"after": "AAAA"}), "after"),
        ("transactions.list_active", json!({"after": "AAAA"}), "after"),
        (
            "database.aggregate_rows",
            json!({"name": "t", "group_by": ["n", "n"], "aggregates": [{"function": "COUNT", "field": "*"}]}),
            "group_by.1",
        ),
        (
            "database.aggregate_rows",
            json!({"name": "t", "aggregates": [{"function": "COUNT", "field": "*"}, {"function": "SUM", "field": "*"}]}),
            "aggregates.1.field",
        ),
        (
            "database.aggregate_rows",
            json!({"name": "t", "group_by": ["id"], "limit": 1, "aggregates": [{"function": "COUNT", "field": "*"}]}),
            "limit",
        ),
        // 63 characters and 126 bytes.
        ("database.create", json!({"name": "ä".repeat(63)}), "name"),
    ];
    for (id, input, field) in cases {
        let error = world.fails(id, input.clone(), "INVALID_ARGUMENT").await;
        assert_eq!(error.details().unwrap()["field"], field, "{id} {input}: {error}");
        assert!(error.message().starts_with(field) || field == "name", "{error}");
    }
}

#[tokio::test]
async fn a_wrong_default_or_type_is_a_wrong_definition() {
    let world = filled().await;
    let column = |default: &str, ty: &str| json!([{"name": "id", "type": "bigint"}, {"name": "c", "type": ty, "default": default}]);
    let cases = [
        column("'x'", "integer"),
        column("1 +", "integer"),
        column("id", "bigint"),
        column("(SELECT 1)", "bigint"),
        column("1 FROM t", "bigint"),
        column("no_such_function()", "bigint"),
        column("1 / 0", "bigint"),
        column("$1", "bigint"),
        column("1", "varchar(10)"),
        json!([{"name": "_rowid", "type": "bigint"}]),
    ];
    for columns in cases {
        for id in ["database.create_table", "database.replace_table"] {
            let name = if id == "database.create_table" {
                "made"
            } else {
                "t"
            };
            world
                .fails(
                    id,
                    json!({"name": name, "columns": columns}),
                    "INVALID_DEFINITION",
                )
                .await;
        }
    }
    assert_eq!(world.rows("SELECT * FROM t ORDER BY id").await, "[[1,10],[2,20]]");
    world
        .fails("database.get_table", json!({"name": "made"}), "TABLE_NOT_FOUND")
        .await;
}

#[tokio::test]
async fn a_view_is_no_table_and_a_table_no_view() {
    let world = filled().await;
    for (id, input) in [
        ("database.get_table", json!({"name": "w"})),
        ("database.get_row", json!({"name": "w", "id": "1"})),
        ("database.query_rows", json!({"name": "w"})),
        ("database.insert_rows", json!({"name": "w", "rows": [{"one": 1}]})),
        ("database.drop_table", json!({"name": "w"})),
        ("sql.truncate_table", json!({"name": "w"})),
    ] {
        let error = world.fails(id, input, "TABLE_NOT_FOUND").await;
        assert!(error.message().contains("view"), "{error}");
    }
    world
        .fails("sql.drop_view", json!({"name": "t"}), "VIEW_NOT_FOUND")
        .await;
    let over = json!({"name": "t", "query": "SELECT 1 AS n", "replace": true});
    world.fails("sql.create_view", over, "TABLE_EXISTS").await;
    let twice = json!({"name": "v", "query": "SELECT 1 AS n, 2 AS n"});
    world.fails("sql.create_view", twice, "INVALID_QUERY").await;
    let self_read = json!({"name": "w", "query": "SELECT * FROM w", "replace": true});
    world.fails("sql.create_view", self_read, "INVALID_QUERY").await;
}

/// A store whose disk fails on demand.
struct Failing {
    store: KernelStore,
    broken: AtomicBool,
}

impl TableStore for Failing {
    fn snapshot(&self) -> Result<Arc<dyn StoreSnapshot>, StoreError> {
        self.store.snapshot()
    }

    fn commit(&self, batch: WriteBatch) -> Result<CommitSeq, StoreError> {
        self.check_writable()?;
        self.store.commit(batch)
    }

    fn log_after(&self, after: CommitSeq, entries_max: usize) -> Result<Vec<LogEntry>, StoreError> {
        self.store.log_after(after, entries_max)
    }

    fn log_extent(&self) -> Result<LogExtent, StoreError> {
        self.store.log_extent()
    }

    fn commits(&self) -> tokio::sync::watch::Receiver<CommitSeq> {
        self.store.commits()
    }

    fn read_interest(&self) -> rustydb_store::reads::ReadInterest {
        self.store.read_interest()
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        match self.broken.load(Ordering::SeqCst) {
            true => Err(StoreError::Poisoned {
                reason: "sync failed".to_owned(),
            }),
            false => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_failed_disk_is_a_storage_failure_and_reads_go_on() {
    let clock = Arc::new(ManualClock::new(START_US));
    let store = kernel_store(clock.clone());
    let kernel = Arc::clone(store.kernel());
    let store = Arc::new(Failing {
        store,
        broken: AtomicBool::new(false),
    });
    let world = World::above(store.clone(), kernel, clock);
    world.sql("CREATE TABLE t (id bigint PRIMARY KEY)").await;
    let transaction = world.must("transactions.begin", json!({})).await["transaction_id"].clone();
    let insert = json!({"name": "t", "rows": [{"id": 1}], "transaction_id": transaction});
    world.must("database.insert_rows", insert).await;
    store.broken.store(true, Ordering::SeqCst);
    world
        .fails(
            "database.insert_rows",
            json!({"name": "t", "rows": [{"id": 2}]}),
            "STORAGE_FAILURE",
        )
        .await;
    world
        .fails(
            "sql.execute_query",
            json!({"sql": "INSERT INTO t VALUES (3)"}),
            "STORAGE_FAILURE",
        )
        .await;
    world
        .fails(
            "transactions.commit",
            json!({"id": transaction}),
            "STORAGE_FAILURE",
        )
        .await;
    world
        .fails(
            "transactions.commit",
            json!({"id": transaction}),
            "TRANSACTION_NOT_ACTIVE",
        )
        .await;
    assert_eq!(world.rows("SELECT count(*) FROM t").await, "[[0]]");
    store.broken.store(false, Ordering::SeqCst);
    world
        .must("database.insert_rows", json!({"name": "t", "rows": [{"id": 4}]}))
        .await;
    assert_eq!(world.rows("SELECT id FROM t").await, "[[4]]");
}

#[tokio::test]
async fn a_full_disk_refuses_what_needs_room_until_there_is_some() {
    let clock = Arc::new(ManualClock::new(START_US));
    let disk = SimDisk::new(1);
    let store = Arc::new(kernel_store_on(&disk, clock.clone()).unwrap());
    let world = World::on(Arc::clone(&store), clock);
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, name text)")
        .await;
    disk.set_capacity(Some(disk.used_bytes()));
    let insert = |id: u64| json!({"name": "t", "rows": [{"id": id, "name": "x".repeat(2 << 20)}]});
    let refused = world.fails("database.insert_rows", insert(1), "DISK_FULL").await;
    assert!(refused.message().contains("no space is left"), "{refused}");
    assert_eq!(world.rows("SELECT count(*) FROM t").await, "[[0]]");
    disk.set_capacity(None);
    store.kernel().step().unwrap();
    world.must("database.insert_rows", insert(1)).await;
    assert_eq!(world.rows("SELECT count(*) FROM t").await, "[[1]]");
}
