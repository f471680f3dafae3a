//! A filter asked about rows in memory means what it means in a query: random tables and filters, answered by the
//! predicate, by queries, and by a model that knows of each column only the order of its values.
//!
//! The seed is printed with a failure.

use std::cmp::Ordering;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rustydb_sql::rows::{CompareOp, FILTER_DEPTH_MAX, RowFilter, RowQuery};
use rustydb_store::datum::{datum_from_json, row_id_text};
use rustydb_store::seam::KeyRange;
use rustydb_store::tables::{ColumnSpec, PUBLIC_SCHEMA, TableError, TableSpec, Txn};
use rustydb_store::types::{ColumnType, Row, RowKey, TableDef};
use serde_json::{Value as Json, json};

use crate::support::Db;

const SEEDS: u64 = 28;
const FILTERS: usize = 25;
const ROWS_MAX: usize = 60;
const COLUMNS_MAX: usize = 8;
const DEPTH_MAX: usize = 4;

/// Columns of every type, each with values in ascending order, no two of them equal.
fn types() -> Vec<(&'static str, Vec<Json>)> {
    vec![
        ("boolean", vec![json!(false), json!(true)]),
        (
            "smallint",
            vec![json!(-32_768), json!(-1), json!(0), json!(7), json!(32_767)],
        ),
        (
            "integer",
            vec![json!(i32::MIN), json!(-5), json!(0), json!(5), json!(i32::MAX)],
        ),
        (
            "bigint",
            vec![
                json!(i64::MIN),
                json!(-1),
                json!(9_007_199_254_740_992_i64),
                json!(9_007_199_254_740_993_i64),
                json!(i64::MAX),
            ],
        ),
        (
            "real",
            vec![
                json!("-Infinity"),
                json!(-0.25),
                json!(0),
                json!(1.5),
                json!(16_777_216),
                json!("Infinity"),
                json!("NaN"),
            ],
        ),
        (
            "double precision",
            vec![
                json!("-Infinity"),
                json!(-1e300),
                json!(0),
                json!(0.1),
                json!(1e300),
                json!("Infinity"),
                json!("NaN"),
            ],
        ),
        (
            "decimal(12,3)",
            vec![
                json!("-999999999.999"),
                json!("-0.001"),
                json!("0.000"),
                json!("0.100"),
                json!("999999999.999"),
            ],
        ),
        (
            "text",
            vec![
                json!(""),
                json!("%"),
                json!("A"),
                json!("A_b"),
                json!("a"),
                json!("a%b"),
                json!("ab"),
                json!("axb"),
                json!("\u{e9}t\u{e9}"),
            ],
        ),
        (
            "bytea",
            vec![
                json!(""),
                json!("AA=="),
                json!("AAE="),
                json!("AQ=="),
                json!("/w=="),
            ],
        ),
        (
            "uuid",
            vec![
                json!("00000000-0000-0000-0000-000000000000"),
                json!("0a000000-0000-4000-8000-00000000000f"),
                json!("a0000000-0000-4000-8000-000000000000"),
                json!("ffffffff-ffff-ffff-ffff-ffffffffffff"),
            ],
        ),
        (
            "date",
            vec![
                json!("1582-10-15"),
                json!("1969-12-31"),
                json!("1970-01-01"),
                json!("2024-02-29"),
            ],
        ),
        (
            "timestamp",
            vec![
                json!("1969-12-31T23:59:59.999999"),
                json!("1970-01-01T00:00:00"),
                json!("2024-02-29T12:00:00.000001"),
            ],
        ),
        (
            "timestamptz",
            vec![
                json!("1969-12-31T23:59:59.999999Z"),
                json!("1970-01-01T00:00:00Z"),
                json!("2024-02-29T12:00:00.000001Z"),
            ],
        ),
        // Without an order: it can be asked for NULL only.
        ("json", vec![json!({"a": [1, "x"]}), json!("text"), json!(3)]),
    ]
}

struct Column {
    name: String,
    data_type: ColumnType,
    values: Vec<Json>,
}

impl Column {
    fn is_of(&self, data_type: &str) -> bool {
        self.data_type == ColumnType::parse(data_type).unwrap()
    }
}

