//! The stores that `peers` compares, each through its own interface and with the same promise: when [`Engine::put`]
//! returns, what it put survives a failure of the power.
//!
//! | store | how |
//! |---|---|
//! | kernel | `rustydb_kernel::kernel`: what `KernelStore` is made of, without the checks of expected versions that no peer makes |
//! | redb | `Durability::Immediate`, its default |
//! | fjall | `PersistMode::SyncAll` with each batch, no compression |
//! | SQLite | WAL, `synchronous=FULL`; writers queue for one connection, since waiting for its lock would be by sleeping |
//! | LMDB | no flags: a commit is synced. A map of the file: there is no cache to bound and no checksum |

mod fjall;
mod kernel;
mod lmdb;
mod redb;
mod sqlite;

use std::path::Path;

/// A row. `second` is what the index is on.
pub struct Row {
    pub key: u64,
    pub second: u64,
    pub value: Vec<u8>,
}

impl Row {
    /// The same row for the same numbers; its bytes can't be compressed.
    pub fn new(key: u64, salt: u64, bytes: usize) -> Row {
        let mut value = Vec::with_capacity(bytes + 8);
        let mut state = mixed(key ^ salt.rotate_left(32));
        while value.len() < bytes {
            value.extend_from_slice(&state.to_le_bytes());
            state = mixed(state);
        }
        value.truncate(bytes);
        Row {
            key,
            second: second_of(key),
            value,
        }
    }

    /// Key of the row's entry in an index of bytes.
    fn index_key(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.second.to_be_bytes());
        bytes[8..].copy_from_slice(&self.key.to_be_bytes());
        bytes
    }
}

/// The indexed number of the row with this key.
pub fn second_of(key: u64) -> u64 {
    // SQLite's integers have a sign.
    mixed(key) >> 1
}

/// splitmix64's finish.
fn mixed(key: u64) -> u64 {
    let mut bits = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// How to open a store.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    pub folder: &'a Path,
    pub cache_bytes: u64,
    /// Whether rows have an index on `second`.
    pub indexed: bool,
    /// Whether the kernel also tells its change log of each row, as tables do.
    pub change_log: bool,
}

pub trait Engine: Send + Sync {
    fn name(&self) -> &'static str;

    /// Sets the rows in one transaction that is durable when this returns. Rows that are `new` get entries in the index;
    /// of others the indexed number is the same as before.
    fn put(&self, rows: &[Row], new: bool);

    /// Runs `look` on one snapshot.
    fn read(&self, look: &mut dyn FnMut(&mut dyn Reader));

    /// One row of the newest state.
    fn get(&self, key: u64) -> Option<Vec<u8>> {
        let mut found = None;
        self.read(&mut |reader| found = reader.get(key));
        found
    }

    /// Ends what goes on in the background, so that no other store's figures suffer from it.
    fn settle(&self) {}
}

pub trait Reader {
    fn get(&mut self, key: u64) -> Option<Vec<u8>>;

    /// Keys and values of so many rows from a key on; how many there were.
    fn scan(&mut self, from: u64, rows: usize) -> usize;

    /// The row that the index finds by its second number.
    fn find(&mut self, second: u64) -> Option<Vec<u8>>;
}

pub const NAMES: [&str; 5] = ["kernel", "redb", "fjall", "sqlite", "lmdb"];

/// Opens the store of that name, making it where there is none.
pub fn open(name: &str, setup: Setup<'_>) -> Box<dyn Engine> {
    match name {
        "kernel" => Box::new(kernel::KernelEngine::open(setup)),
        "redb" => Box::new(redb::RedbEngine::open(setup)),
        "fjall" => Box::new(fjall::FjallEngine::open(setup)),
        "sqlite" => Box::new(sqlite::SqliteEngine::open(setup)),
        "lmdb" => Box::new(lmdb::LmdbEngine::open(setup)),
        other => panic!("no store is called {other}; there are {}", NAMES.join(", ")),
    }
}

/// The key of a row at the end of an index key.
fn key_of(index_key: &[u8]) -> [u8; 8] {
    index_key[8..16].try_into().unwrap()
}
