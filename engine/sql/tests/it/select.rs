use rustydb_sql::error::{Position, SqlError};
use rustydb_sql::parse::parse_one;
use rustydb_sql::{ExecContext, SqlConfig};
use serde_json::json;

use crate::support::Db;

async fn people() -> Db {
    let db = Db::new();
    db.run(
        "CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL, age int, city text);
         INSERT INTO people VALUES (1, 'Ann', 30, 'Rome'), (2, 'Bob', NULL, 'Oslo'), (3, 'Cid', 40, NULL),
                                   (4, 'Dee', 30, 'Rome')",
    )
    .await;
    db
}

#[tokio::test]
async fn names_and_types_of_result_columns() {
    let db = people().await;
    let sql =
        "SELECT id, age + 1, count(*) OVER (), upper(name), 1, 1, name AS n, CAST(age AS bigint) FROM people";
    let result = db.run(sql).await;
    let shown: Vec<(&str, &str)> = result
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.type_name.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            ("id", "integer"),
            ("?column?", "bigint"),
            ("count", "bigint"),
            ("upper", "text"),
            ("?column?", "bigint"),
            ("?column?", "bigint"),
            ("n", "text"),
            ("age", "bigint"),
        ]
    );
    let result = db
        .run("SELECT *, name, id AS again FROM people WHERE id = 2")
        .await;
    let names: Vec<&str> = result.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["id", "name", "age", "city", "name", "again"]);
}

#[tokio::test]
async fn order_group_and_null_semantics() {
    let db = people().await;
    assert_eq!(
        db.shown("SELECT id FROM people ORDER BY age, id").await,
        "[[1],[4],[3],[2]]"
    );
    assert_eq!(
        db.shown("SELECT id FROM people ORDER BY age DESC, id").await,
        "[[2],[3],[1],[4]]"
    );
    assert_eq!(
        db.shown("SELECT id FROM people WHERE age <> 30 ORDER BY id")
            .await,
        "[[3]]"
    );
    assert_eq!(
        db.shown("SELECT id FROM people WHERE age IS DISTINCT FROM 30 ORDER BY id")
            .await,
        "[[2],[3]]"
    );
    assert_eq!(
        db.shown(
            "SELECT city, count(*), avg(age) FROM people GROUP BY city HAVING count(*) >= 1 ORDER BY city"
        )
        .await,
        r#"[["Oslo",1,null],["Rome",2,30.0],[null,1,40.0]]"#
    );
    assert_eq!(
        db.shown("SELECT DISTINCT lower(city) FROM people ORDER BY lower(city)")
            .await,
        r#"[["oslo"],["rome"],[null]]"#
    );
    assert_eq!(
        db.shown("SELECT id FROM people ORDER BY id OFFSET 1 FETCH FIRST 2 ROWS ONLY")
            .await,
        "[[2],[3]]"
    );
}

#[tokio::test]
async fn key_ranges_read_the_same_as_filters() {
    let db = Db::new();
    db.run("CREATE TABLE k (a int, b text, v int, PRIMARY KEY (a, b))")
        .await;
    for a in 0..12 {
        db.run(&format!(
            "INSERT INTO k VALUES ({a}, 'x', {a}), ({a}, 'y', {a}), ({a}, 'z', NULL)"
        ))
        .await;
    }
    for (sql, count) in [
        ("a = 3", 3),
        ("a = 3 AND b = 'y'", 1),
        ("a = 3 AND b > 'x'", 2),
        ("a > 3 AND a <= 5", 6),
        ("a >= 11", 3),
        ("a > 11", 0),
        ("a < 0", 0),
        ("a > 5 AND a < 4", 0),
        ("a = 3 AND a = 4", 0),
        ("3 >= a", 12),
        ("b = 'y'", 12),
        ("a = 3 AND b <= 'y'", 2),
        ("a = '3'", 3),
        ("a IN (1, 2)", 6),
    ] {
        let rows = db
            .rows(&format!("SELECT count(*), count(v) FROM k WHERE {sql}"))
            .await;
        assert_eq!(rows[0][0], json!(count), "{sql}");
    }
    assert_eq!(
        db.shown("SELECT a, b FROM k ORDER BY a, b LIMIT 4").await,
        r#"[[0,"x"],[0,"y"],[0,"z"],[1,"x"]]"#
    );
    let plan = db
        .run("EXPLAIN SELECT a, b FROM k WHERE a = 3 ORDER BY a, b LIMIT 2")
        .await;
    let text = serde_json::to_string(&plan.rows).unwrap();
    assert!(text.contains("key range") && !text.contains("Sort"), "{text}");
}

