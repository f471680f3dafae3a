//! SQL through the services: formats, limits, parameters, batches, unions, views, plans.

use rustydb_sql::SqlConfig;
use serde_json::{Value, json};

use super::support::World;

#[tokio::test]
async fn rows_come_as_objects_or_arrays_with_the_names_and_types_of_columns() {
    let world = World::new();
    let sql = "SELECT CAST(1 AS bigint) AS a, 'x' AS b, CAST(1.5 AS decimal(5,2)) AS c";
    let columns = json!([{"name": "a", "type": "bigint"}, {"name": "b", "type": "text"}, {"name": "c", "type": "decimal(5,2)"}]);
    let objects = world.sql(sql).await;
    assert_eq!(
        (&objects["columns"], &objects["rows"]),
        (&columns, &json!([{"a": 1, "b": "x", "c": "1.50"}]))
    );
    let arrays = world
        .must("sql.execute_query", json!({"sql": sql, "format": "arrays"}))
        .await;
    assert_eq!(
        (&arrays["columns"], &arrays["rows"]),
        (&columns, &json!([[1, "x", "1.50"]]))
    );
}

#[tokio::test]
async fn a_limit_cuts_and_says_so_and_without_one_too_many_rows_are_refused() {
    let world = World::new();
    let series = |rows: u32| format!("SELECT value FROM generate_series(1, {rows})");
    for (rows, limit, row_count, truncated) in [
        (5, 4, 4, true),
        (5, 5, 5, false),
        (5, 6, 5, false),
        (30_000, 20_000, 20_000, true),
    ] {
        let input = json!({"sql": series(rows), "limit": limit});
        let result = world.must("sql.execute_query", input).await;
        assert_eq!(
            (&result["row_count"], &result["truncated"]),
            (&json!(row_count), &json!(truncated))
        );
        assert_eq!(result["rows"].as_array().unwrap().len(), row_count);
    }
    assert_eq!(world.sql(&series(10_000)).await["row_count"], 10_000);
    world
        .fails(
            "sql.execute_query",
            json!({"sql": series(10_001)}),
            "RESULT_TOO_LARGE",
        )
        .await;
    let union = json!({"queries": [series(3), series(4)], "all": true, "limit": 5});
    let result = world.must("sql.execute_union", union).await;
    assert_eq!(
        (&result["row_count"], &result["truncated"]),
        (&json!(5), &json!(true))
    );
    // The results of a batch are bounded together.
    let statements: Vec<String> = (0..11).map(|_| series(10_000)).collect();
    let batch = world
        .must("sql.execute_batch", json!({"statements": statements}))
        .await;
    assert_eq!((&batch["succeeded"], &batch["failed"]), (&json!(10), &json!(1)));
    assert_eq!(batch["outcomes"][10]["error"]["code"], "RESULT_TOO_LARGE");
}

#[tokio::test]
async fn parameters_are_typed_by_their_place_and_all_are_needed() {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, w text, d date)")
        .await;
    let run = async |sql: &str, params: Value| {
        world
            .call(
                "sql.execute_query",
                &json!({"sql": sql, "params": params, "format": "arrays"}),
                "admin",
            )
            .await
    };
    run(
        "INSERT INTO t VALUES ($1, $2, $3), ($4, NULL, NULL)",
        json!([1, "x'y", "2024-02-29", 2]),
    )
    .await
    .unwrap();
    let found = run("SELECT * FROM t WHERE w = $2 AND id = $1", json!([1, "x'y"]))
        .await
        .unwrap();
    assert_eq!(found["rows"], json!([[1, "x'y", "2024-02-29"]]));
    let updated = run("UPDATE t SET w = $1 WHERE id IN ($2, $3)", json!(["z", 1, 2]))
        .await
        .unwrap();
    assert_eq!(updated["rows_affected"], 2);
    for (sql, params) in [
        ("SELECT $1, $2", json!([1])),
        ("SELECT $1", json!([1, 2])),
        ("SELECT $0", json!([1])),
        ("SELECT 1", json!([1])),
        ("DELETE FROM t WHERE id = $2", json!([1])),
    ] {
        assert_eq!(
            run(sql, params).await.unwrap_err().code(),
            "INVALID_PARAMETER",
            "{sql}"
        );
    }
    let shared = json!({"queries": ["SELECT id FROM t WHERE id = $1", "SELECT id FROM t WHERE id > $1 AND w = $2"], "params": [1, "z"], "format": "arrays"});
    assert_eq!(world.must("sql.execute_union", shared).await["row_count"], 2);
    let unused = json!({"queries": ["SELECT $1", "SELECT 2"], "params": [1, 2]});
    world
        .fails("sql.execute_union", unused, "INVALID_PARAMETER")
        .await;
}

