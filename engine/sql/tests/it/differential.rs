//! Random statements, answered by SQLite too: an engine that shares no code with this one.
//!
//! What is generated stays where both follow the SQL standard: integers that can't overflow, text compared by
//! bytes, and every order made total. The seed is printed with a failure.

use std::fmt::Write;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::{Value as Json, json};

use crate::support::Db;

const SEEDS: u64 = 12;
const STATEMENTS: usize = 60;

struct Writer(StdRng);

impl Writer {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.0.random_range(0..from.len())]
    }

    fn number(&mut self) -> String {
        match self.0.random_range(0..8) {
            0 => "NULL".to_owned(),
            _ => self.0.random_range(-5..15).to_string(),
        }
    }

    fn text(&mut self) -> String {
        match self.0.random_range(0..8) {
            0 => "NULL".to_owned(),
            _ => format!("'{}'", self.pick(&["", "a", "b", "ab", "B", "zed", "é", "a%b"])),
        }
    }

    fn number_expr(&mut self, depth: usize, table: &str) -> String {
        match self.0.random_range(0..if depth == 0 { 3 } else { 9 }) {
            0 => format!("{table}.{}", self.pick(&["id", "a", "b"])),
            1 => format!("{table}.a"),
            2 => self.number(),
            3 => format!(
                "({} + {})",
                self.number_expr(depth - 1, table),
                self.number_expr(depth - 1, table)
            ),
            4 => format!(
                "({} - {})",
                self.number_expr(depth - 1, table),
                self.number_expr(depth - 1, table)
            ),
            5 => format!(
                "coalesce({}, {})",
                self.number_expr(depth - 1, table),
                self.number_expr(depth - 1, table)
            ),
            6 => format!("length({})", self.text_expr(depth - 1, table)),
            7 => format!(
                "CASE WHEN {} THEN {} ELSE {} END",
                self.condition(0, table),
                self.number_expr(depth - 1, table),
                self.number_expr(depth - 1, table)
            ),
            _ => format!("(- {})", self.number_expr(depth - 1, table)),
        }
    }

    fn text_expr(&mut self, depth: usize, table: &str) -> String {
        match self.0.random_range(0..if depth == 0 { 2 } else { 5 }) {
            0 => format!("{table}.t"),
            1 => format!("CAST({} AS text)", self.text()),
            2 => format!(
                "({} || {})",
                self.text_expr(depth - 1, table),
                self.text_expr(depth - 1, table)
            ),
            3 => format!(
                "coalesce({}, {})",
                self.text_expr(depth - 1, table),
                self.text_expr(depth - 1, table)
            ),
            _ => format!(
                "substr({}, {}, {})",
                self.text_expr(depth - 1, table),
                self.0.random_range(1..3),
                self.0.random_range(0..3)
            ),
        }
    }

    fn condition(&mut self, depth: usize, table: &str) -> String {
        let compare = ["=", "<>", "<", "<=", ">", ">="];
        match self.0.random_range(0..if depth == 0 { 5 } else { 12 }) {
            0 => format!("{table}.{} IS NULL", self.pick(&["a", "b", "t"])),
            1 | 2 => format!(
                "{table}.{} {} {}",
                self.pick(&["id", "a", "b"]),
                self.pick(&compare),
                self.number()
            ),
            3 => format!("{table}.t {} {}", self.pick(&compare), self.text()),
            4 => format!("{table}.a BETWEEN {} AND {}", self.number(), self.number()),
            5 => format!(
                "({} AND {})",
                self.condition(depth - 1, table),
                self.condition(depth - 1, table)
            ),
            6 => format!(
                "({} OR {})",
                self.condition(depth - 1, table),
                self.condition(depth - 1, table)
            ),
            7 => format!("(NOT {})", self.condition(depth - 1, table)),
            8 => format!(
                "{table}.a IN ({}, {}, {})",
                self.number(),
                self.number(),
                self.number()
            ),
            9 => format!(
                "{table}.b IN (SELECT q.a FROM q WHERE {})",
                self.condition(0, "q")
            ),
            10 => format!(
                "EXISTS (SELECT 1 FROM q WHERE q.a = {table}.a AND {})",
                self.condition(0, "q")
            ),
            _ => format!(
                "{} {} {}",
                self.number_expr(depth - 1, table),
                self.pick(&compare),
                self.number_expr(depth - 1, table)
            ),
        }
    }

    fn query(&mut self) -> String {
        let order = "ORDER BY 1 NULLS LAST, 2 NULLS LAST, 3 NULLS LAST";
        match self.0.random_range(0..8) {
            0 | 1 => format!(
                "SELECT p.id, {}, {} FROM p WHERE {} {order}",
                self.number_expr(2, "p"),
                self.text_expr(2, "p"),
                self.condition(2, "p")
            ),
            2 => format!(
                "SELECT p.b, count(*), sum(p.a) FROM p WHERE {} GROUP BY p.b HAVING count(*) > {} {order}",
                self.condition(2, "p"),
                self.0.random_range(0..3)
            ),
            3 => format!(
                "SELECT min(p.a), max(p.t), count(DISTINCT p.b) FROM p WHERE {}",
                self.condition(2, "p")
            ),
            4 => format!(
                "SELECT p.id, q.id, q.t FROM p {} JOIN q ON p.a = q.a AND {} WHERE {} {order}",
                self.pick(&["LEFT", "INNER", "FULL", "RIGHT"]),
                self.condition(0, "q"),
                self.condition(1, "p")
            ),
            5 => format!(
                "SELECT a, b, t FROM p WHERE {} {} SELECT a, b, t FROM q WHERE {} {order}",
                self.condition(1, "p"),
                self.pick(&["UNION", "UNION ALL", "EXCEPT", "INTERSECT"]),
                self.condition(1, "q")
            ),
            6 => format!(
                "WITH c AS (SELECT DISTINCT a, t FROM p WHERE {}) SELECT c.a, c.t, (SELECT count(*) FROM q WHERE q.a = c.a) \
                 FROM c {order}",
                self.condition(1, "p")
            ),
            _ => format!(
                "SELECT p.id, p.a, p.t FROM p WHERE {} ORDER BY p.a {} NULLS {}, p.id LIMIT {} OFFSET {}",
                self.condition(2, "p"),
                self.pick(&["ASC", "DESC"]),
                self.pick(&["FIRST", "LAST"]),
                self.0.random_range(0..6),
                self.0.random_range(0..4)
            ),
        }
    }

    fn change(&mut self) -> String {
        let table = self.pick(&["p", "q"]);
        match self.0.random_range(0..6) {
            0 | 1 => {
                let mut sql = format!("INSERT INTO {table} (id, a, b, t) VALUES ");
                for row in 0..self.0.random_range(1..4) {
                    let comma = if row > 0 { ", " } else { "" };
                    let id = self.0.random_range(0..60);
                    write!(
                        sql,
                        "{comma}({id}, {}, {}, {})",
                        self.number(),
                        self.number(),
                        self.text()
                    )
                    .unwrap();
                }
                sql
            }
            2 => format!(
                "INSERT INTO {table} SELECT id + {}, {}, b, t FROM p WHERE {}",
                self.0.random_range(1..40),
                self.number_expr(1, "p"),
                self.condition(1, "p")
            ),
            3 => format!(
                "UPDATE {table} SET a = {}, t = {} WHERE {}",
                self.number_expr(2, table),
                self.text_expr(1, table),
                self.condition(2, table)
            ),
            4 => format!(
                "UPDATE {table} SET b = (SELECT count(*) FROM p AS o WHERE o.a = {table}.b) WHERE {}",
                self.condition(1, table)
            ),
            _ => format!(
                "DELETE FROM {table} WHERE {} AND {}",
                self.condition(2, table),
                self.condition(1, table)
            ),
        }
    }
}