#[tokio::test]
async fn point_reads_answer_what_the_planner_answers() {
    let db = Db::new();
    let planned = Db::with(SqlConfig {
        point_reads: false,
        ..SqlConfig::default()
    });
    let script = "CREATE TABLE a (id int PRIMARY KEY, v text, d decimal(10,2), t timestamptz, j json);
        INSERT INTO a VALUES (1, 'one', 1.5, '2024-01-02T03:04:05Z', '{\"a\":[1,2.50]}'), (2, NULL, NULL, NULL, NULL), (-3, 'm', 0, NULL, '[]');
        CREATE TABLE b (u uuid, n bigint, s smallint, x double precision, PRIMARY KEY (u, n));
        INSERT INTO b VALUES ('A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11', 9007199254740993, 7, 'NaN')";
    db.run(script).await;
    planned.run(script).await;
    for sql in [
        "SELECT * FROM a WHERE id = 1",
        "SELECT v, id AS key FROM a WHERE (id = 2)",
        "SELECT a.v, v, v FROM a WHERE a.id = 1",
        "SELECT x.d FROM a AS x WHERE 1 = x.id",
        "SELECT * FROM a WHERE id = -3",
        "SELECT * FROM a WHERE id = 77",
        "SELECT * FROM a WHERE id = 99999999999",
        "SELECT * FROM a WHERE id = 1.0",
        "SELECT * FROM a WHERE id = '1'",
        "SELECT * FROM a WHERE id = NULL",
        "SELECT *, v FROM a WHERE id = 1",
        "SELECT * FROM b WHERE u = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' AND n = 9007199254740993",
        "SELECT * FROM b WHERE n = 9007199254740993 AND u = 'A0EEBC999C0B4EF8BB6D6BB9BD380A11'",
        "SELECT s FROM b WHERE u = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
    ] {
        let fast = db.try_run(sql).await.unwrap();
        let slow = planned.try_run(sql).await.unwrap();
        assert_eq!(fast, slow, "{sql}");
    }
}

