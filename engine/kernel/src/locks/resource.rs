//! What is locked.

use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

use crate::sync::Arc;

/// What a lock is on. A clone copies no bytes of the key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// A table, by its number.
    Table(u64),
    /// A row, or an entry of an index: a key of a space of the table.
    Row { table: u64, space: u64, key: Arc<[u8]> },
    /// Whatever the clients agree on.
    Named(Arc<str>),
}

impl Resource {
    pub fn row(table: u64, space: u64, key: &[u8]) -> Resource {
        Resource::Row {
            table,
            space,
            key: key.into(),
        }
    }

    pub fn named(name: &str) -> Resource {
        Resource::Named(name.into())
    }

    /// The table that is locked, or that a row of is.
    pub fn table(&self) -> Option<u64> {
        match self {
            Resource::Table(table) | Resource::Row { table, .. } => Some(*table),
            Resource::Named(_) => None,
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resource::Table(table) => write!(f, "table {table}"),
            Resource::Row { table, space, key } => {
                write!(f, "row {table}/{space}/")?;
                key.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Resource::Named(name) => write!(f, "name {name:?}"),
        }
    }
}

/// Keys of rows come from clients, who are not to know which of them collide.
#[cfg(not(shuttle))]
type Hashing = std::hash::RandomState;
/// A schedule must run the same way again.
#[cfg(shuttle)]
type Hashing = BuildHasherDefault<std::hash::DefaultHasher>;

#[derive(Debug, Default)]
pub(super) struct Keys(Hashing);

impl Keys {
    pub fn key(&self, resource: Resource) -> Key {
        let hash = match &resource {
            // In two pieces, for each costs some nanoseconds. Numbers that collide so are the server's and not a client's.
            Resource::Row { table, space, key } => {
                let mut hasher = self.0.build_hasher();
                hasher.write(key);
                hasher.write_u64(table.rotate_left(32) ^ space);
                hasher.finish()
            }
            other => self.0.hash_one(other),
        };
        Key { hash, resource }
    }
}

/// A resource with its hash, which is computed once for the shard and for the table in it.
#[derive(Debug, Clone, Eq)]
pub(super) struct Key {
    pub hash: u64,
    pub resource: Resource,
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.hash == other.hash && self.resource == other.resource
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Takes the hash that a [`Key`] brings along.
#[derive(Debug, Default)]
pub(super) struct Brought(u64);

impl Hasher for Brought {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a key writes its hash and nothing else");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

pub(super) type BroughtHash = BuildHasherDefault<Brought>;