/// Of each column the place of its value among those that the column may have, nothing for NULL.
type Places = Vec<Option<usize>>;

struct World {
    rng: StdRng,
    columns: Vec<Column>,
    table: Arc<TableDef>,
    txn: Txn,
    rows: Vec<(RowKey, Row)>,
    places: Vec<Places>,
}

impl World {
    /// A random table, with some of its rows committed and some not.
    fn new(db: &Db, seed: u64) -> World {
        let mut rng = StdRng::seed_from_u64(seed);
        let types = types();
        let columns: Vec<Column> = (0..rng.random_range(1..=COLUMNS_MAX))
            .map(|at| {
                // Every type comes up, whatever the seed.
                let chosen = if at == 0 {
                    seed as usize % types.len()
                } else {
                    rng.random_range(0..types.len())
                };
                let (name, values) = &types[chosen];
                let names = ["c", "Mixed Case ", "quo\"ted", "select"];
                Column {
                    name: format!("{}{at}", names.choose(&mut rng).unwrap()),
                    data_type: ColumnType::parse(name).unwrap(),
                    values: values.clone(),
                }
            })
            .collect();
        let with_key: Vec<&Column> = columns.iter().filter(|column| !column.is_of("json")).collect();
        let key_columns = rng.random_range(0..=with_key.len().min(2));
        let key: Vec<String> = with_key
            .choose_multiple(&mut rng, key_columns)
            .map(|column| column.name.clone())
            .collect();
        let spec = TableSpec {
            database: "main".to_owned(),
            schema: PUBLIC_SCHEMA.to_owned(),
            name: "t".to_owned(),
            columns: columns
                .iter()
                .map(|column| ColumnSpec {
                    name: column.name.clone(),
                    data_type: column.data_type,
                    nullable: !key.contains(&column.name),
                    default: None,
                    fill: None,
                })
                .collect(),
            primary_key: key,
            unique: Vec::new(),
        };
        let mut txn = db.txn();
        let table = txn.create_table(spec).unwrap();
        let count = rng.random_range(0..=ROWS_MAX);
        let committed = rng.random_range(0..=count);
        let mut placed = Vec::new();
        for row in 0..count {
            if row == committed {
                txn.commit().unwrap();
                txn = db.txn();
            }
            let places: Places = columns
                .iter()
                .zip(&table.columns)
                .map(|(column, definition)| {
                    let is_null = definition.nullable && rng.random_range(0..4) == 0;
                    (!is_null).then(|| rng.random_range(0..column.values.len()))
                })
                .collect();
            let datums = columns.iter().zip(&places).map(|(column, place)| {
                let value = place.map_or(&Json::Null, |place| &column.values[place]);
                datum_from_json(value, column.data_type).unwrap()
            });
            match txn.insert(&table, datums.collect()) {
                Ok(key) => placed.push((key, places)),
                Err(TableError::UniqueViolation { .. }) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        placed.sort_by(|(one, _), (other, _)| one.cmp(other));
        let rows = txn
            .reader()
            .scan(&table, &KeyRange::default(), usize::MAX)
            .unwrap();
        let keys: Vec<&RowKey> = rows.iter().map(|(key, _)| key).collect();
        assert!(placed.iter().map(|(key, _)| key).eq(keys), "seed {seed}");
        let places = placed.into_iter().map(|(_, places)| places).collect();
        World {
            rng,
            columns,
            table,
            txn,
            rows,
            places,
        }
    }

    fn value(&mut self, column: usize) -> Json {
        let values = &self.columns[column].values;
        match self.rng.random_range(0..10) {
            0 => Json::Null,
            _ => values.choose(&mut self.rng).unwrap().clone(),
        }
    }

    fn filter(&mut self, depth: usize) -> RowFilter {
        let at = self.rng.random_range(0..self.columns.len());
        let column = self.columns[at].name.clone();
        let is_json = self.columns[at].is_of("json");
        let parts = |world: &mut World| {
            let count = world.rng.random_range(0..4);
            (0..count).map(|_| world.filter(depth - 1)).collect()
        };
        match self.rng.random_range(0..if depth == 0 { 6 } else { 11 }) {
            0 => RowFilter::IsNull { column },
            _ if is_json && depth == 0 => RowFilter::IsNull { column },
            1..=3 if !is_json => {
                use CompareOp::{Eq, Ge, Gt, Le, Lt, Ne};
                RowFilter::Compare {
                    column,
                    op: *[Eq, Ne, Lt, Le, Gt, Ge].choose(&mut self.rng).unwrap(),
                    value: self.value(at),
                }
            }
            4 if !is_json => RowFilter::In {
                column,
                values: (0..self.rng.random_range(0..4)).map(|_| self.value(at)).collect(),
            },
            5 if self.columns[at].is_of("text") => {
                let patterns = [
                    "", "%", "_", "a%", "%b", "A\\_%", "a_b", "%t\u{e9}", "_t_", "%%", "a\\%b",
                ];
                RowFilter::Like {
                    column,
                    pattern: (*patterns.choose(&mut self.rng).unwrap()).to_owned(),
                    ignore_case: self.rng.random(),
                }
            }
            6 | 7 => RowFilter::And(parts(self)),
            8 | 9 => RowFilter::Or(parts(self)),
            10 => RowFilter::Not(Box::new(self.filter(depth - 1))),
            _ => RowFilter::IsNull { column },
        }
    }

    /// Whether the model's row is meant; nothing for neither true nor false.
    fn holds(&self, filter: &RowFilter, row: &Places) -> Option<bool> {
        let column = |name: &str| {
            let at = self
                .columns
                .iter()
                .position(|column| column.name == name)
                .unwrap();
            (&self.columns[at], row[at])
        };
        let place_of = |column: &Column, value: &Json| column.values.iter().position(|known| known == value);
        match filter {
            RowFilter::And(parts) => all(parts.iter().map(|part| self.holds(part, row))),
            RowFilter::Or(parts) => {
                let none = all(parts.iter().map(|part| self.holds(part, row).map(|held| !held)));
                none.map(|none| !none)
            }
            RowFilter::Not(inner) => self.holds(inner, row).map(|held| !held),
            RowFilter::IsNull { column: name } => Some(column(name).1.is_none()),
            RowFilter::Compare {
                column: name,
                op,
                value,
            } => {
                let (column, place) = column(name);
                let order = place?.cmp(&place_of(column, value)?);
                Some(match op {
                    CompareOp::Eq => order == Ordering::Equal,
                    CompareOp::Ne => order != Ordering::Equal,
                    CompareOp::Lt => order == Ordering::Less,
                    CompareOp::Le => order != Ordering::Greater,
                    CompareOp::Gt => order == Ordering::Greater,
                    CompareOp::Ge => order != Ordering::Less,
                })
            }
            RowFilter::In { column: name, values } => {
                let (column, place) = column(name);
                let none = all(values
                    .iter()
                    .map(|value| Some(place? != place_of(column, value)?)));
                none.map(|none| !none)
            }
            RowFilter::Like {
                column: name,
                pattern,
                ignore_case,
            } => {
                let (column, place) = column(name);
                let text = column.values[place?].as_str().unwrap();
                let shown = |text: &str| -> Vec<char> {
                    match ignore_case {
                        true => text.to_lowercase().chars().collect(),
                        false => text.chars().collect(),
                    }
                };
                Some(is_like(&shown(text), &shown(pattern)))
            }
        }
    }
}

/// AND of three-valued logic.
fn all(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let parts: Vec<Option<bool>> = parts.collect();
    if parts.contains(&Some(false)) {
        return Some(false);
    }
    (!parts.contains(&None)).then_some(true)
}

fn is_like(text: &[char], pattern: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|from| is_like(&text[from..], rest)),
        ['_', rest @ ..] => !text.is_empty() && is_like(&text[1..], rest),
        ['\\', plain, rest @ ..] | [plain, rest @ ..] => {
            text.first() == Some(plain) && is_like(&text[1..], rest)
        }
    }
}