#[tokio::test]
async fn parameters_take_their_type_from_their_place() {
    let db = people().await;
    let run = async |sql: &str, params| db.try_with(sql, params).await.unwrap().rows;
    assert_eq!(
        run("SELECT name FROM people WHERE id = $1", vec![json!(2)]).await,
        [[json!("Bob")]]
    );
    assert_eq!(
        run("SELECT name FROM people WHERE id = $1", vec![json!("2")]).await,
        [[json!("Bob")]]
    );
    assert_eq!(
        run(
            "SELECT id FROM people WHERE name = $2 OR age > $1 ORDER BY id",
            vec![json!(35), json!("Ann")]
        )
        .await,
        [[json!(1)], [json!(3)]]
    );
    assert_eq!(
        run(
            "SELECT id FROM people ORDER BY id LIMIT $1 OFFSET $2",
            vec![json!(1), json!(1)]
        )
        .await,
        [[json!(2)]]
    );
    assert_eq!(
        run("SELECT $1", vec![json!("it's; DROP TABLE people")]).await,
        [[json!("it's; DROP TABLE people")]]
    );
    assert_eq!(
        run(
            "SELECT id FROM people WHERE city IS NOT DISTINCT FROM $1",
            vec![json!(null)]
        )
        .await,
        [[json!(3)]]
    );
    assert_eq!(
        run("SELECT id FROM people WHERE id > $1", vec![json!(-1e300)])
            .await
            .len(),
        4
    );
    for (sql, params, index) in [
        ("SELECT $1, $2", vec![json!(1)], 2),
        ("SELECT $1", vec![json!(1), json!(2)], 2),
        ("SELECT 1", vec![json!(1)], 1),
        ("SELECT $0", vec![], 0),
    ] {
        match db.try_with(sql, params).await {
            Err(SqlError::InvalidParameter { index: found, .. }) => assert_eq!(found, index, "{sql}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn errors_say_what_and_where() {
    let db = people().await;
    let at = |line, column| Position { line, column };
    let error = db.fails("SELECT id,\n  nme FROM people").await;
    assert!(
        matches!(&error, SqlError::ColumnNotFound { name, at: place, .. } if name == "nme" && *place == at(2, 3)),
        "{error:?}"
    );
    let error = db.fails("SELECT * FROM\n nowhere").await;
    assert!(
        matches!(&error, SqlError::TableNotFound { name, .. } if name == "nowhere"),
        "{error:?}"
    );
    let error = db.fails("SELECT nosuch(1)").await;
    assert!(
        matches!(&error, SqlError::FunctionNotFound { name, at: place } if name == "nosuch" && *place == at(1, 8)),
        "{error:?}"
    );
    let error = db.fails("SELECT name FROM people GROUP BY city").await;
    assert!(
        matches!(&error, SqlError::Syntax { at: place, .. } if place.is_known()),
        "{error:?}"
    );
    assert!(matches!(
        db.fails("SELECT age / 0 FROM people").await,
        SqlError::DivisionByZero
    ));
    assert!(matches!(db.fails("SELECT 1 / 0").await, SqlError::DivisionByZero));
    assert!(matches!(
        db.fails("SELECT 9223372036854775807 + id FROM people").await,
        SqlError::OutOfRange { .. }
    ));
    assert!(matches!(
        db.fails("SELECT 9223372036854775807 * 2").await,
        SqlError::OutOfRange { .. }
    ));
    assert!(matches!(
        db.fails("SELECT CAST('abc' AS int)").await,
        SqlError::TypeMismatch { .. }
    ));
    assert!(matches!(
        db.fails("SELECT CAST('abc' AS uuid)").await,
        SqlError::TypeMismatch { .. }
    ));
    assert!(matches!(
        db.fails("SELECT CAST(70000 AS smallint)").await,
        SqlError::OutOfRange { .. }
    ));
    assert!(matches!(
        db.fails("SELECT name + true FROM people").await,
        SqlError::TypeMismatch { .. }
    ));
    assert!(matches!(
        db.fails("SELECT 1 FROM other.public.people").await,
        SqlError::Unsupported { .. }
    ));
    let error = db
        .fails("SELECT p.id FROM people p, people q WHERE name = 'x'")
        .await;
    assert!(
        matches!(&error, SqlError::Syntax { message, .. } if message.contains("ambiguous")),
        "{error:?}"
    );
}

#[tokio::test]
async fn row_limits_cut_only_when_asked() {
    let db = Db::with(SqlConfig {
        rows_default: 3,
        rows_max: 5,
        ..SqlConfig::default()
    });
    db.run("CREATE TABLE n (i int PRIMARY KEY); INSERT INTO n SELECT value FROM generate_series(1, 10)")
        .await;
    assert!(matches!(
        db.fails("SELECT * FROM n").await,
        SqlError::ResultTooLarge { max: 3, .. }
    ));
    assert_eq!(db.rows("SELECT * FROM n LIMIT 3").await.len(), 3);
    let statement = parse_one("SELECT * FROM n ORDER BY i").unwrap();
    let reader = db.txn().reader();
    let page = db
        .engine
        .query(&reader, &ExecContext::new("main").with_row_limit(4), &statement)
        .await
        .unwrap();
    assert!(page.truncated && page.rows.len() == 4);
    let all = db
        .engine
        .query(&reader, &ExecContext::new("main").with_row_limit(6), &statement)
        .await;
    assert!(matches!(all, Err(SqlError::ResultTooLarge { max: 5, .. })));
}

#[tokio::test]
async fn memory_is_bounded() {
    let db = Db::with(SqlConfig {
        memory_bytes_max: 1 << 20,
        ..SqlConfig::default()
    });
    // Rows that are large each: no operator holds them, the result does.
    db.run("CREATE TABLE big (id bigint PRIMARY KEY, t text)").await;
    for id in 0..20 {
        db.run(&format!(
            "INSERT INTO big VALUES ({id}, '{}')",
            "x".repeat(100_000)
        ))
        .await;
    }
    let error = db.fails("SELECT * FROM big").await;
    assert!(
        matches!(&error, SqlError::ResultTooLarge { what, max: 1_048_576, .. } if what.contains("memory")),
        "{error:?}"
    );
    assert_eq!(db.rows("SELECT * FROM big LIMIT 5").await.len(), 5);
    let error = db
        .fails("EXPLAIN ANALYZE SELECT DISTINCT (value * 7919) % 3000017 FROM generate_series(1, 3000000)")
        .await;
    assert!(
        matches!(&error, SqlError::ResultTooLarge { max: 1_048_576, .. }),
        "{error:?}"
    );
    let error = db.fails("SELECT count(*) FROM (SELECT DISTINCT (value * 7919) % 3000017 FROM generate_series(1, 3000000)) AS s").await;
    assert!(
        matches!(
            &error,
            SqlError::ResultTooLarge {
                max: 1_048_576,
                unit: "bytes",
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn views_read_tables_and_views() {
    let db = people().await;
    db.run("CREATE VIEW romans AS SELECT id, name, age + 1 AS next, count(*) OVER () FROM people WHERE city = 'Rome'").await;
    db.run("CREATE VIEW older (key, label) AS SELECT id, upper(name) FROM romans WHERE next > 30")
        .await;
    assert_eq!(
        db.shown("SELECT * FROM romans ORDER BY id").await,
        r#"[[1,"Ann",31,2],[4,"Dee",31,2]]"#
    );
    assert_eq!(
        db.shown("SELECT label FROM older AS o WHERE key = 4").await,
        r#"[["DEE"]]"#
    );
    assert_eq!(db.shown("SELECT count FROM romans LIMIT 1").await, "[[2]]");
    db.run("INSERT INTO people VALUES (5, 'Eve', 50, 'Rome')").await;
    assert_eq!(db.shown("SELECT count(*) FROM older").await, "[[3]]");
    assert!(db.try_run("DROP TABLE people").await.is_err());
    assert!(db.try_run("DROP VIEW romans").await.is_err());
    assert!(matches!(
        db.fails("CREATE OR REPLACE VIEW romans AS SELECT * FROM older")
            .await,
        SqlError::Syntax { .. }
    ));
    assert!(matches!(
        db.fails("CREATE VIEW bad AS SELECT nme FROM people").await,
        SqlError::ColumnNotFound { .. }
    ));
    assert!(matches!(
        db.fails("CREATE VIEW bad AS SELECT id, id FROM people").await,
        SqlError::DuplicateColumnName { .. }
    ));
    assert!(matches!(
        db.fails("DELETE FROM romans").await,
        SqlError::Unsupported { .. }
    ));
    db.run("DROP VIEW older; DROP VIEW romans; DROP TABLE people")
        .await;
}

#[tokio::test]
async fn wire_forms_of_values() {
    let db = Db::new();
    assert_eq!(
        db.shown(
            "SELECT 9007199254740991, 9007199254740993, 1.50, CAST('NaN' AS double precision), \
             CAST('-Infinity' AS real), true, NULL, DATE '2024-02-29', TIMESTAMP '2024-02-29 01:02:03.5', \
             TIMESTAMPTZ '2024-02-29 01:02:03+01:00', INTERVAL '1 year 2 days 3.5 seconds', \
             CAST('abc' AS bytea), [1, 2], UUID 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', CAST('{\"b\":1}' AS json)"
        )
        .await,
        r#"[[9007199254740991,"9007199254740993","1.50","NaN","-Infinity",true,null,"2024-02-29","2024-02-29T01:02:03.500000","2024-02-29T00:02:03.000000Z","P1Y2DT3.5S","YWJj",[1,2],"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",{"b":1}]]"#
    );
}

#[tokio::test]
async fn unions_are_put_together_from_queries() {
    let db = people().await;
    let reader = db.txn().reader();
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let ctx = ExecContext::new("main");
    let two = texts(&[
        "SELECT id FROM people WHERE id < 3 ORDER BY id DESC LIMIT 1",
        "SELECT 2",
        "SELECT 9",
    ]);
    assert_eq!(
        db.engine
            .union(&reader, &ctx, &two, false)
            .await
            .unwrap()
            .rows
            .len(),
        2
    );
    assert_eq!(
        db.engine
            .union(&reader, &ctx, &two, true)
            .await
            .unwrap()
            .rows
            .len(),
        3
    );
    for bad in [
        texts(&["SELECT 1"]),
        texts(&["SELECT 1", "SELECT 1, 2"]),
        texts(&["SELECT 1", "SELECT 2; SELECT 3"]),
        texts(&["SELECT 1", "DELETE FROM people"]),
        texts(&["SELECT 1", "SELECT 2) UNION (SELECT 3"]),
    ] {
        assert!(
            matches!(
                db.engine.union(&reader, &ctx, &bad, false).await,
                Err(SqlError::Syntax { .. })
            ),
            "{bad:?}"
        );
    }
}

#[tokio::test]
async fn explain_shows_a_plan_and_analyze_measures_it() {
    let db = people().await;
    let reader = db.txn().reader();
    let statement = parse_one("SELECT name FROM people WHERE age = 30").unwrap();
    let plan = db
        .engine
        .explain(&reader, &db.ctx, &statement, true)
        .await
        .unwrap();
    fn leaf(node: &rustydb_sql::PlanNode) -> &rustydb_sql::PlanNode {
        node.children.first().map_or(node, leaf)
    }
    assert_eq!(leaf(&plan.root).name, "TableScan");
    assert_eq!(leaf(&plan.root).rows, Some(4));
    assert_eq!(plan.root.rows.or(plan.root.children[0].rows), Some(2));
    let delete = db.run("EXPLAIN DELETE FROM people WHERE age = 30").await;
    assert!(!delete.rows.is_empty());
    assert_eq!(db.shown("SELECT count(*) FROM people").await, "[[4]]");
}

#[tokio::test]
async fn sums_and_negations_that_overflow_fail() {
    let db = Db::new();
    db.run("CREATE TABLE big (g int, v bigint)").await;
    db.run("INSERT INTO big VALUES (1, 9223372036854775807), (1, 1), (2, 5), (2, NULL), (2, 5), (3, NULL)")
        .await;
    for sql in [
        "SELECT sum(v) FROM big",
        "SELECT g, sum(v) FROM big GROUP BY g",
        "SELECT sum(v) OVER (ORDER BY v) FROM big",
        "SELECT -v FROM (SELECT -9223372036854775807 - 1 AS v) AS s",
    ] {
        assert!(
            matches!(db.fails(sql).await, SqlError::OutOfRange { .. }),
            "{sql}"
        );
    }
    assert_eq!(
        db.shown("SELECT g, sum(v), sum(DISTINCT v), count(v), sum(g), -g FROM big WHERE g > 1 GROUP BY g ORDER BY g").await,
        "[[2,10,5,2,6,-2],[3,null,null,0,3,-3]]"
    );
    assert_eq!(
        db.shown(
            "SELECT sum(v) OVER (ORDER BY g ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM big WHERE v = 5"
        )
        .await,
        "[[5],[10]]"
    );
}

/// More of them than there are threads: were one not stopped, nothing would run any more.
#[tokio::test]
async fn dropping_a_statement_stops_it() {
    let db = people().await;
    let threads = std::thread::available_parallelism().map_or(4, |cores| cores.get().max(4));
    let mut txn = db.txn();
    let endless = "DELETE FROM people WHERE id < (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT count(*) FROM n)";
    let within = std::time::Duration::from_millis(100);
    let fruitless = "DELETE FROM people WHERE id < (SELECT count(*) FROM generate_series(1, 100000) AS a \
        CROSS JOIN generate_series(1, 100000) AS b WHERE a.value * b.value = -1)";
    for endless in [endless, fruitless] {
        for _ in 0..=threads {
            let stopped = tokio::time::timeout(within, db.in_txn(&mut txn, endless, vec![])).await;
            assert!(stopped.is_err(), "{stopped:?}");
        }
        let left = tokio::time::timeout(
            std::time::Duration::from_secs(60),
            db.in_txn(&mut txn, "SELECT count(*) FROM people WHERE id + 0 > 0", vec![]),
        );
        let left = left.await.expect("a thread is free").unwrap();
        assert_eq!(left.rows, [[json!(4)]]);
    }
}

/// A few lines that plan billions of steps.
#[tokio::test]
async fn plans_that_double_with_each_line_are_refused() {
    let db = people().await;
    let mut text = "WITH c0 AS (SELECT 1 AS x)".to_owned();
    for level in 1..60 {
        let below = level - 1;
        text += &format!(", c{level} AS (SELECT p.x FROM c{below} AS p CROSS JOIN c{below} AS q)");
    }
    let error = db.fails(&format!("{text} SELECT count(*) FROM c59")).await;
    assert!(
        matches!(&error, SqlError::ResultTooLarge { unit: "tables", .. }),
        "{error:?}"
    );
}

/// Few names, each of a view with many steps.
#[tokio::test]
async fn plans_of_too_many_steps_are_refused() {
    let db = people().await;
    let wide = vec!["SELECT id FROM people"; 150].join(" UNION ALL ");
    db.run(&format!("CREATE VIEW wide AS {wide}")).await;
    assert_eq!(db.shown("SELECT count(*) FROM wide").await, "[[600]]");
    let names: Vec<String> = (0..40).map(|number| format!("wide AS w{number}")).collect();
    let error = db
        .fails(&format!("SELECT count(*) FROM {}", names.join(", ")))
        .await;
    assert!(
        matches!(&error, SqlError::ResultTooLarge { unit: "steps", .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_view_is_replaced_only_while_those_that_read_it_work() {
    let db = people().await;
    db.run(
        "CREATE VIEW base AS SELECT id, name FROM people; CREATE VIEW mid AS SELECT id, name FROM base; \
            CREATE VIEW top AS SELECT upper(name) AS loud FROM mid WHERE id + 1 > 1",
    )
    .await;
    let before = db.shown("SELECT * FROM top ORDER BY loud").await;
    for (query, broken) in [
        ("SELECT id FROM people", "mid"),
        ("SELECT name AS id, name FROM people", "top"),
    ] {
        let error = db.fails(&format!("CREATE OR REPLACE VIEW base AS {query}")).await;
        assert!(
            error
                .to_string()
                .contains(&format!("the view \"{broken}\" reads \"base\"")),
            "{error}"
        );
        assert_eq!(db.shown("SELECT * FROM top ORDER BY loud").await, before);
    }
    db.run("CREATE OR REPLACE VIEW base AS SELECT name, id, age FROM people")
        .await;
    assert_eq!(db.shown("SELECT * FROM top ORDER BY loud").await, before);
}

#[tokio::test]
async fn views_that_double_with_each_other_are_refused() {
    let db = people().await;
    db.run("CREATE VIEW v0 AS SELECT 1 AS x").await;
    let refused = async {
        for level in 1..32 {
            let below = level - 1;
            let view =
                format!("CREATE VIEW v{level} AS SELECT p.x FROM v{below} AS p CROSS JOIN v{below} AS q");
            if let Err(error) = db.try_run(&view).await {
                return (level, error);
            }
        }
        panic!("every view was made")
    };
    let (level, error) = refused.await;
    assert!(level > 5, "{level}");
    assert!(matches!(&error, SqlError::ResultTooLarge { .. }), "{error:?}");
}

/// Functions that multiply their input work for sizes that are written out and small.
#[tokio::test]
async fn text_is_repeated_and_padded_within_bounds() {
    let db = people().await;
    assert_eq!(
        db.shown("SELECT repeat('xy', 3), lpad('7', 3, '0'), rpad('a', 1000) = repeat(' ', 999)")
            .await,
        r#"[["xyxyxy","007",false]]"#
    );
}

/// Stored without the sign, as keys have it; DataFusion tells the two apart.
#[tokio::test]
async fn zero_has_no_sign() {
    let db = people().await;
    db.run("CREATE TABLE z (d double PRIMARY KEY, r real)").await;
    db.run("INSERT INTO z SELECT CAST('-0' AS double), CAST('-0' AS real)")
        .await;
    assert_eq!(
        db.shown("SELECT count(*), count(1 / d) FROM z WHERE d = 0 AND r = 0")
            .await,
        "[[1,1]]"
    );
}

#[tokio::test]
async fn long_and_deep_statements_fit_the_stack() {
    let db = people().await;
    let chain = |operator: &str, term: &str, many: usize| vec![term; many].join(operator);
    for sql in [
        format!(
            "SELECT count(*) FROM people WHERE {}",
            chain(" OR ", "id = 1", 245)
        ),
        format!("SELECT {} FROM people WHERE id = 1", chain(" + ", "id", 490)),
        format!(
            "SELECT count(*) FROM people WHERE id IN ({})",
            chain(", ", "1", 20_000)
        ),
        format!("SELECT {}1{}", "(".repeat(20), ")".repeat(20)),
        chain(" UNION ALL ", "SELECT 1", 300),
    ] {
        let outcome = db.try_run(&sql).await;
        assert!(outcome.is_ok(), "{}: {outcome:?}", &sql[..60]);
    }
}

#[tokio::test]
async fn nested_calls_are_bounded_since_planning_them_grows_exponentially() {
    let db = people().await;
    let nested = |depth: usize| {
        format!(
            "SELECT {}id{} FROM people WHERE id = 1",
            "abs(1 + ".repeat(depth),
            ")".repeat(depth)
        )
    };
    assert_eq!(db.shown(&nested(8)).await, "[[9]]");
    assert!(matches!(
        db.fails(&nested(9)).await,
        SqlError::ResultTooLarge { max: 8, .. }
    ));
    let beside = vec!["abs(id)"; 60].join(", ");
    assert_eq!(db.rows(&format!("SELECT {beside} FROM people")).await.len(), 4);
}
