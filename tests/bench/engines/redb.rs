use redb::{Database, ReadOnlyTable, ReadableDatabase, TableDefinition};

use super::{Engine, Reader, Row, Setup};

const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");
const INDEX: TableDefinition<(u64, u64), ()> = TableDefinition::new("index");

pub struct RedbEngine {
    database: Database,
    indexed: bool,
}

impl RedbEngine {
    pub fn open(setup: Setup<'_>) -> RedbEngine {
        let database = Database::builder()
            .set_cache_size(setup.cache_bytes as usize)
            .create(setup.folder.join("redb"))
            .unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(ROWS).unwrap();
        transaction.open_table(INDEX).unwrap();
        transaction.commit().unwrap();
        RedbEngine {
            database,
            indexed: setup.indexed,
        }
    }
}

impl Engine for RedbEngine {
    fn name(&self) -> &'static str {
        "redb"
    }

    fn put(&self, rows: &[Row], new: bool) {
        let transaction = self.database.begin_write().unwrap();
        {
            let mut table = transaction.open_table(ROWS).unwrap();
            for row in rows {
                table.insert(row.key, row.value.as_slice()).unwrap();
            }
        }
        if self.indexed && new {
            let mut index = transaction.open_table(INDEX).unwrap();
            for row in rows {
                index.insert((row.second, row.key), ()).unwrap();
            }
        }
        transaction.commit().unwrap();
    }

    fn read(&self, look: &mut dyn FnMut(&mut dyn Reader)) {
        let transaction = self.database.begin_read().unwrap();
        look(&mut RedbReader {
            rows: transaction.open_table(ROWS).unwrap(),
            index: self.indexed.then(|| transaction.open_table(INDEX).unwrap()),
        });
    }
}

struct RedbReader {
    rows: ReadOnlyTable<u64, &'static [u8]>,
    index: Option<ReadOnlyTable<(u64, u64), ()>>,
}

impl Reader for RedbReader {
    fn get(&mut self, key: u64) -> Option<Vec<u8>> {
        let found = self.rows.get(key).unwrap();
        found.map(|value| value.value().to_vec())
    }

    fn scan(&mut self, from: u64, rows: usize) -> usize {
        let found = self.rows.range(from..).unwrap().take(rows).map(|row| {
            let (key, value) = row.unwrap();
            (key.value().to_be_bytes().to_vec(), value.value().to_vec())
        });
        found.collect::<Vec<_>>().len()
    }

    fn find(&mut self, second: u64) -> Option<Vec<u8>> {
        let index = self.index.as_ref().unwrap();
        let found = index.range((second, 0)..).unwrap().next()?.unwrap();
        let (_, key) = found.0.value();
        self.get(key)
    }
}