#[tokio::test]
async fn a_predicate_means_what_a_query_means() {
    let (mut meant, mut left) = (0, 0);
    for seed in 0..SEEDS {
        let db = Db::new();
        let mut world = World::new(&db, seed);
        let reader = world.txn.reader();
        for _ in 0..FILTERS {
            let filter = world.filter(DEPTH_MAX);
            let what = || format!("seed {seed}: {filter:?} on {:?}", world.table.columns);
            let predicate = db
                .engine
                .predicate(&world.table, &filter)
                .unwrap_or_else(|error| panic!("{}: {error:?}", what()));
            let matches = predicate.matches(&world.rows).unwrap();
            let model: Vec<bool> = world
                .places
                .iter()
                .map(|row| world.holds(&filter, row) == Some(true))
                .collect();
            assert_eq!(matches, model, "{}", what());
            let chosen = world.rows.iter().zip(&matches).filter(|(_, held)| **held);
            let chosen: Vec<&RowKey> = chosen.map(|((key, _), _)| key).collect();
            let found = db
                .engine
                .matching_keys(&reader, &world.table, Some(&filter), usize::MAX)
                .await
                .unwrap_or_else(|error| panic!("{}: {error:?}", what()));
            assert_eq!(found.iter().collect::<Vec<_>>(), chosen, "{}", what());
            let query = RowQuery {
                filter: Some(filter.clone()),
                limit: ROWS_MAX,
                ..RowQuery::default()
            };
            let page = db
                .engine
                .query_rows(&reader, &db.ctx, &world.table, &query)
                .await
                .unwrap_or_else(|error| panic!("{}: {error:?}", what()));
            let ids: Vec<String> = chosen
                .iter()
                .map(|key| row_id_text(&world.table, key).unwrap())
                .collect();
            assert_eq!(page.ids, ids, "{}", what());
            meant += chosen.len();
            left += world.rows.len() - chosen.len();
            // Of one row the same as of many.
            for (row, held) in world.rows.iter().zip(&matches) {
                assert_eq!(
                    predicate.matches(std::slice::from_ref(row)).unwrap(),
                    [*held],
                    "{}",
                    what()
                );
            }
        }
        let filter = world.filter(0);
        let predicate = db.engine.predicate(&world.table, &filter).unwrap();
        assert!(predicate.matches(&[]).unwrap().is_empty());
    }
    assert!(
        meant > 2_000 && left > 2_000,
        "{meant} rows were meant, {left} were not"
    );
}

