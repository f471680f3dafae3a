//! Rows in and out: values of every type, defaults, ids, upserts, filters, aggregates.

use serde_json::{Value, json};

use super::support::World;

#[tokio::test]
async fn values_of_every_type_come_back_as_they_went_in() {
    let world = World::new();
    let columns: Vec<Value> = [
        ("b", "boolean"),
        ("i2", "smallint"),
        ("i4", "integer"),
        ("i8", "bigint"),
        ("r", "real"),
        ("d", "double precision"),
        ("n", "decimal(20,4)"),
        ("t", "text"),
        ("y", "bytea"),
        ("u", "uuid"),
        ("da", "date"),
        ("ts", "timestamp"),
        ("tz", "timestamptz"),
        ("j", "json"),
    ]
    .iter()
    .map(|(name, ty)| json!({"name": name, "type": ty}))
    .collect();
    world
        .must("database.create_table", json!({"name": "t", "columns": columns}))
        .await;
    let row = json!({
        "b": true, "i2": -32768, "i4": 2_147_483_647, "i8": "9223372036854775807", "r": 0.1, "d": "NaN",
        "n": "1234567890123456.7891", "t": "ü\u{0}\n'", "y": "AQID/w==", "u": "67e55044-10b1-426f-9247-bb680e5fe0c8",
        "da": "2024-02-29", "ts": "2024-02-29T12:00:00.000001", "tz": "2024-02-29T12:00:00.000001Z",
        "j": {"a": [1, null, "x"]},
    });
    let nulls: Value = row
        .as_object()
        .unwrap()
        .keys()
        .map(|name| (name.clone(), Value::Null))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let ids = world
        .must("database.insert_rows", json!({"name": "t", "rows": [row, nulls]}))
        .await["ids"]
        .clone();
    for (id, expected) in ids.as_array().unwrap().iter().zip([&row, &nulls]) {
        let found = world
            .must("database.get_row", json!({"name": "t", "id": id}))
            .await;
        assert_eq!((&found["id"], &found["data"]), (id, expected));
    }
    let page = world.must("database.query_rows", json!({"name": "t"})).await;
    assert_eq!(page["rows"][0]["data"], row);
    let named: Vec<&String> = page["rows"][0]["data"].as_object().unwrap().keys().collect();
    assert_eq!(
        json!(named),
        json!([
            "b", "i2", "i4", "i8", "r", "d", "n", "t", "y", "u", "da", "ts", "tz", "j"
        ])
    );
    // The same by SQL.
    let selected = world
        .must("sql.execute_query", json!({"sql": "SELECT * FROM t WHERE b"}))
        .await;
    assert_eq!(selected["rows"], json!([row]));
    // Numbers may come as text, and whole numbers with a point.
    let texts = json!({"i2": "7", "i4": 7.0, "i8": 7, "n": 7.5});
    let id = world
        .must("database.insert_rows", json!({"name": "t", "rows": [texts]}))
        .await["ids"][0]
        .clone();
    let found = world
        .must("database.get_row", json!({"name": "t", "id": id}))
        .await["data"]
        .clone();
    assert_eq!(
        (&found["i2"], &found["i4"], &found["i8"], &found["n"]),
        (&json!(7), &json!(7), &json!(7), &json!("7.5000"))
    );
}

#[tokio::test]
async fn a_wrong_value_names_its_row_column_and_itself() {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, age smallint, day date)")
        .await;
    let cases = [
        (json!([{"id": 1}, {"id": 2, "age": "old"}]), "rows.1.age", "old"),
        (json!([{"id": 1, "age": 40_000}]), "rows.0.age", "40000"),
        (json!([{"id": 1.5}]), "rows.0.id", "1.5"),
        (
            json!([{"id": 1, "day": "2023-02-29"}]),
            "rows.0.day",
            "2023-02-29",
        ),
        (json!([{"id": 1, "day": 5}]), "rows.0.day", "5"),
        (json!([{"id": {"a": 1}}]), "rows.0.id", "{\"a\":1}"),
    ];
    for (rows, path, value) in cases {
        let error = world
            .fails(
                "database.insert_rows",
                json!({"name": "t", "rows": rows}),
                "INVALID_VALUE",
            )
            .await;
        assert!(
            error.message().starts_with(&format!("{path}: ")) && error.message().contains(value),
            "{error}"
        );
    }
    let unknown = json!({"name": "t", "rows": [{"id": 1}, {"id": 2, "colour": "red"}]});
    let error = world
        .fails("database.insert_rows", unknown, "COLUMN_NOT_FOUND")
        .await;
    assert!(
        error.message().starts_with("rows.1: ") && error.message().contains("it has id, age, day"),
        "{error}"
    );
    assert_eq!(world.rows("SELECT count(*) FROM t").await, "[[0]]");
}

