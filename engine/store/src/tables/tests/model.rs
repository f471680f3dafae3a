//! Random transactions against a model that is plain maps, on the store in memory and on redb.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use rustydb_runtime::ManualClock;

use super::support::*;

use crate::seam::TableStore;
use crate::tables::{Result, TableError, Tables, Txn};
use crate::testing::MemStore;
use crate::types::{Datum, Row, TableDef};

/// Rows by id: (unique value, payload).
type Model = BTreeMap<i32, (Option<i32>, i32)>;

/// Id, unique value, payload.
type ModelRow = (i32, Option<i32>, i32);

/// What one of three transactions does next. Ids and unique values are few, so that they meet.
#[derive(Debug, Clone)]
enum Step {
    Insert {
        slot: usize,
        rows: Vec<ModelRow>,
    },
    Update {
        slot: usize,
        rows: Vec<(i32, ModelRow)>,
    },
    Delete {
        slot: usize,
        ids: Vec<i32>,
    },
    Truncate {
        slot: usize,
    },
    /// A mark, some work, and back.
    Undone {
        slot: usize,
        ids: Vec<i32>,
    },
    Commit {
        slot: usize,
    },
    Rollback {
        slot: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let slot = || 0..3usize;
    let id = || 0..12i32;
    let unique = || proptest::option::weighted(0.8, 0..8i32);
    let row = move || (id(), unique(), any::<i32>());
    let step = prop_oneof![
        4 => (slot(), prop::collection::vec(row(), 1..4)).prop_map(|(slot, rows)| Step::Insert { slot, rows }),
        4 => (slot(), prop::collection::vec((id(), row()), 1..4))
            .prop_map(|(slot, rows)| Step::Update { slot, rows }),
        3 => (slot(), prop::collection::vec(id(), 1..4)).prop_map(|(slot, ids)| Step::Delete { slot, ids }),
        1 => slot().prop_map(|slot| Step::Truncate { slot }),
        1 => (slot(), prop::collection::vec(id(), 1..4)).prop_map(|(slot, ids)| Step::Undone { slot, ids }),
        4 => slot().prop_map(|slot| Step::Commit { slot }),
        1 => slot().prop_map(|slot| Step::Rollback { slot }),
    ];
    prop::collection::vec(step, 1..60)
}

struct Open {
    txn: Txn,
    table: Arc<TableDef>,
    rows: Model,
    began_on: Model,
    began_at: Versions,
    touched_ids: Vec<i32>,
    touched_unique: Vec<i32>,
    truncated: bool,
    wrote_rows: bool,
}

/// Which commit last wrote what. What is not there has no version.
#[derive(Clone, Default)]
struct Versions {
    commits: usize,
    ids: BTreeMap<i32, usize>,
    unique: BTreeMap<i32, usize>,
    definition: usize,
}

struct Harness {
    tables: Tables,
    committed: Model,
    versions: Versions,
    open: [Option<Open>; 3],
}

fn datums(id: i32, unique: Option<i32>, payload: i32) -> Row {
    vec![int(id), unique.map_or(Datum::Null, int), int(payload)]
}

fn holds_unique(rows: &Model, value: Option<i32>) -> bool {
    value.is_some() && rows.values().any(|(unique, _)| *unique == value)
}

impl Harness {
    fn new(store: Arc<dyn TableStore>) -> Harness {
        let tables = Tables::open(store, Arc::new(ManualClock::new(0))).unwrap();
        create(
            &tables,
            spec("t", &["id integer", "u integer", "p integer"], &["id"], &[&["u"]]),
        );
        create_index(&tables, &index("t_up", "t", &["u", "p"], false));
        Harness {
            tables,
            committed: Model::new(),
            versions: Versions::default(),
            open: [const { None }; 3],
        }
    }