/// What a query refuses, a predicate refuses.
#[tokio::test]
async fn a_predicate_refuses_what_a_query_refuses() {
    let db = Db::new();
    db.run("CREATE TABLE t (i smallint, d decimal(4,2), u uuid, a date, j json, b boolean, y bytea, x text)")
        .await;
    let reader = db.txn().reader();
    let table = reader.table("main", "public", "t").unwrap().unwrap();
    let compare = |column: &str, value: Json| RowFilter::Compare {
        column: column.to_owned(),
        op: CompareOp::Eq,
        value,
    };
    let mut nested = RowFilter::And(Vec::new());
    for _ in 0..=FILTER_DEPTH_MAX {
        nested = RowFilter::Not(Box::new(nested));
    }
    let filters = [
        compare("none", json!(1)),
        compare("I", json!(1)),
        compare("i", json!(40_000)),
        compare("i", json!("one")),
        compare("i", json!(1.5)),
        compare("d", json!("123.45")),
        compare("u", json!("no uuid")),
        compare("a", json!("2023-02-29")),
        compare("b", json!(1)),
        compare("y", json!("not base64!")),
        compare("j", json!({"a": 1})),
        RowFilter::In {
            column: "i".to_owned(),
            values: vec![json!(1), json!("x")],
        },
        RowFilter::IsNull {
            column: "none".to_owned(),
        },
        RowFilter::Or(vec![compare("i", json!(1)), compare("none", json!(1))]),
        nested,
    ];
    for filter in filters {
        let ours = db.engine.predicate(&table, &filter).err();
        let theirs = db
            .engine
            .matching_keys(&reader, &table, Some(&filter), 10)
            .await
            .err();
        let (ours, theirs) = (
            ours.unwrap_or_else(|| panic!("{filter:?} is a predicate")),
            theirs.unwrap_or_else(|| panic!("{filter:?} is a query's")),
        );
        assert_eq!(ours.to_string(), theirs.to_string(), "{filter:?}");
    }
}
