//! Paging: every row once, whatever is written meanwhile, and cursors that fit no other list.

use rustydb_sql::rows::OrderColumn;
use serde_json::{Value, json};

use super::support::World;
use crate::data::reads::list_name;

/// Ids of all pages.
async fn walk(world: &World, id: &str, input: &Value, items: &str, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut input = input.clone();
    loop {
        let page = world.must(id, input.clone()).await;
        let list = page[items].as_array().unwrap();
        found.extend(list.iter().map(|item| item[name].as_str().unwrap().to_owned()));
        match page.get("next") {
            Some(next) => {
                assert_eq!(
                    list.len() as u64,
                    input["limit"].as_u64().unwrap(),
                    "only the last page is short"
                );
                input["after"] = next.clone();
            }
            None => return found,
        }
    }
}

#[tokio::test]
async fn pages_of_rows_in_any_order_have_each_row_once() {
    let world = World::new();
    world
        .sql("CREATE TABLE t (a bigint, b text, r double precision, PRIMARY KEY (a, b))")
        .await;
    let mut rows = Vec::new();
    for a in 0..7 {
        for b in ["x", "y", "ü\"'"] {
            let r = match a {
                0 => Value::Null,
                1 => json!("NaN"),
                other => json!(f64::from(other % 3) / 3.0),
            };
            rows.push(json!({"a": a, "b": b, "r": r}));
        }
    }
    world
        .must("database.insert_rows", json!({"name": "t", "rows": rows}))
        .await;
    let orders: [(Value, &str); 5] = [
        (json!([]), "a, b"),
        (json!(["b"]), "b, a"),
        (json!(["-b", "a"]), "b DESC, a"),
        (json!(["r"]), "r ASC NULLS LAST, a, b"),
        (json!(["-r", "-a"]), "r DESC NULLS FIRST, a DESC, b"),
    ];
    for (order, sql) in orders {
        let expected = world.rows(&format!("SELECT a, b FROM t ORDER BY {sql}")).await;
        let expected: Vec<(i64, String)> = serde_json::from_str(&expected).unwrap();
        let expected: Vec<String> = expected.iter().map(|(a, b)| json!([a, b]).to_string()).collect();
        for limit in [1, 4, 21, 1000] {
            let input = json!({"name": "t", "order_by": order, "limit": limit});
            assert_eq!(
                walk(&world, "database.query_rows", &input, "rows", "id").await,
                expected,
                "{order} by {limit}"
            );
        }
    }
}

#[tokio::test]
async fn rows_written_between_two_pages_neither_repeat_nor_hide_others() {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, n integer)")
        .await;
    world
        .sql("INSERT INTO t SELECT value * 10, value % 3 FROM generate_series(1, 10)")
        .await;
    let mut input = json!({"name": "t", "order_by": ["id"], "limit": 4});
    let first = world.must("database.query_rows", input.clone()).await;
    world.sql("INSERT INTO t VALUES (5, 0), (45, 0)").await;
    world.sql("DELETE FROM t WHERE id IN (10, 40, 50)").await;
    input["after"] = first["next"].clone();
    let second = world.must("database.query_rows", input).await;
    let ids: Vec<&Value> = second["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["id"])
        .collect();
    assert_eq!(json!(ids), json!(["45", "60", "70", "80"]));
}

#[tokio::test]
async fn a_cursor_fits_its_own_list_only_and_no_damage_goes_unseen() {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, n integer)")
        .await;
    world
        .sql("CREATE TABLE u (id bigint PRIMARY KEY, n integer)")
        .await;
    world
        .sql("INSERT INTO t SELECT value, value FROM generate_series(1, 9)")
        .await;
    let input = json!({"name": "t", "order_by": ["n"], "filter": {"field": "n", "operator": "GT", "value": 1}, "limit": 2});
    let next = world.must("database.query_rows", input.clone()).await["next"].clone();
    let changed = |field: &str, value: Value| {
        let mut other = input.clone();
        other[field] = value;
        other["after"] = next.clone();
        other
    };
    let foreign = [
        changed("name", json!("u")),
        changed("order_by", json!(["-n"])),
        changed("order_by", json!(["id"])),
        changed("order_by", json!([])),
        changed("filter", json!({"field": "n", "operator": "GE", "value": 1})),
        changed("filter", json!({"and": []})),
    ];
    for input in foreign {
        let error = world
            .fails("database.query_rows", input.clone(), "INVALID_ARGUMENT")
            .await;
        assert_eq!(error.details(), Some(&json!({"field": "after"})), "{input}");
    }
    // What does not change the order may change from page to page.
    world
        .must("database.query_rows", changed("limit", json!(5)))
        .await;
    world
        .must("database.query_rows", changed("columns", json!(["id"])))
        .await;
    let text = next.as_str().unwrap();
    for at in 0..text.len() {
        let mut damaged = text.to_owned();
        damaged.replace_range(at..=at, if &text[at..=at] == "A" { "B" } else { "A" });
        let mut input = input.clone();
        input["after"] = json!(damaged);
        world
            .fails("database.query_rows", input, "INVALID_ARGUMENT")
            .await;
    }
    // The key has another form after this.
    let columns = json!([{"name": "id", "type": "bigint"}, {"name": "n", "type": "integer"}]);
    world
        .must(
            "database.replace_table",
            json!({"name": "t", "columns": columns, "primary_key": ["n"]}),
        )
        .await;
    world
        .fails(
            "database.query_rows",
            changed("limit", json!(2)),
            "INVALID_ARGUMENT",
        )
        .await;
}