    fn open(&mut self, slot: usize) -> &mut Open {
        let (tables, committed, versions) = (&self.tables, &self.committed, &self.versions);
        self.open[slot].get_or_insert_with(|| {
            let txn = tables.begin().unwrap();
            let table = txn.table("main", "public", "t").unwrap().unwrap();
            Open {
                txn,
                table,
                rows: committed.clone(),
                began_on: committed.clone(),
                touched_ids: Vec::new(),
                touched_unique: Vec::new(),
                truncated: false,
                wrote_rows: false,
                began_at: versions.clone(),
            }
        })
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Insert { slot, rows } => self.open(*slot).insert(rows),
            Step::Update { slot, rows } => self.open(*slot).update(rows),
            Step::Delete { slot, ids } => self.open(*slot).delete(ids),
            Step::Truncate { slot } => self.open(*slot).truncate(),
            Step::Undone { slot, ids } => self.open(*slot).undone(ids),
            Step::Rollback { slot } => drop(self.open[*slot].take()),
            Step::Commit { slot } => self.commit(*slot),
        }
        for open in self.open.iter().flatten() {
            open.check();
        }
    }

    fn commit(&mut self, slot: usize) {
        let Some(mut open) = self.open[slot].take() else {
            return;
        };
        open.forget_what_came_and_went();
        let (began, now) = (&open.began_at, &self.versions);
        let writes = open.truncated || !open.touched_ids.is_empty() || open.wrote_rows;
        let rows_meet = open
            .touched_ids
            .iter()
            .any(|id| began.ids.get(id) != now.ids.get(id))
            || open
                .touched_unique
                .iter()
                .any(|value| began.unique.get(value) != now.unique.get(value));
        let conflict = (writes && began.definition != now.definition) || (rows_meet && !open.truncated);
        let committed = open.txn.commit();
        match committed {
            Ok(_) => assert!(!conflict, "committed in spite of a conflict"),
            Err(TableError::WriteConflict { .. }) => {
                assert!(conflict, "refused without a conflict");
                return;
            }
            Err(error) => panic!("{error}"),
        }
        self.versions.commits += 1;
        let commit = self.versions.commits;
        if open.truncated {
            self.versions.definition = commit;
            self.versions.ids.clear();
            self.versions.unique.clear();
            self.committed.clear();
        }
        for id in &open.touched_ids {
            match open.rows.get(id) {
                Some(row) => {
                    self.committed.insert(*id, *row);
                    self.versions.ids.insert(*id, commit);
                }
                None => {
                    self.committed.remove(id);
                    self.versions.ids.remove(id);
                }
            }
        }
        for value in open.touched_unique {
            match holds_unique(&open.rows, Some(value)) {
                true => self.versions.unique.insert(value, commit),
                false => self.versions.unique.remove(&value),
            };
        }
        let now = self.tables.begin().unwrap();
        let table = now.table("main", "public", "t").unwrap().unwrap();
        check_rows(&now, &table, &self.committed);
    }
}

impl Open {
    fn touch(&mut self, id: i32, unique: Option<i32>) {
        self.wrote_rows = true;
        self.touched_ids.push(id);
        self.touched_unique.extend(unique);
    }

    /// A key that was not there at the start and is not there at the end is not written.
    fn forget_what_came_and_went(&mut self) {
        let (before, after) = (&self.began_on, &self.rows);
        self.touched_ids
            .retain(|id| before.contains_key(id) || after.contains_key(id));
        self.touched_unique
            .retain(|&value| holds_unique(before, Some(value)) || holds_unique(after, Some(value)));
    }

    fn expect<T>(result: Result<T>, valid: bool) {
        match result {
            Ok(_) => assert!(valid, "accepted a duplicate"),
            Err(TableError::UniqueViolation { .. }) => assert!(!valid, "refused without a duplicate"),
            Err(error) => panic!("{error}"),
        }
    }

    fn insert(&mut self, rows: &[ModelRow]) {
        let mut after = self.rows.clone();
        let valid = rows.iter().all(|&(id, unique, payload)| {
            !holds_unique(&after, unique) && after.insert(id, (unique, payload)).is_none()
        });
        let datums = rows
            .iter()
            .map(|&(id, unique, payload)| datums(id, unique, payload))
            .collect();
        Open::expect(self.txn.insert_many(&self.table, datums), valid);
        self.wrote_rows |= valid;
        if valid {
            self.rows = after;
            for &(id, unique, _) in rows {
                self.touch(id, unique);
            }
        }
    }

