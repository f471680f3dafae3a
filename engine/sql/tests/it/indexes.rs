//! Indexes as statements see them: made, used, told, and never changing an answer.

use std::collections::HashMap;
use std::fmt::Write;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustydb_sql::error::SqlError;
use rustydb_sql::parse::parse_one;
use rustydb_store::tables::{TableError, Txn};
use rustydb_store::types::IndexState;
use serde_json::{Value as Json, json};

use crate::support::Db;

/// Rows of which `a` is one of a hundred, and NULL for some.
async fn filled() -> Db {
    let db = Db::new();
    db.run("CREATE TABLE t (id int PRIMARY KEY, a int, b text, UNIQUE (b))")
        .await;
    db.run("INSERT INTO t SELECT value, nullif(value % 100, 0), 'b' || value FROM generate_series(1, 2000)")
        .await;
    db
}

/// Runs a statement that is its transaction, as a call of its own is.
async fn alone(db: &Db, sql: &str) -> Result<(), SqlError> {
    let mut txn = db.txn();
    let ctx = db.ctx.clone().alone(true);
    db.engine
        .execute(&mut txn, &ctx, &parse_one(sql).unwrap())
        .await?;
    assert!(txn.changes().is_empty());
    assert!(!txn.commit().unwrap().wrote, "it leaves its transaction empty");
    Ok(())
}

async fn plan(db: &Db, txn: &Txn, sql: &str) -> String {
    let statement = parse_one(sql).unwrap();
    let explained = db.engine.explain(&txn.reader(), &db.ctx, &statement, false).await;
    explained.unwrap().physical
}

fn scans(db: &Db, index: &str) -> u64 {
    let txn = db.txn();
    let (_, index) = txn.index("main", "public", index).unwrap().unwrap();
    txn.reader().index_stats(&index).unwrap().used.scans
}