#[tokio::test]
async fn a_batch_is_one_transaction_or_as_many_as_it_has_statements() {
    let world = World::new();
    world.sql("CREATE TABLE t (id bigint PRIMARY KEY)").await;
    let statements = json!([
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t VALUES (1)",
        "SELECT count(*) AS n FROM t"
    ]);
    let atomic = world
        .must("sql.execute_batch", json!({"statements": statements}))
        .await;
    assert_eq!(
        (&atomic["succeeded"], &atomic["failed"], &atomic["committed"]),
        (&json!(1), &json!(1), &json!(false))
    );
    assert_eq!(atomic["outcomes"][2], json!({"index": 2}));
    assert_eq!(world.rows("SELECT count(*) FROM t").await, "[[0]]");
    let loose = world
        .must(
            "sql.execute_batch",
            json!({"statements": statements, "atomic": false}),
        )
        .await;
    assert_eq!(
        (&loose["succeeded"], &loose["failed"], &loose["committed"]),
        (&json!(2), &json!(1), &json!(true))
    );
    let error = &loose["outcomes"][1]["error"];
    assert_eq!(error["code"], "UNIQUE_VIOLATION");
    assert!(
        error["message"].as_str().unwrap().contains("(id) = (1)"),
        "{error}"
    );
    assert_eq!(loose["outcomes"][2]["result"]["rows"], json!([{"n": 1}]));
    // A statement sees what those before it did.
    let chain = json!([
        "CREATE TABLE u (n integer)",
        "INSERT INTO u SELECT value FROM generate_series(1, 4)",
        "UPDATE u SET n = n * 2",
        "SELECT sum(n) AS s FROM u"
    ]);
    let done = world
        .must("sql.execute_batch", json!({"statements": chain}))
        .await;
    assert_eq!(
        (&done["outcomes"][3]["result"]["rows"], &done["committed"]),
        (&json!([{"s": 20}]), &json!(true))
    );
    world
        .fails(
            "sql.execute_batch",
            json!({"statements": ["SELECT 1"], "atomic": false, "database": "no"}),
            "DATABASE_NOT_FOUND",
        )
        .await;
}