    fn update(&mut self, rows: &[(i32, ModelRow)]) {
        // Only rows that exist, each once.
        let mut rows: Vec<_> = rows
            .iter()
            .filter(|(id, _)| self.rows.contains_key(id))
            .cloned()
            .collect();
        rows.sort_by_key(|(id, _)| *id);
        rows.dedup_by_key(|(id, _)| *id);
        let mut after = self.rows.clone();
        for (id, _) in &rows {
            after.remove(id);
        }
        let valid = rows.iter().all(|&(_, (id, unique, payload))| {
            !holds_unique(&after, unique) && after.insert(id, (unique, payload)).is_none()
        });
        let changes = rows
            .iter()
            .map(|&(id, (new_id, unique, payload))| (key(&self.table, id), datums(new_id, unique, payload)))
            .collect();
        Open::expect(self.txn.update_many(&self.table, changes), valid);
        if valid {
            for &(id, (new_id, unique, _)) in &rows {
                let before = self.rows[&id].0;
                // A value that stays with its row is not written.
                let moved = id != new_id;
                self.touch(id, before.filter(|_| moved || before != unique));
                self.touch(new_id, unique.filter(|_| moved || before != unique));
            }
            self.rows = after;
        }
    }

    fn delete(&mut self, ids: &[i32]) {
        let keys: Vec<_> = ids.iter().map(|&id| key(&self.table, id)).collect();
        let deleted = self.txn.delete_many(&self.table, &keys).unwrap();
        let mut expected = 0;
        for &id in ids {
            if let Some((unique, _)) = self.rows.remove(&id) {
                expected += 1;
                self.touch(id, unique);
            }
        }
        assert_eq!(deleted, expected);
    }

    fn truncate(&mut self) {
        let removed = self.txn.truncate_table("main", "public", "t").unwrap();
        assert_eq!(removed, self.rows.len() as u64);
        self.table = self.txn.table("main", "public", "t").unwrap().unwrap();
        self.rows.clear();
        // Fresh spaces: nobody else writes there, and what was written before goes with the old ones.
        self.began_on.clear();
        self.touched_ids.clear();
        self.touched_unique.clear();
        self.truncated = true;
    }

    fn undone(&mut self, ids: &[i32]) {
        let mark = self.txn.mark();
        let keys: Vec<_> = ids.iter().map(|&id| key(&self.table, id)).collect();
        self.txn.delete_many(&self.table, &keys).unwrap();
        let rows = (100..103).map(|id| datums(id, Some(id), 0)).collect();
        self.txn.insert_many(&self.table, rows).unwrap();
        self.txn.truncate_table("main", "public", "t").unwrap();
        self.txn.undo_to(&mark);
    }

    fn check(&self) {
        check_rows(&self.txn, &self.table, &self.rows);
        let before = self.began_on.len() as i64;
        let changes = self.txn.changes();
        let counted: i64 = changes
            .iter()
            .map(|changes| changes.inserted as i64 - changes.deleted as i64)
            .sum();
        if !self.truncated {
            assert_eq!(before + counted, self.rows.len() as i64);
        }
    }
}

fn check_rows(txn: &Txn, table: &TableDef, rows: &Model) {
    let expected: Vec<Row> = rows
        .iter()
        .map(|(&id, &(unique, payload))| datums(id, unique, payload))
        .collect();
    assert_eq!(all_rows(txn, table), expected);
    assert_eq!(txn.row_count(table).unwrap(), expected.len() as u64);
    assert_indexes_sound(txn, table);
    for value in 0..8 {
        let holder = rows
            .iter()
            .find(|(_, (unique, _))| *unique == Some(value))
            .map(|(&id, _)| key(table, id));
        assert_eq!(
            txn.find_unique(table, &table.unique[0], &[int(value)]).unwrap(),
            holder
        );
    }
}

fn run_all(store: Arc<dyn TableStore>, steps: &[Step]) {
    let mut harness = Harness::new(store);
    for step in steps {
        harness.run(step);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_transactions_do_what_the_model_does_in_memory(steps in steps()) {
        run_all(Arc::new(MemStore::new(Arc::new(ManualClock::new(0)))), &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn random_transactions_do_what_the_model_does_on_redb(steps in steps()) {
        run_all(Arc::new(crate::testing::kernel_store(Arc::new(ManualClock::new(0)))), &steps);
    }
}