#[tokio::test]
async fn defaults_fill_what_a_row_leaves_out_each_for_itself() {
    let world = World::new();
    let columns = json!([
        {"name": "id", "type": "uuid", "default": "uuid()"},
        {"name": "word", "type": "text", "default": "'nobody'"},
        {"name": "sum", "type": "integer", "default": "1 + 2"},
        {"name": "none", "type": "integer"},
    ]);
    let table = json!({"name": "t", "columns": columns, "primary_key": ["id"]});
    world.must("database.create_table", table).await;
    let rows = json!([{}, {"word": "Ada"}, {"sum": null}, {"none": 1, "word": null}]);
    let inserted = world
        .must("database.insert_rows", json!({"name": "t", "rows": rows}))
        .await;
    let mut ids: Vec<&str> = inserted["ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap())
        .collect();
    let expected = [
        json!(["nobody", 3, null]),
        json!(["Ada", 3, null]),
        json!(["nobody", null, null]),
        json!([null, 3, 1]),
    ];
    for (id, expected) in ids.iter().zip(&expected) {
        let data = &world
            .must("database.get_row", json!({"name": "t", "id": id}))
            .await["data"];
        assert_eq!(json!([data["word"], data["sum"], data["none"]]), *expected);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    let upserted = world
        .must(
            "database.upsert_row",
            json!({"name": "t", "values": {"word": "new"}}),
        )
        .await;
    assert_eq!(
        (&upserted["created"], &upserted["row"]["data"]["sum"]),
        (&json!(true), &json!(3))
    );
}

#[tokio::test]
async fn ids_are_the_key_as_text_a_list_of_its_values_or_a_number() {
    let world = World::new();
    world.sql("CREATE TABLE one (id text PRIMARY KEY)").await;
    world
        .sql("CREATE TABLE two (a bigint, b text, PRIMARY KEY (b, a))")
        .await;
    world.sql("CREATE TABLE none (a bigint)").await;
    let insert = async |name: &str, row: Value| {
        world
            .must("database.insert_rows", json!({"name": name, "rows": [row]}))
            .await["ids"][0]
            .clone()
    };
    assert_eq!(insert("one", json!({"id": "a/b ü"})).await, "a/b ü");
    assert_eq!(insert("two", json!({"a": 1, "b": "x"})).await, r#"["x",1]"#);
    let number = insert("none", json!({"a": 5})).await;
    assert!(number.as_str().unwrap().parse::<u64>().is_ok(), "{number}");
    for (name, id) in [
        ("one", json!("a/b ü")),
        ("two", json!("[\"x\", \"1\"]")),
        ("none", number),
    ] {
        world
            .must("database.get_row", json!({"name": name, "id": id}))
            .await;
        world
            .must("database.delete_row", json!({"name": name, "id": id}))
            .await;
        world
            .fails(
                "database.get_row",
                json!({"name": name, "id": id}),
                "ROW_NOT_FOUND",
            )
            .await;
        world
            .fails(
                "database.delete_row",
                json!({"name": name, "id": id}),
                "ROW_NOT_FOUND",
            )
            .await;
    }
    for id in ["x", "[1]", "[\"x\",\"y\"]", "[\"x\",null]"] {
        world
            .fails(
                "database.get_row",
                json!({"name": "two", "id": id}),
                "INVALID_VALUE",
            )
            .await;
    }
    world
        .fails(
            "database.get_row",
            json!({"name": "none", "id": "-1"}),
            "INVALID_VALUE",
        )
        .await;
    // A changed key is a changed id.
    world
        .must(
            "database.insert_rows",
            json!({"name": "one", "rows": [{"id": "old"}]}),
        )
        .await;
    let moved = world
        .must(
            "database.update_row",
            json!({"name": "one", "id": "old", "values": {"id": "new"}}),
        )
        .await;
    assert_eq!(moved, json!({"id": "new", "data": {"id": "new"}}));
    world
        .fails(
            "database.get_row",
            json!({"name": "one", "id": "old"}),
            "ROW_NOT_FOUND",
        )
        .await;
}

#[tokio::test]
async fn an_upsert_goes_by_the_key_or_the_constraint_asked_for() {
    let world = World::new();
    world.sql("CREATE TABLE t (id bigint PRIMARY KEY, email text UNIQUE, n integer DEFAULT 5, UNIQUE (n, email))").await;
    let upsert = async |values: Value, columns: Value| {
        let mut input = json!({"name": "t", "values": values});
        if !columns.is_null() {
            input["conflict_columns"] = columns;
        }
        world.must("database.upsert_row", input).await
    };
    let made = upsert(json!({"id": 1, "email": "a"}), Value::Null).await;
    assert_eq!(
        made,
        json!({"created": true, "row": {"id": "1", "data": {"id": 1, "email": "a", "n": 5}}})
    );
    let same = upsert(json!({"email": "a", "id": 2}), json!(["email"])).await;
    assert_eq!(
        same,
        json!({"created": false, "row": {"id": "2", "data": {"id": 2, "email": "a", "n": 5}}})
    );
    // The default counts, as it would for the row to be inserted; the order of the columns does not.
    let both = upsert(json!({"id": 3, "email": "a"}), json!(["email", "n"])).await;
    assert_eq!(both["row"]["id"], "3");
    assert_eq!(both["created"], false);
    // NULLs are never the same.
    for (id, created) in [(7, true), (8, true)] {
        let one = upsert(json!({"id": id, "email": null}), json!(["email"])).await;
        assert_eq!(one["created"], created);
    }
    for columns in [json!(["n"]), json!(["id", "email"])] {
        let input = json!({"name": "t", "values": {"id": 1}, "conflict_columns": columns});
        world
            .fails("database.upsert_row", input, "INVALID_DEFINITION")
            .await;
    }
    let unknown = json!({"name": "t", "values": {"id": 1}, "conflict_columns": ["colour"]});
    world
        .fails("database.upsert_row", unknown, "COLUMN_NOT_FOUND")
        .await;
    world
        .fails(
            "database.upsert_row",
            json!({"name": "t", "values": {"n": 1}}),
            "NOT_NULL_VIOLATION",
        )
        .await;
    assert_eq!(world.rows("SELECT count(*) FROM t").await, "[[3]]");
}

#[tokio::test]
async fn filters_mean_what_the_same_sql_means() {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, n integer, w text)")
        .await;
    world
        .sql("INSERT INTO t VALUES (1, 10, 'ab'), (2, NULL, 'b'), (3, 30, NULL), (4, -5, 'a%'), (5, 10, 'AB'), (6, 0, '')")
        .await;
    let field = |name: &str, operator: &str, value: Value| json!({"field": name, "operator": operator, "value": value});
    let cases = [
        (json!({"field": "n", "value": 10}), "n = 10"),
        (json!({"field": "n", "value": "10"}), "n = 10"),
        (json!({"field": "n", "value": null}), "n = NULL"),
        (field("n", "NE", json!(10)), "n <> 10"),
        (field("n", "LT", json!(10)), "n < 10"),
        (field("n", "LE", json!(10)), "n <= 10"),
        (field("n", "GT", json!(0)), "n > 0"),
        (field("n", "GE", json!(0)), "n >= 0"),
        (field("w", "LIKE", json!("a%")), "w LIKE 'a%'"),
        (field("w", "LIKE", json!("_")), "w LIKE '_'"),
        (
            json!({"field": "n", "operator": "IN", "values": [10, "30", null]}),
            "n IN (10, 30, NULL)",
        ),
        (json!({"field": "n", "operator": "IN", "values": []}), "false"),
        (json!({"field": "w", "operator": "IS_NULL"}), "w IS NULL"),
        (json!({"not": {"field": "n", "value": 10}}), "NOT (n = 10)"),
        (json!({"and": []}), "true"),
        (json!({"or": []}), "false"),
        (json!({"not": {"or": []}}), "true"),
        (
            json!({"or": [{"and": [field("n", "GE", json!(10)), field("w", "LIKE", json!("%b"))]}, {"field": "w", "operator": "IS_NULL"}]}),
            "(n >= 10 AND w LIKE '%b') OR w IS NULL",
        ),
        (field("id", "GE", json!(5)), "id >= 5"),
        (json!({"field": "id", "value": 5}), "id = 5"),
    ];
    for (filter, sql) in cases {
        let expected = world
            .rows(&format!("SELECT id FROM t WHERE {sql} ORDER BY id"))
            .await;
        let expected: Vec<(i64,)> = serde_json::from_str(&expected).unwrap();
        let page = world
            .must(
                "database.query_rows",
                json!({"name": "t", "filter": filter, "columns": ["id"]}),
            )
            .await;
        let found: Vec<Value> = page["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["data"].clone())
            .collect();
        let wanted: Vec<Value> = expected.iter().map(|(id,)| json!({"id": id})).collect();
        assert_eq!(found, wanted, "{filter}");
        let count = world
            .must("database.count_rows", json!({"name": "t", "filter": filter}))
            .await;
        assert_eq!(count["count"], expected.len(), "{filter}");
        // In a transaction that is never committed: changed, counted again, deleted.
        let transaction = world.must("transactions.begin", json!({})).await["transaction_id"].clone();
        let place = json!({"name": "t", "filter": filter, "transaction_id": transaction});
        let mut change = place.clone();
        change["values"] = json!({"n": 77, "w": "changed"});
        assert_eq!(
            world.must("database.update_rows", change).await["updated"],
            expected.len(),
            "{filter}"
        );
        let marked =
            json!({"name": "t", "filter": {"field": "w", "value": "changed"}, "transaction_id": transaction});
        assert_eq!(
            world.must("database.delete_rows", marked).await["deleted"],
            expected.len(),
            "{filter}"
        );
        let rest = json!({"name": "t", "transaction_id": transaction});
        assert_eq!(
            world.must("database.count_rows", rest).await["count"],
            6 - expected.len()
        );
        world
            .must("transactions.rollback", json!({"id": transaction}))
            .await;
    }
    assert_eq!(world.rows("SELECT count(*), sum(n) FROM t").await, "[[6,45]]");
}

#[tokio::test]
async fn aggregates_come_in_the_order_asked_and_groups_in_that_of_their_keys() {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, g text, h integer, n decimal(10,2), d double precision)")
        .await;
    world
        .sql("INSERT INTO t VALUES (1, 'b', 2, 1.50, 1), (2, 'a', 1, 2.25, 2), (3, 'b', 2, NULL, 4), (4, NULL, 1, 8.00, 8), (5, 'a', 1, 2.25, 16)")
        .await;
    let of = |function: &str, field: &str| json!({"function": function, "field": field});
    let input = json!({
        "name": "t", "group_by": ["g", "h"],
        "aggregates": [of("MAX", "d"), of("COUNT", "*"), of("COUNT", "n"), of("SUM", "n"), of("COUNT_DISTINCT", "n"), of("MIN", "g"), of("COUNT", "*"), of("AVG", "d")],
    });
    let groups = world.must("database.aggregate_rows", input.clone()).await["groups"].clone();
    let shown: Vec<Value> = groups
        .as_array()
        .unwrap()
        .iter()
        .map(|group| {
            let values: Vec<&Value> = group["results"]
                .as_array()
                .unwrap()
                .iter()
                .map(|result| &result["value"])
                .collect();
            json!([group["key"], values])
        })
        .collect();
    assert_eq!(
        json!(shown),
        json!([
            [{"g": "a", "h": 1}, [16.0, 2, 2, "4.50", 1, "a", 2, 9.0]],
            [{"g": "b", "h": 2}, [4.0, 2, 1, "1.50", 1, "b", 2, 2.5]],
            [{"g": null, "h": 1}, [8.0, 1, 1, "8.00", 1, null, 1, 8.0]],
        ])
    );
    let asked: Vec<Value> = groups[0]["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            of(
                result["function"].as_str().unwrap(),
                result["field"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(json!(asked), input["aggregates"]);
    // Over nothing.
    let nothing = json!({"name": "t", "filter": {"or": []}, "aggregates": [of("COUNT", "*"), of("SUM", "n"), of("MIN", "g")]});
    let none = world.must("database.aggregate_rows", nothing).await;
    assert_eq!(none["groups"][0]["key"], json!({}));
    let values: Vec<&Value> = none["groups"][0]["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| &result["value"])
        .collect();
    assert_eq!(json!(values), json!([0, null, null]));
    let mut bounded = input;
    bounded["limit"] = json!(3);
    world.must("database.aggregate_rows", bounded.clone()).await;
    bounded["limit"] = json!(2);
    world
        .fails("database.aggregate_rows", bounded, "INVALID_ARGUMENT")
        .await;
}

#[tokio::test]
async fn thousands_of_rows_go_in_and_change_at_once_or_not_at_all() {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, n integer DEFAULT 1)")
        .await;
    let rows: Vec<Value> = (0..5_000).map(|id| json!({"id": id})).collect();
    let inserted = world
        .must("database.insert_rows", json!({"name": "t", "rows": rows}))
        .await;
    assert_eq!(
        (&inserted["inserted"], &inserted["ids"][4_999]),
        (&json!(5_000), &json!("4999"))
    );
    let all =
        json!({"name": "t", "filter": {"field": "id", "operator": "GE", "value": 1_000}, "values": {"n": 2}});
    assert_eq!(world.must("database.update_rows", all).await["updated"], 4_000);
    assert_eq!(
        world
            .rows("SELECT n, count(*) FROM t GROUP BY n ORDER BY n")
            .await,
        "[[1,1000],[2,4000]]"
    );
    let same = json!({"name": "t", "filter": {"and": []}, "values": {"id": 1}});
    world
        .fails("database.update_rows", same, "UNIQUE_VIOLATION")
        .await;
    let rest = json!({"name": "t", "filter": {"field": "n", "value": 2}});
    assert_eq!(world.must("database.delete_rows", rest).await["deleted"], 4_000);
    assert_eq!(
        world.rows("SELECT count(*), max(id) FROM t").await,
        "[[1000,999]]"
    );
}
