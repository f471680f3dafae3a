use std::fs;
use std::ops::Bound;

use heed::types::{Bytes, Unit};
use heed::{CommitOrAbort, Database, Env, EnvOpenOptions, Error, RoTxn, WithTls};

use super::{Engine, Reader, Row, Setup, key_of};

/// Room for all that the benchmark writes; only what is used is in memory or on the disk.
const MAP_BYTES: usize = 64 << 30;

pub struct LmdbEngine {
    env: Env<WithTls>,
    rows: Database<'static, Bytes, Bytes>,
    index: Database<'static, Bytes, Unit>,
    indexed: bool,
}

impl LmdbEngine {
    #[allow(
        unsafe_code,
        reason = "the map must not change underfoot: nobody else opens the file"
    )]
    pub fn open(setup: Setup<'_>) -> LmdbEngine {
        let folder = setup.folder.join("lmdb");
        fs::create_dir_all(&folder).unwrap();
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES).max_dbs(2).max_readers(64);
        let env = unsafe { options.open(&folder) }.unwrap();
        let transaction = env.write_txn().unwrap();
        let made = env.create_databases_and_commit(transaction, |opener, transaction| {
            let rows = opener.create_database::<Bytes, Bytes>(transaction, Some("rows"))?;
            let index = opener.create_database::<Bytes, Unit>(transaction, Some("index"))?;
            Ok::<_, Error>(CommitOrAbort::<_, ()>::Commit((rows, index)))
        });
        let (rows, index) = made.unwrap().unwrap_commit();
        LmdbEngine {
            env,
            rows,
            index,
            indexed: setup.indexed,
        }
    }
}

impl Engine for LmdbEngine {
    fn name(&self) -> &'static str {
        "lmdb"
    }

    fn put(&self, rows: &[Row], new: bool) {
        let mut transaction = self.env.write_txn().unwrap();
        for row in rows {
            let key = row.key.to_be_bytes();
            self.rows.put(&mut transaction, &key, &row.value).unwrap();
            if self.indexed && new {
                self.index.put(&mut transaction, &row.index_key(), &()).unwrap();
            }
        }
        transaction.commit().unwrap();
    }

    fn read(&self, look: &mut dyn FnMut(&mut dyn Reader)) {
        look(&mut LmdbReader {
            transaction: self.env.read_txn().unwrap(),
            engine: self,
        });
    }
}

struct LmdbReader<'e> {
    transaction: RoTxn<'e, WithTls>,
    engine: &'e LmdbEngine,
}

impl Reader for LmdbReader<'_> {
    fn get(&mut self, key: u64) -> Option<Vec<u8>> {
        let found = self.engine.rows.get(&self.transaction, &key.to_be_bytes());
        found.unwrap().map(<[u8]>::to_vec)
    }

    fn scan(&mut self, from: u64, rows: usize) -> usize {
        let from = from.to_be_bytes();
        let from = (Bound::Included(from.as_slice()), Bound::Unbounded);
        let found = self.engine.rows.range(&self.transaction, &from);
        let found = found.unwrap().take(rows).map(|row| {
            let (key, value) = row.unwrap();
            (key.to_vec(), value.to_vec())
        });
        found.collect::<Vec<_>>().len()
    }

    fn find(&mut self, second: u64) -> Option<Vec<u8>> {
        let from = second.to_be_bytes();
        let from = (Bound::Included(from.as_slice()), Bound::Unbounded);
        let found = self.engine.index.range(&self.transaction, &from);
        let (key, ()) = found.unwrap().next()?.unwrap();
        let key = key_of(key);
        self.get(u64::from_be_bytes(key))
    }
}
