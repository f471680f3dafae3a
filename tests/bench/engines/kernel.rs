use std::sync::Arc;

use rustydb_kernel::error::KernelError;
use rustydb_kernel::kernel::{Kernel, KernelOptions, Snapshot};
use rustydb_runtime::disk::RealDisk;
use rustydb_runtime::{Clock, SystemClock, SystemRng};

use super::{Engine, Reader, Row, Setup, key_of};

const ROWS: u64 = 1024;
const INDEX: u64 = 1025;

pub struct KernelEngine {
    kernel: Kernel,
    clock: Arc<SystemClock>,
    indexed: bool,
    change_log: bool,
}

impl KernelEngine {
    pub fn open(setup: Setup<'_>) -> KernelEngine {
        let options = KernelOptions {
            pool_bytes: setup.cache_bytes,
            ..KernelOptions::default()
        };
        let clock = Arc::new(SystemClock::new());
        let disk = Arc::new(RealDisk::new(setup.folder.to_owned()));
        let kernel = Kernel::open(disk, "kernel", clock.clone(), &SystemRng, options).unwrap();
        KernelEngine {
            kernel,
            clock,
            indexed: setup.indexed,
            change_log: setup.change_log,
        }
    }
}

impl Engine for KernelEngine {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn put(&self, rows: &[Row], new: bool) {
        let made = self.kernel.commit(self.clock.now_us(), |commit| {
            for row in rows {
                commit.write(ROWS, &row.key.to_be_bytes(), Some(&row.value))?;
                if self.indexed && new {
                    commit.write(INDEX, &row.index_key(), Some(&[]))?;
                }
                if self.change_log {
                    commit.log(row.value.clone());
                }
            }
            Ok::<_, KernelError>(())
        });
        let ((), ticket) = made.unwrap();
        self.kernel.wait(ticket).unwrap();
    }

    fn read(&self, look: &mut dyn FnMut(&mut dyn Reader)) {
        look(&mut KernelReader(self.kernel.snapshot()));
    }

    fn settle(&self) {
        self.kernel.checkpoint().unwrap();
    }
}

struct KernelReader(Snapshot);

impl Reader for KernelReader {
    fn get(&mut self, key: u64) -> Option<Vec<u8>> {
        let found = self.0.get(ROWS, &key.to_be_bytes()).unwrap();
        found.map(|version| version.value)
    }

    fn scan(&mut self, from: u64, rows: usize) -> usize {
        let found = self.0.scan(ROWS, &from.to_be_bytes(), None, rows).unwrap();
        found.len()
    }

    fn find(&mut self, second: u64) -> Option<Vec<u8>> {
        let found = self.0.scan(INDEX, &second.to_be_bytes(), None, 1).unwrap();
        let (key, _) = found.first()?;
        let found = self.0.get(ROWS, &key_of(key)).unwrap();
        found.map(|version| version.value)
    }
}
