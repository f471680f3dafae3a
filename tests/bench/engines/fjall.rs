use std::thread;
use std::time::Duration;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};

use super::{Engine, Reader, Row, Setup, key_of};

pub struct FjallEngine {
    database: Database,
    rows: Keyspace,
    index: Keyspace,
    indexed: bool,
}

impl FjallEngine {
    pub fn open(setup: Setup<'_>) -> FjallEngine {
        let database = Database::builder(setup.folder.join("fjall"))
            .cache_size(setup.cache_bytes)
            .open()
            .unwrap();
        let keyspace = |name| database.keyspace(name, KeyspaceCreateOptions::default).unwrap();
        FjallEngine {
            rows: keyspace("rows"),
            index: keyspace("index"),
            database,
            indexed: setup.indexed,
        }
    }
}

impl Engine for FjallEngine {
    fn name(&self) -> &'static str {
        "fjall"
    }

    fn put(&self, rows: &[Row], new: bool) {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        for row in rows {
            batch.insert(&self.rows, row.key.to_be_bytes(), row.value.as_slice());
            if self.indexed && new {
                batch.insert(&self.index, row.index_key(), []);
            }
        }
        batch.commit().unwrap();
    }

    fn read(&self, look: &mut dyn FnMut(&mut dyn Reader)) {
        look(&mut FjallReader {
            snapshot: self.database.snapshot(),
            engine: self,
        });
    }

    fn settle(&self) {
        while self.database.outstanding_flushes() > 0 || self.database.active_compactions() > 0 {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

struct FjallReader<'e> {
    snapshot: Snapshot,
    engine: &'e FjallEngine,
}

impl Reader for FjallReader<'_> {
    fn get(&mut self, key: u64) -> Option<Vec<u8>> {
        let found = self.snapshot.get(&self.engine.rows, key.to_be_bytes()).unwrap();
        found.map(|value| value.to_vec())
    }

    fn scan(&mut self, from: u64, rows: usize) -> usize {
        let found = self.snapshot.range(&self.engine.rows, from.to_be_bytes()..);
        let found = found.take(rows).map(|row| {
            let (key, value) = row.into_inner().unwrap();
            (key.to_vec(), value.to_vec())
        });
        found.collect::<Vec<_>>().len()
    }

    fn find(&mut self, second: u64) -> Option<Vec<u8>> {
        let mut found = self.snapshot.range(&self.engine.index, second.to_be_bytes()..);
        let key = found.next()?.key().unwrap();
        self.get(u64::from_be_bytes(key_of(&key)))
    }
}