#[tokio::test]
async fn a_view_reads_through_and_keeps_its_meaning() {
    let world = World::new();
    world.sql("CREATE TABLE t (id bigint, w text)").await;
    world.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b')").await;
    let view = world
        .must(
            "sql.create_view",
            json!({"name": "v", "query": "SELECT * FROM t WHERE id > 1"}),
        )
        .await;
    assert_eq!(
        (&view["name"], &view["depends_on"], &view["schema"]),
        (&json!("v"), &json!(["t"]), &json!("public"))
    );
    assert!(view["query"].as_str().unwrap().contains("id > 1"), "{view}");
    assert_eq!(world.rows("SELECT * FROM v").await, r#"[[2,"b"]]"#);
    world
        .fails(
            "sql.create_view",
            json!({"name": "v", "query": "SELECT 1 AS n"}),
            "TABLE_EXISTS",
        )
        .await;
    world
        .must(
            "sql.create_view",
            json!({"name": "v", "query": "SELECT w FROM t", "replace": true}),
        )
        .await;
    assert_eq!(world.rows("SELECT * FROM v ORDER BY w").await, r#"[["a"],["b"]]"#);
    let schema = world.must("database.get_schema", json!({})).await;
    assert_eq!(schema["views"].as_array().unwrap().len(), 1);
    assert_eq!(
        world.must("database.get", json!({"name": "main"})).await["views"],
        json!(["v"])
    );
    for query in [
        "SELECT 1; SELECT 2",
        "INSERT INTO t VALUES (1)",
        "SELECT DISTINCT * FROM t FOR UPDATE",
    ] {
        world
            .fails(
                "sql.create_view",
                json!({"name": "x", "query": query}),
                "UNSUPPORTED",
            )
            .await;
    }
    world
        .fails(
            "sql.create_view",
            json!({"name": "x", "query": "SELECT $1 AS n"}),
            "INVALID_QUERY",
        )
        .await;
}

#[tokio::test]
async fn a_plan_tells_what_would_run_and_nothing_runs() {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, n integer)")
        .await;
    world.sql("INSERT INTO t VALUES (1, 1)").await;
    let plan = async |sql: &str| world.must("query.explain", json!({"sql": sql})).await;
    let filtered = plan("SELECT n FROM t WHERE n > 5").await;
    assert!(
        filtered["logical_plan"].as_str().unwrap().contains("n > "),
        "{filtered}"
    );
    assert!(
        filtered["physical_plan"].as_str().unwrap().contains("Exec"),
        "{filtered}"
    );
    let sorted = plan("SELECT n FROM t ORDER BY n DESC").await;
    assert_ne!(filtered["physical_plan"], sorted["physical_plan"]);
    assert!(
        sorted["physical_plan"].as_str().unwrap().contains("Sort"),
        "{sorted}"
    );
    for sql in ["DELETE FROM t", "UPDATE t SET n = 9", "INSERT INTO t SELECT 2, 2"] {
        plan(sql).await;
    }
    assert_eq!(world.rows("SELECT * FROM t").await, "[[1,1]]");
    let typed = json!({"sql": "SELECT n FROM t WHERE id = $1", "params": [1]});
    world.must("query.explain", typed).await;
    world
        .fails(
            "query.explain",
            json!({"sql": "SELECT 1; SELECT 2"}),
            "UNSUPPORTED",
        )
        .await;
}

#[tokio::test]
async fn a_write_that_is_refused_half_way_keeps_nothing() {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, n smallint NOT NULL)")
        .await;
    world.sql("INSERT INTO t VALUES (1, 1), (2, 2)").await;
    for (sql, code) in [
        ("INSERT INTO t VALUES (3, 3), (4, NULL)", "NOT_NULL_VIOLATION"),
        ("INSERT INTO t VALUES (3, 3), (4, 40000)", "INVALID_VALUE"),
        ("INSERT INTO t SELECT id + 1, n FROM t", "UNIQUE_VIOLATION"),
        ("UPDATE t SET id = 7", "UNIQUE_VIOLATION"),
        ("UPDATE t SET n = n / (id - 2)", "INVALID_QUERY"),
        ("DELETE FROM t WHERE 1 / (id - 2) > 5", "INVALID_QUERY"),
    ] {
        world.fails("sql.execute_query", json!({"sql": sql}), code).await;
        assert_eq!(
            world.rows("SELECT * FROM t ORDER BY id").await,
            "[[1,1],[2,2]]",
            "{sql}"
        );
    }
    assert_eq!(world.sql("UPDATE t SET id = id + 1").await["rows_affected"], 2);
    assert_eq!(world.rows("SELECT id FROM t ORDER BY id").await, "[[2],[3]]");
}

#[tokio::test]
async fn a_statement_that_needs_too_much_memory_is_refused_as_too_large() {
    let world = World::with_sql(SqlConfig {
        memory_bytes_max: 1 << 20,
        ..SqlConfig::default()
    });
    for sql in [
        "SELECT count(*) FROM generate_series(1, 1000000) AS a(x), generate_series(1, 1000000) AS b(y) WHERE (x * y) % 7 = 3",
        "SELECT x FROM generate_series(1, 1000000) AS a(x) ORDER BY x % 1000 LIMIT 500000",
    ] {
        world
            .fails("sql.execute_query", json!({"sql": sql}), "RESULT_TOO_LARGE")
            .await;
    }
    assert_eq!(
        world
            .rows("SELECT count(*) FROM generate_series(1, 1000000)")
            .await,
        "[[1000000]]"
    );
}