fn ask_sqlite(sqlite: &Connection, sql: &str) -> Vec<Vec<Json>> {
    let mut statement = sqlite
        .prepare(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut answer = Vec::new();
    while let Some(row) = rows.next().unwrap_or_else(|error| panic!("{sql}: {error}")) {
        let cell = |index| match row.get_ref(index).unwrap() {
            ValueRef::Null => Json::Null,
            ValueRef::Integer(value) => json!(value),
            ValueRef::Real(value) => json!(value),
            ValueRef::Text(text) => json!(std::str::from_utf8(text).unwrap()),
            ValueRef::Blob(bytes) => json!(bytes),
        };
        answer.push((0..columns).map(cell).collect());
    }
    answer
}

#[tokio::test]
async fn sqlite_gives_the_same_answers() {
    for seed in 0..SEEDS {
        let mut writer = Writer(StdRng::seed_from_u64(seed));
        let db = Db::new();
        let sqlite = Connection::open_in_memory().unwrap();
        let schema = [
            "CREATE TABLE p (id int PRIMARY KEY, a int, b int, t text)",
            "CREATE TABLE q (id int PRIMARY KEY, a int, b int, t text, UNIQUE (a, b, t))",
        ];
        for sql in schema {
            db.run(sql).await;
            sqlite.execute(sql, []).unwrap();
        }
        let mut changed = 0;
        for _ in 0..STATEMENTS {
            if writer.0.random_bool(0.5) {
                let sql = writer.change();
                let ours = db.try_run(&sql).await;
                // SQLite checks keys row by row, so that it may refuse a set update that is right at its end.
                match (&ours, sqlite.execute(&sql, [])) {
                    (Ok(result), Ok(count)) => {
                        assert_eq!(result.rows_affected, count as u64, "seed {seed}: {sql}");
                        changed += count;
                    }
                    (Err(_), Err(_)) => {}
                    (ours, theirs) => panic!("seed {seed}: {sql}\nours: {ours:?}\nSQLite: {theirs:?}"),
                }
            } else {
                let sql = writer.query();
                let ours = db
                    .try_run(&sql)
                    .await
                    .unwrap_or_else(|error| panic!("seed {seed}: {sql}: {error:?}"))
                    .rows;
                assert_eq!(ours, ask_sqlite(&sqlite, &sql), "seed {seed}: {sql}");
            }
        }
        for table in ["p", "q"] {
            let sql = format!("SELECT * FROM {table} ORDER BY id");
            assert_eq!(
                db.rows(&sql).await,
                ask_sqlite(&sqlite, &sql),
                "seed {seed}: {sql}"
            );
        }
        assert!(changed > 0, "seed {seed} changed nothing");
    }
}
