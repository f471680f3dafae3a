//! Indexes as callers see them: with transactions, jobs and changes of rows by every operation.

use serde_json::{Value, json};

use super::support::World;

async fn filled() -> World {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, city text, n bigint)")
        .await;
    world
        .sql("INSERT INTO t SELECT value, 'c' || value % 50, value FROM generate_series(1, 500) AS s")
        .await;
    world
}

async fn verified(world: &World, name: &str) -> Value {
    world.must("indexes.verify", json!({"name": name})).await
}

async fn waited(world: &World, operation: &str, input: Value) -> Value {
    let job = world.must(operation, input).await;
    world.must("jobs.wait", json!({"id": job["id"]})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_that_changes_rows_keeps_the_indexes_whole() {
    let world = filled().await;
    for (name, columns, unique) in [
        ("by_city", json!(["city", "n"]), false),
        ("by_n", json!(["n"]), true),
    ] {
        let made = world
            .must(
                "indexes.create",
                json!({"name": name, "table": "t", "columns": columns, "unique": unique}),
            )
            .await;
        assert_eq!((&made["state"], &made["columns"]), (&json!("ready"), &columns));
    }
    let calls = [
        (
            "database.insert_rows",
            json!({"name": "t", "rows": [{"id": 501, "city": "c1"}, {"id": 502}]}),
        ),
        (
            "database.update_row",
            json!({"name": "t", "id": "7", "values": {"city": "c0", "n": null}}),
        ),
        (
            "database.update_rows",
            json!({"name": "t", "filter": {"field": "city", "operator": "EQ", "value": "c3"}, "values": {"city": "elsewhere"}}),
        ),
        ("database.delete_row", json!({"name": "t", "id": "8"})),
        (
            "database.delete_rows",
            json!({"name": "t", "filter": {"field": "city", "operator": "EQ", "value": "c4"}}),
        ),
        (
            "database.upsert_row",
            json!({"name": "t", "values": {"id": 9, "city": "there", "n": 1009}}),
        ),
        (
            "database.upsert_row",
            json!({"name": "t", "values": {"id": 900, "city": "not there", "n": 1900}}),
        ),
        (
            "sql.execute_query",
            json!({"sql": "UPDATE t SET id = id + 1000, n = n + 5000 WHERE id BETWEEN 20 AND 40"}),
        ),
    ];
    for (operation, input) in calls {
        world.must(operation, input).await;
        for name in ["by_city", "by_n"] {
            let found = verified(&world, name).await;
            assert_eq!(found["sound"], true, "{operation}: {found}");
        }
    }
    let twice = json!({"name": "t", "rows": [{"id": 950, "n": 1900}]});
    let error = world
        .fails("database.insert_rows", twice, "UNIQUE_VIOLATION")
        .await;
    assert!(error.message().contains("\"by_n\""), "{error}");
    let loaded =
        json!({"name": "t", "rows": [{"id": 960, "n": 1}, {"id": 961, "n": 2961}], "on_error": "skip"});
    let loaded = waited(&world, "database.bulk_load_rows", loaded).await;
    assert_eq!(loaded["result"]["rows_failed"], 1, "{loaded}");
    let page = json!({"name": "t", "filter": {"field": "city", "operator": "EQ", "value": "there"}});
    let found = world.must("database.query_rows", page).await;
    assert_eq!(found["rows"].as_array().unwrap().len(), 1, "{found}");
    let used = world.must("indexes.get_stats", json!({"name": "by_city"})).await;
    assert!(
        used["scans"].as_u64() > Some(0),
        "rows are filtered by the index: {used}"
    );

    let columns = json!([{"name": "id", "type": "bigint"}, {"name": "n", "type": "bigint"}]);
    let replaced = json!({"name": "t", "columns": columns, "primary_key": ["id"]});
    world.must("database.replace_table", replaced).await;
    let left = world.must("indexes.list", json!({})).await;
    assert_eq!(left["indexes"].as_array().unwrap().len(), 1, "{left}");
    assert_eq!(verified(&world, "by_n").await["sound"], true);
    world.must("sql.truncate_table", json!({"name": "t"})).await;
    let empty = verified(&world, "by_n").await;
    assert_eq!((&empty["sound"], &empty["entries"]), (&json!(true), &json!(0)));
    world.must("database.drop_table", json!({"name": "t"})).await;
    world
        .fails("indexes.get", json!({"name": "by_n"}), "INDEX_NOT_FOUND")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_of_a_transaction_is_there_for_it_alone_until_it_commits() {
    let world = filled().await;
    let begun = world.must("transactions.begin", json!({})).await;
    let own = begun["transaction_id"].clone();
    assert!(own.is_string(), "{begun}");
    let in_it = |mut input: Value| {
        input["transaction_id"] = own.clone();
        input
    };
    world
        .must(
            "indexes.create",
            in_it(json!({"name": "by_n", "table": "t", "columns": ["n"]})),
        )
        .await;
    world
        .must(
            "sql.execute_query",
            in_it(json!({"sql": "CREATE INDEX by_city ON t (city)"})),
        )
        .await;
    let listed = world.must("indexes.list", in_it(json!({"table": "t"}))).await;
    assert_eq!(listed["indexes"].as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(world.must("indexes.list", json!({})).await["indexes"], json!([]));
    world
        .must("indexes.drop", in_it(json!({"name": "by_city"})))
        .await;
    world.must("transactions.commit", json!({"id": own})).await;
    assert_eq!(verified(&world, "by_n").await["entries"], 500);
    world
        .fails("indexes.get", json!({"name": "by_city"}), "INDEX_NOT_FOUND")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_indexes_go_on_behind_the_last_name() {
    let world = filled().await;
    for name in ["c", "a", "b"] {
        world.sql(&format!("CREATE INDEX {name} ON t (n)")).await;
    }
    let (mut names, mut after) = (Vec::new(), Value::Null);
    loop {
        let mut input = json!({"limit": 1});
        if after.is_string() {
            input["after"] = after;
        }
        let page = world.must("indexes.list", input).await;
        names.push(page["indexes"][0]["name"].clone());
        after = page["next"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!(names, ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuilt_index_is_whole_though_rows_change_meanwhile() {
    let world = filled().await;
    world.sql("CREATE INDEX by_city ON t (city)").await;
    let before = world.must("indexes.get", json!({"name": "by_city"})).await;
    let job = world.must("indexes.rebuild", json!({"name": "by_city"})).await;
    for id in 0..40 {
        world
            .sql(&format!("UPDATE t SET city = 'moved' WHERE id % 40 = {id}"))
            .await;
    }
    let done = world.must("jobs.wait", json!({"id": job["id"]})).await;
    assert_eq!(done["state"], "succeeded", "{done}");
    assert_eq!(done["result"]["entries"], 500);
    assert_eq!(done["progress"], json!({"done": 500, "total": 500}));
    assert_eq!(
        world.must("indexes.get", json!({"name": "by_city"})).await,
        before
    );
    let found = verified(&world, "by_city").await;
    assert_eq!(
        (&found["sound"], &found["rows"]),
        (&json!(true), &json!(500)),
        "{found}"
    );
    assert_eq!(
        world.rows("SELECT count(*) FROM t WHERE city = 'moved'").await,
        "[[500]]"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_fails_says_which_values_and_leaves_nothing() {
    let world = filled().await;
    for (operation, input) in [
        (
            "indexes.create",
            json!({"name": "i", "table": "t", "columns": ["city"], "unique": true}),
        ),
        (
            "sql.execute_query",
            json!({"sql": "CREATE UNIQUE INDEX i ON t (city)"}),
        ),
    ] {
        let error = world.fails(operation, input, "UNIQUE_VIOLATION").await;
        assert!(error.message().contains("(city) = (c"), "{error}");
        assert_eq!(world.must("indexes.list", json!({})).await["indexes"], json!([]));
    }
    let missing = json!({"name": "i", "database": "nowhere"});
    for operation in [
        "indexes.get",
        "indexes.verify",
        "indexes.get_stats",
        "indexes.drop",
        "indexes.rebuild",
    ] {
        world
            .fails(operation, missing.clone(), "DATABASE_NOT_FOUND")
            .await;
    }
    world
        .fails(
            "indexes.list",
            json!({"database": "nowhere"}),
            "DATABASE_NOT_FOUND",
        )
        .await;
    let input = json!({"name": "i", "table": "t", "columns": ["n"], "database": "nowhere"});
    world.fails("indexes.create", input, "DATABASE_NOT_FOUND").await;
}
