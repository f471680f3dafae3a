//! Random transactions at each level, in threads, with the power failing in between: their history is what the level
//! allows, judged by a checker that knows nothing of the store.
//!
//! `RUSTYDB_SEED` sets the seed, and `RUSTYDB_ISOLATION_SEEDS` how many are run, one after the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;
use rustydb_history::workload::{Options, Plan, Step, list_append};
use rustydb_history::{
    History, Key, Kind, Level, Options as Checks, Position, Process, Recorder, Report, Value, check_with,
};
use rustydb_runtime::disk::simulated::{SimDisk, Survival};
use rustydb_runtime::{Clock, SystemClock};
use rustydb_store::codec::primary_key;
use rustydb_store::tables::{ColumnSpec, Isolation, Result, TableError, TableSpec, Tables, Txn, TxnOptions};
use rustydb_store::testing::kernel_store_on;
use rustydb_store::types::{ColumnType, Datum, RowKey, TableDef};

const THREADS: u32 = 6;
const TRANSACTIONS: usize = 400;
const LIVES: u32 = 3;

fn seeds() -> Vec<u64> {
    let of = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = of("RUSTYDB_SEED").unwrap_or(1);
    (first..first + of("RUSTYDB_ISOLATION_SEEDS").unwrap_or(2)).collect()
}

fn open(disk: &SimDisk) -> Tables {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = kernel_store_on(disk, Arc::clone(&clock)).unwrap();
    let tables = Tables::open(Arc::new(store), clock).unwrap();
    // Deadlocks are many here, and none is worth a long wait.
    tables.locks().set_deadlock_timeout_us(500);
    tables
}

fn create(tables: &Tables, name: &str) {
    let column = |name: &str, data_type| ColumnSpec {
        name: name.to_owned(),
        data_type,
        nullable: false,
        default: None,
        fill: None,
    };
    let mut txn = tables.begin().unwrap();
    txn.create_table(TableSpec {
        database: "main".to_owned(),
        schema: "public".to_owned(),
        name: name.to_owned(),
        columns: vec![column("key", ColumnType::Int8), column("list", ColumnType::Text)],
        primary_key: vec!["key".to_owned()],
        unique: Vec::new(),
    })
    .unwrap();
    txn.commit().unwrap();
}

fn table(txn: &Txn) -> Result<Arc<TableDef>> {
    Ok(txn.table("main", "public", "lists")?.expect("the table was made"))
}

fn row_key(table: &TableDef, key: Key) -> RowKey {
    primary_key(table, &[Datum::Int8(key.0 as i64)]).unwrap()
}

fn list_of(txn: &Txn, key: Key) -> Result<Vec<Value>> {
    let table = table(txn)?;
    let Some(row) = txn.get(&table, &row_key(&table, key))? else {
        return Ok(Vec::new());
    };
    let Datum::Text(text) = &row[1] else {
        panic!("{row:?}")
    };
    Ok(text
        .split_whitespace()
        .map(|value| Value(value.parse().unwrap()))
        .collect())
}

/// One statement: the row is read and written under its lock.
fn append(txn: &mut Txn, key: Key, value: Value) -> Result<()> {
    let table = table(txn)?;
    let mut list = list_of(txn, key)?;
    let is_new = list.is_empty();
    list.push(value);
    let text: Vec<String> = list.iter().map(|value| value.0.to_string()).collect();
    let row = vec![Datum::Int8(key.0 as i64), Datum::Text(text.join(" "))];
    match is_new {
        true => txn.insert(&table, row).map(drop),
        false => txn.update(&table, &row_key(&table, key), row).map(drop),
    }
}

