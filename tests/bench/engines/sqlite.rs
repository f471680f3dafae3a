use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row as Found, params};

use super::{Engine, Reader, Row, Setup};

pub struct SqliteEngine {
    path: PathBuf,
    cache_bytes: u64,
    /// The one that writes.
    writer: Mutex<Connection>,
    /// Those that read and are free.
    readers: Mutex<Vec<Connection>>,
}

impl SqliteEngine {
    pub fn open(setup: Setup<'_>) -> SqliteEngine {
        let path = setup.folder.join("sqlite");
        let writer = connection(&path, setup.cache_bytes);
        let index = match setup.indexed {
            true => "CREATE INDEX IF NOT EXISTS by_second ON rows (second);",
            false => "",
        };
        let tables = "CREATE TABLE IF NOT EXISTS rows (key INTEGER PRIMARY KEY, second INTEGER, value BLOB);";
        writer.execute_batch(&format!("{tables}{index}")).unwrap();
        SqliteEngine {
            path,
            cache_bytes: setup.cache_bytes,
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
        }
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap()
    }

    fn with_reader<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        let free = self.readers.lock().unwrap().pop();
        let reader = free.unwrap_or_else(|| connection(&self.path, self.cache_bytes));
        let done = work(&reader);
        self.readers.lock().unwrap().push(reader);
        done
    }
}

fn connection(path: &PathBuf, cache_bytes: u64) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(60)).unwrap();
    let cache_kib = cache_bytes >> 10;
    let settings = format!(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA mmap_size=0; PRAGMA cache_size=-{cache_kib};"
    );
    connection.execute_batch(&settings).unwrap();
    connection
}

const GET: &str = "SELECT value FROM rows WHERE key = ?";

fn get(connection: &Connection, key: u64) -> Option<Vec<u8>> {
    let mut statement = connection.prepare_cached(GET).unwrap();
    let found = statement.query_row([key as i64], |row| row.get(0));
    found.optional().unwrap()
}

impl Engine for SqliteEngine {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn put(&self, rows: &[Row], new: bool) {
        let mut writer = self.writer();
        let transaction = writer.transaction().unwrap();
        {
            let statement = match new {
                true => "INSERT INTO rows (value, key, second) VALUES (?, ?, ?)",
                false => "UPDATE rows SET value = ? WHERE key = ? AND second = ?",
            };
            let mut statement = transaction.prepare_cached(statement).unwrap();
            for row in rows {
                let done = statement.execute(params![row.value, row.key as i64, row.second as i64]);
                assert_eq!(done.unwrap(), 1);
            }
        }
        transaction.commit().unwrap();
    }

    fn read(&self, look: &mut dyn FnMut(&mut dyn Reader)) {
        self.with_reader(|connection| {
            connection.execute_batch("BEGIN").unwrap();
            look(&mut SqliteReader(connection));
            connection.execute_batch("COMMIT").unwrap();
        });
    }

    fn get(&self, key: u64) -> Option<Vec<u8>> {
        self.with_reader(|connection| get(connection, key))
    }

    fn settle(&self) {
        let writer = self.writer();
        let done = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        done.unwrap();
    }
}

struct SqliteReader<'c>(&'c Connection);

impl Reader for SqliteReader<'_> {
    fn get(&mut self, key: u64) -> Option<Vec<u8>> {
        get(self.0, key)
    }

    fn scan(&mut self, from: u64, rows: usize) -> usize {
        let statement = "SELECT key, value FROM rows WHERE key >= ? ORDER BY key LIMIT ?";
        let mut statement = self.0.prepare_cached(statement).unwrap();
        let row = |row: &Found<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?));
        let found = statement
            .query_map(params![from as i64, rows as i64], row)
            .unwrap();
        found.map(Result::unwrap).collect::<Vec<_>>().len()
    }

    fn find(&mut self, second: u64) -> Option<Vec<u8>> {
        let statement = "SELECT value FROM rows WHERE second >= ? ORDER BY second LIMIT 1";
        let mut statement = self.0.prepare_cached(statement).unwrap();
        let found = statement.query_row([second as i64], |row| row.get(0));
        found.optional().unwrap()
    }
}