#[tokio::test]
async fn an_index_is_made_and_dropped_by_name() {
    let db = filled().await;
    for (sql, in_call) in [
        ("CREATE INDEX t_a ON t (a)", true),
        (
            "CREATE UNIQUE INDEX \"Odd\" ON public.t USING btree (id, a)",
            false,
        ),
    ] {
        match in_call {
            true => alone(&db, sql).await.unwrap(),
            false => assert_eq!(db.run(sql).await.command, "CREATE INDEX"),
        }
    }
    let table = db.txn().table("main", "public", "t").unwrap().unwrap();
    let shown: Vec<_> = table
        .indexes
        .iter()
        .map(|index| {
            (
                index.name.as_str(),
                index.columns.as_slice(),
                index.unique,
                index.state,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("t_a", &[1][..], false, IndexState::Ready),
            ("Odd", &[0, 1][..], true, IndexState::Ready)
        ]
    );
    let refused = db.fails("CREATE INDEX t_a ON t (b)").await;
    assert!(
        matches!(refused, SqlError::Table(TableError::IndexExists { .. })),
        "{refused}"
    );
    db.run("CREATE INDEX IF NOT EXISTS t_a ON t (b)").await;
    assert_eq!(db.run("DROP INDEX t_a, \"Odd\"").await.command, "DROP INDEX");
    db.run("DROP INDEX IF EXISTS t_a").await;
    let refused = db.fails("DROP INDEX t_a").await;
    assert!(
        matches!(refused, SqlError::Table(TableError::IndexNotFound { .. })),
        "{refused}"
    );
    assert!(
        db.txn()
            .table("main", "public", "t")
            .unwrap()
            .unwrap()
            .indexes
            .is_empty()
    );
}

#[tokio::test]
async fn what_an_index_can_not_be_of_is_refused_and_nothing_is_left() {
    let db = filled().await;
    db.run("CREATE VIEW v AS SELECT a FROM t; CREATE TABLE j (doc json)")
        .await;
    let refused = db.fails("CREATE INDEX i ON t (a,\n  nope)").await;
    let SqlError::ColumnNotFound { name, at, .. } = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!((name.as_str(), at.line, at.column), ("nope", 2, 3));
    for (sql, part) in [
        ("CREATE INDEX i ON v (a)", "not a table"),
        ("CREATE INDEX i ON w (a)", "does not exist"),
        ("CREATE INDEX i ON j (doc)", "not comparable"),
        ("CREATE INDEX t_b_key ON t (a)", "constraint"),
        ("CREATE UNIQUE INDEX i ON t (a)", "(a) = (1)"),
    ] {
        for outcome in [alone(&db, sql).await.unwrap_err(), db.fails(sql).await] {
            assert!(outcome.to_string().contains(part), "{sql}: {outcome}");
        }
        assert!(db.txn().index("main", "public", "i").unwrap().is_none());
    }
}

#[tokio::test]
async fn a_created_index_is_rolled_back_with_its_transaction() {
    let db = filled().await;
    let mut txn = db.txn();
    db.in_txn(&mut txn, "INSERT INTO t VALUES (5000, 7, 'new')", vec![])
        .await
        .unwrap();
    db.in_txn(&mut txn, "CREATE INDEX t_a ON t (a)", vec![])
        .await
        .unwrap();
    db.in_txn(&mut txn, "INSERT INTO t VALUES (5001, 7, 'newer')", vec![])
        .await
        .unwrap();
    let sql = "SELECT count(*) FROM t WHERE a = 7";
    assert!(
        plan(&db, &txn, sql)
            .await
            .contains("IndexScan: table=t, index=t_a")
    );
    let counted = db.in_txn(&mut txn, sql, vec![]).await.unwrap().rows;
    assert_eq!(json!(counted), json!([[22]]));
    txn.rollback();
    assert!(db.txn().index("main", "public", "t_a").unwrap().is_none());
    assert!(plan(&db, &db.txn(), sql).await.contains("TableScan"));
}

#[tokio::test]
async fn an_index_is_used_where_it_leaves_few_rows_and_told_by_explain() {
    let db = filled().await;
    alone(&db, "CREATE INDEX t_ab ON t (a, b)").await.unwrap();
    alone(&db, "CREATE UNIQUE INDEX t_b ON t (b)").await.unwrap();
    let txn = db.txn();
    let uses = [
        (
            "SELECT id FROM t WHERE a = 7",
            "index=t_ab, columns=[id, a], equal=1",
        ),
        ("SELECT id FROM t WHERE a IS NULL", "index=t_ab"),
        (
            "SELECT id FROM t WHERE a = 7 AND b > 'b5' AND b < 'b6'",
            "equal=1",
        ),
        (
            "SELECT id FROM t WHERE a BETWEEN 7 AND 8",
            "index=t_ab, columns=[id, a]",
        ),
        ("SELECT id FROM t WHERE b = 'b7'", "index=t_b,"),
        ("SELECT id FROM t WHERE b >= 'b77' AND 'b78' > b", "index=t_b,"),
        ("UPDATE t SET a = 1 WHERE b = 'b7'", "index=t_b,"),
        ("DELETE FROM t WHERE a = 7", "index=t_ab"),
        (
            "INSERT INTO t SELECT id + 9000, a, NULL FROM t WHERE a = 7",
            "index=t_ab",
        ),
        (
            "SELECT x.id FROM t AS x JOIN t AS y ON x.id = y.a WHERE y.b = 'b7'",
            "index=t_b,",
        ),
    ];
    for (sql, part) in uses {
        let plan = plan(&db, &txn, sql).await;
        assert!(
            plan.contains("IndexScan: table=t, ") && plan.contains(part),
            "{sql}:\n{plan}"
        );
    }
    let others = [
        (
            "SELECT id FROM t WHERE a > 7",
            "TableScan: table=t, columns=[id, a]",
        ),
        ("SELECT id FROM t WHERE a <> 7", "TableScan"),
        ("SELECT id FROM t WHERE a + 1 = 7", "TableScan"),
        ("SELECT id FROM t WHERE id = 7 AND a = 7", "key range"),
        ("SELECT id FROM t WHERE id < 9 AND a = 7", "key range"),
        ("SELECT id FROM t WHERE b IS NULL", "index=t_ab"),
    ];
    for (sql, part) in &others[..5] {
        let plan = plan(&db, &txn, sql).await;
        assert!(
            plan.contains(part) && !plan.contains("IndexScan"),
            "{sql}:\n{plan}"
        );
    }
    let plan = plan(&db, &txn, others[5].0).await;
    assert!(
        plan.contains("TableScan"),
        "rows with NULL are not in a unique index: {plan}"
    );
    assert_eq!(scans(&db, "t_ab"), 0, "planning is no use");
    assert_eq!(db.shown("SELECT count(*) FROM t WHERE a = 7").await, "[[20]]");
    assert_eq!(scans(&db, "t_ab"), 1);
}

#[tokio::test]
async fn rows_by_an_index_need_no_sort_where_it_has_their_order() {
    let db = filled().await;
    alone(&db, "CREATE INDEX t_ab ON t (a, b)").await.unwrap();
    let sql = "SELECT a, b FROM t WHERE a BETWEEN 7 AND 9 ORDER BY a, b";
    let plan = plan(&db, &db.txn(), sql).await;
    assert!(plan.contains("IndexScan") && !plan.contains("Sort"), "{plan}");
    let rows = db.rows(sql).await;
    let mut sorted = rows.clone();
    sorted.sort_by_key(|row| (row[0].as_i64(), row[1].to_string()));
    assert_eq!((rows.len(), &rows), (60, &sorted));
}

/// Statements on `r`, whose columns are of many types.
struct Statements(StdRng);

const COLUMNS: [&str; 8] = ["id", "a", "b", "c", "d", "e", "u", "f"];

impl Statements {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.0.random_range(0..from.len())]
    }

    /// A constant of the column's type, one of not too many.
    fn value(&mut self, column: &str) -> String {
        if column != "id" && self.0.random_bool(0.1) {
            return "NULL".to_owned();
        }
        let number = self.0.random_range(0..60i32);
        match column {
            "id" => self.0.random_range(0..700).to_string(),
            "a" | "c" => (number - 20).to_string(),
            "b" => format!(
                "'{}'",
                self.pick(&["", "a", "ab", "b", "B", "é", "zz", "a%", "\u{1}x"])
            ),
            "d" => format!("{}.{:02}", number - 30, number),
            "e" => format!("DATE '2024-{:02}-{:02}'", number % 12 + 1, number % 28 + 1),
            "u" => format!("'00000000-0000-0000-0000-0000000000{number:02}'"),
            _ => self.pick(&["true", "false"]).to_owned(),
        }
    }

    fn condition(&mut self) -> String {
        let column = self.pick(&COLUMNS);
        match self.0.random_range(0..10) {
            0 => format!("{column} IS NULL"),
            1 => format!("{column} IS NOT NULL"),
            2 => format!("{column} IN ({}, {})", self.value(column), self.value(column)),
            3 => format!("{} {} {column}", self.value(column), self.pick(&["<", ">=", "="])),
            4 | 5 => {
                let (from, to) = (self.value(column), self.value(column));
                format!("{column} BETWEEN {from} AND {to}")
            }
            6 => format!(
                "{column} {} {}",
                self.pick(&["<", "<=", ">", ">=", "<>"]),
                self.value(column)
            ),
            _ => format!("{column} = {}", self.value(column)),
        }
    }

    fn conditions(&mut self) -> String {
        let mut all = self.condition();
        for _ in 0..self.0.random_range(0..4) {
            let word = if self.0.random_bool(0.9) { "AND" } else { "OR" };
            all = format!("{all} {word} {}", self.condition());
        }
        all
    }

    fn query(&mut self) -> String {
        let conditions = self.conditions();
        match self.0.random_range(0..5) {
            0 => format!("SELECT count(*), sum(a), min(b), max(d) FROM r WHERE {conditions}"),
            1 => format!("SELECT c, e, id FROM r WHERE {conditions} ORDER BY c NULLS LAST, id"),
            2 => format!("SELECT b, a, id FROM r WHERE {conditions} ORDER BY b, a, id LIMIT 7"),
            3 => format!(
                "SELECT x.id, y.id FROM r AS x JOIN r AS y ON x.a = y.c WHERE x.id < 9 AND y.id IN (SELECT id FROM r WHERE {conditions}) ORDER BY 1, 2"
            ),
            _ => format!("SELECT * FROM r WHERE {conditions} ORDER BY id"),
        }
    }

    fn rows(&mut self, count: usize) -> String {
        let mut sql = "INSERT INTO r VALUES ".to_owned();
        for row in 0..count {
            let comma = if row > 0 { ", " } else { "" };
            let values: Vec<String> = COLUMNS.iter().map(|column| self.value(column)).collect();
            write!(sql, "{comma}({})", values.join(", ")).unwrap();
        }
        sql
    }

    fn change(&mut self) -> String {
        let conditions = self.conditions();
        match self.0.random_range(0..6) {
            0..3 => {
                let count = self.0.random_range(1..3);
                self.rows(count)
            }
            3 => format!(
                "DELETE FROM r WHERE {conditions} AND id % 7 = {}",
                self.0.random_range(0..7)
            ),
            4 => {
                let column = self.pick(&COLUMNS[1..]);
                format!(
                    "UPDATE r SET {column} = {} WHERE {conditions}",
                    self.value(column)
                )
            }
            _ => format!("UPDATE r SET id = id + 1000, a = c, c = a WHERE {conditions} AND id < 700"),
        }
    }

    fn definition(&mut self) -> String {
        let name = self.pick(&["i1", "i2", "i3", "i4"]);
        if self.0.random_bool(0.3) {
            return format!("DROP INDEX IF EXISTS {name}");
        }
        let mut columns: Vec<&str> = Vec::new();
        for _ in 0..self.0.random_range(1..4) {
            let column = self.pick(&COLUMNS);
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        format!("CREATE INDEX IF NOT EXISTS {name} ON r ({})", columns.join(", "))
    }
}