#[tokio::test]
async fn a_cursor_holds_values_of_every_type_and_refuses_those_too_long() {
    let world = World::new();
    world
        .sql(
            "CREATE TABLE t (id bigint PRIMARY KEY, b boolean, i2 smallint, r real, d decimal(20,4), t text, y bytea, \
             u uuid, da date, ts timestamp, tz timestamptz)",
        )
        .await;
    let row = |id: i64| {
        json!({"id": id, "b": id % 2 == 0, "i2": id, "r": id as f64 / 7.0, "d": format!("{id}.1234"),
               "t": format!("text {id}"), "y": "AQID", "u": format!("00000000-0000-0000-0000-00000000000{id}"),
               "da": format!("2024-02-0{id}"), "ts": format!("2024-02-01T00:00:00.00000{id}"),
               "tz": format!("2024-02-01T00:00:00.00000{id}Z")})
    };
    let rows: Vec<Value> = (1..=9).map(row).collect();
    world
        .must("database.insert_rows", json!({"name": "t", "rows": rows}))
        .await;
    for column in ["b", "i2", "r", "d", "t", "y", "u", "da", "ts", "tz"] {
        for order in [column.to_owned(), format!("-{column}")] {
            let one_by_one = json!({"name": "t", "order_by": [order], "limit": 2});
            let at_once = json!({"name": "t", "order_by": [order], "limit": 100});
            let pages = walk(&world, "database.query_rows", &one_by_one, "rows", "id").await;
            assert_eq!(
                pages,
                walk(&world, "database.query_rows", &at_once, "rows", "id").await,
                "{order}"
            );
            assert_eq!(pages.len(), 9);
        }
    }
    let long = "x".repeat(20_000);
    world
        .must(
            "database.update_rows",
            json!({"name": "t", "filter": {"and": []}, "values": {"t": long}}),
        )
        .await;
    let error = world
        .fails(
            "database.query_rows",
            json!({"name": "t", "order_by": ["t"], "limit": 2}),
            "INVALID_ARGUMENT",
        )
        .await;
    assert_eq!(error.details(), Some(&json!({"field": "order_by"})));
    world
        .must(
            "database.query_rows",
            json!({"name": "t", "order_by": ["t"], "limit": 20}),
        )
        .await;
}

#[tokio::test]
async fn lists_of_databases_tables_and_transactions_page_by_name_and_age() {
    let world = World::new();
    for name in ["c", "a", "b"] {
        world.must("database.create", json!({"name": name})).await;
        let table = json!({"name": name, "columns": [{"name": "id", "type": "bigint"}]});
        world.must("database.create_table", table).await;
    }
    for limit in [1, 2, 3, 4] {
        let input = json!({"limit": limit});
        assert_eq!(
            walk(&world, "database.list", &input, "databases", "name").await,
            ["a", "b", "c", "main"]
        );
        assert_eq!(
            walk(&world, "database.list_tables", &input, "tables", "name").await,
            ["a", "b", "c"]
        );
    }
    let other_schema = json!({"schema": "private", "limit": 2});
    assert!(
        walk(&world, "database.list_tables", &other_schema, "tables", "name")
            .await
            .is_empty()
    );
    // A cursor of one list is none of another.
    let next = world.must("database.list_tables", json!({"limit": 1})).await["next"].clone();
    world
        .fails("database.list", json!({"after": next}), "INVALID_ARGUMENT")
        .await;
    world
        .fails(
            "database.list_tables",
            json!({"database": "a", "after": next}),
            "INVALID_ARGUMENT",
        )
        .await;
    world
        .fails(
            "database.list_tables",
            json!({"schema": "public", "after": next}),
            "INVALID_ARGUMENT",
        )
        .await;
    let mut begun = Vec::new();
    for role in ["admin", "developer", "analyst", "admin", "developer"] {
        let transaction = world.call("transactions.begin", &json!({}), role).await.unwrap();
        begun.push(transaction["transaction_id"].as_str().unwrap().to_owned());
    }
    for limit in [1, 2, 5, 9] {
        let input = json!({"limit": limit});
        let found = walk(
            &world,
            "transactions.list_active",
            &input,
            "transactions",
            "transaction_id",
        )
        .await;
        assert_eq!(found, begun);
    }
}

#[tokio::test]
async fn a_cursor_that_somebody_made_up_is_refused_and_harms_nothing() {
    use crate::identity::paging::cursor;

    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, n integer)")
        .await;
    world.sql("INSERT INTO t VALUES (1, 1), (2, 2)").await;
    let forged = cursor("transactions", "no number");
    world
        .fails(
            "transactions.list_active",
            json!({"after": forged}),
            "INVALID_ARGUMENT",
        )
        .await;
    let reader = world.engine.inner.tables.begin().unwrap().reader();
    let table = reader.table("main", "public", "t").unwrap().unwrap();
    let order = [OrderColumn {
        column: "n".to_owned(),
        descending: false,
    }];
    let list = list_name(&table, &order, None);
    for (place, code) in [
        ("", "INVALID_ARGUMENT"),
        ("[]", "INVALID_ARGUMENT"),
        (r#"[[1],"0"]"#, "INVALID_ARGUMENT"),
        (r#"[[1],"zz"]"#, "INVALID_ARGUMENT"),
        (r#"[[1],"üü"]"#, "INVALID_ARGUMENT"),
        (r#"[[],"00"]"#, "INVALID_ARGUMENT"),
        (r#"[[1,2],"00"]"#, "INVALID_ARGUMENT"),
        (r#"[["x"],"00"]"#, "INVALID_VALUE"),
    ] {
        let input = json!({"name": "t", "order_by": ["n"], "after": cursor(&list, place)});
        world.fails("database.query_rows", input, code).await;
    }
    let made_up = json!({"name": "t", "order_by": ["n"], "after": cursor(&list, r#"[[1],"ffff"]"#)});
    let page = world.must("database.query_rows", made_up).await;
    assert_eq!(page["rows"][0]["id"], "2");
}