/// Who ran what, and how often each kind of end came.
#[derive(Default)]
struct Ends(Mutex<HashMap<&'static str, usize>>);

impl Ends {
    fn note(&self, end: &'static str) {
        *self.0.lock().entry(end).or_default() += 1;
    }

    fn count(&self, end: &str) -> usize {
        self.0.lock().get(end).copied().unwrap_or(0)
    }
}

fn run(
    tables: &Tables,
    recorder: &Recorder,
    process: Process,
    plan: &Plan,
    isolation: Isolation,
    ends: &Ends,
) {
    let reads_only = plan.steps.iter().all(|step| matches!(step, Step::Read { .. }));
    let mut recording = recorder.begin(process);
    let begun = tables.begin_with(TxnOptions {
        isolation,
        read_only: reads_only,
    });
    let mut txn = match begun {
        Ok(txn) => txn,
        Err(_) => return recording.aborted(),
    };
    txn.use_locks(
        tables
            .locks()
            .of_transaction(u64::from(process.0) << 32 | ends.next()),
    );
    for step in &plan.steps {
        let done = match *step {
            Step::Read { key } => txn
                .run_statement(|txn| list_of(txn, key))
                .map(|list| recording.read_list(key, list)),
            Step::Write { key, value } => {
                recording.append(key, value);
                txn.run_statement(|txn| append(txn, key, value))
            }
        };
        if let Err(error) = done {
            ends.note(match &error {
                TableError::WriteConflict { .. } => "conflict",
                TableError::UniqueViolation { .. } => "duplicate",
                TableError::Deadlock { .. } => "deadlock",
                TableError::Store(_) => "disk",
                other => panic!("{other}"),
            });
            return recording.aborted();
        }
    }
    match txn.commit() {
        Ok(outcome) => {
            ends.note("committed");
            recording.committed(outcome.wrote.then_some(Position(outcome.seq.0)));
        }
        Err(TableError::WriteConflict { .. }) => {
            ends.note("refused");
            recording.aborted();
        }
        // It may be on the disk.
        Err(_) => {
            ends.note("unknown");
            recording.unknown();
        }
    }
}

impl Ends {
    /// A number that nobody else has.
    fn next(&self) -> u64 {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed) as u64
    }
}

/// Random transactions at a level over several lives of a store, each but the last ended by a failure of the power.
fn history(seed: u64, isolation: Isolation, ends: &Ends) -> History {
    let options = Options {
        keys: 5,
        ..Options::default()
    };
    let plans = Arc::new(Mutex::new(list_append(seed, options)));
    let recorder = Recorder::new();
    let mut disk = SimDisk::new(seed);
    create(&open(&disk), "lists");
    for life in 0..LIVES {
        let tables = open(&disk);
        if life + 1 < LIVES {
            disk.stop_at(disk.operations() + 40 + (seed * 7 + u64::from(life) * 131) % 300);
        }
        let left = AtomicUsize::new(TRANSACTIONS / LIVES as usize);
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (plans, recorder, tables, left) = (&plans, &recorder, &tables, &left);
                scope.spawn(move || {
                    while left
                        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                        .is_ok()
                    {
                        let plan = plans.lock().next().expect("plans are endless");
                        // A process is one client: it does not go on after an end that it does not know.
                        let process = Process(life * THREADS + thread);
                        run(tables, recorder, process, &plan, isolation, ends);
                    }
                });
            }
        });
        drop(tables);
        if life + 1 < LIVES {
            disk = disk.crash(Survival::Prefix);
        }
    }
    let tables = open(&disk);
    let reads = plans.lock().final_reads();
    for plan in reads {
        run(
            &tables,
            &recorder,
            Process(LIVES * THREADS),
            &plan,
            Isolation::Snapshot,
            ends,
        );
    }
    recorder.history().unwrap()
}

fn judged(isolation: Isolation, level: Level, realtime: bool) -> Vec<Report> {
    let ends = Ends::default();
    let mut reports = Vec::new();
    for seed in seeds() {
        println!("seed {seed}");
        let history = history(seed, isolation, &ends);
        let checks = Checks {
            realtime,
            ..Checks::default()
        };
        match check_with(&history, level, checks) {
            Ok(report) => reports.push(report),
            Err(violation) => panic!("seed {seed}: {violation}"),
        }
    }
    println!("{:?}", ends.0.lock());
    assert!(
        ends.count("committed") > TRANSACTIONS / 3,
        "most come to their end"
    );
    reports
}

#[test]
fn serializable_transactions_have_an_order_that_explains_them() {
    judged(Isolation::Serializable, Level::StrictSerializable, true);
}

#[test]
fn snapshots_allow_write_skew_and_nothing_else() {
    let reports = judged(Isolation::Snapshot, Level::SnapshotIsolation, false);
    let skews: usize = reports.iter().map(|report| report.count(Kind::G2)).sum();
    println!("write skews: {skews}");
}

#[test]
fn read_committed_reads_what_is_committed() {
    judged(Isolation::ReadCommitted, Level::ReadCommitted, false);
}