async fn both(
    (plain, plain_txn): (&Db, &mut Txn),
    (indexed, indexed_txn): (&Db, &mut Txn),
    sql: &str,
    seed: u64,
) {
    let expected = plain.in_txn(plain_txn, sql, vec![]).await;
    let found = indexed.in_txn(indexed_txn, sql, vec![]).await;
    match (expected, found) {
        (Ok(expected), Ok(found)) => {
            assert_eq!(found.rows, expected.rows, "seed {seed}: {sql}");
            assert_eq!(found.rows_affected, expected.rows_affected, "seed {seed}: {sql}");
        }
        (Err(_), Err(_)) => {}
        (expected, found) => panic!("seed {seed}: {sql}\nwithout: {expected:?}\nwith: {found:?}"),
    }
}

#[tokio::test]
async fn queries_and_changes_answer_the_same_with_indexes_and_without() {
    let (mut scans, mut differing) = (0, 0);
    for seed in 0..5 {
        // Of each index while it was there: most are dropped again.
        let mut scans_of = HashMap::new();
        let mut statements = Statements(StdRng::seed_from_u64(seed));
        let (plain, indexed) = (Db::new(), Db::new());
        let table = "CREATE TABLE r (id int PRIMARY KEY, a int, b text, c bigint, d decimal(6, 2), e date, u uuid, f boolean)";
        let mut begin = vec![table.to_owned()];
        // Keys meet, and then none of the rows is kept: on both sides.
        begin.extend((0..400).map(|_| statements.rows(1)));
        for sql in &begin {
            let (left, right) = (plain.try_run(sql).await, indexed.try_run(sql).await);
            assert_eq!(left.is_ok(), right.is_ok());
        }
        for sql in [
            "CREATE INDEX i1 ON r (a, e)",
            "CREATE INDEX i2 ON r (b, c)",
            "CREATE INDEX i3 ON r (u)",
        ] {
            alone(&indexed, sql).await.unwrap();
        }
        for _ in 0..12 {
            if statements.0.random_bool(0.4) {
                let sql = statements.definition();
                match sql.starts_with("CREATE") {
                    true => alone(&indexed, &sql).await.unwrap(),
                    false => drop(indexed.run(&sql).await),
                }
            }
            let (mut left, mut right) = (plain.txn(), indexed.txn());
            for _ in 0..statements.0.random_range(4..16) {
                let sql = match statements.0.random_range(0..20) {
                    0..15 => statements.query(),
                    15 => {
                        let sql = statements.definition();
                        indexed.in_txn(&mut right, &sql, vec![]).await.unwrap();
                        continue;
                    }
                    _ => statements.change(),
                };
                both((&plain, &mut left), (&indexed, &mut right), &sql, seed).await;
            }
            if statements.0.random_bool(0.7) {
                left.commit().unwrap();
                right.commit().unwrap();
            }
            let txn = indexed.txn();
            for index in &txn.table("main", "public", "r").unwrap().unwrap().indexes {
                scans_of.insert(index.id, txn.reader().index_stats(index).unwrap().used.scans);
            }
        }
        scans += scans_of.values().sum::<u64>();
        let txn = indexed.txn();
        let table = txn.table("main", "public", "r").unwrap().unwrap();
        for index in &table.indexes {
            let go_on = || std::ops::ControlFlow::Continue(());
            let found = txn.reader().verify_index(&table, index, go_on).unwrap();
            assert!(found.is_sound(), "seed {seed}: {index:?}: {found:?}");
        }
        let all = "SELECT * FROM r ORDER BY id";
        let rows: Vec<Vec<Json>> = plain.rows(all).await;
        assert_eq!(indexed.rows(all).await, rows, "seed {seed}");
        differing += usize::from(rows.len() > 100);
    }
    assert!(scans > 50, "indexes were read {scans} times");
    assert_eq!(differing, 5, "tables of many rows");
}
