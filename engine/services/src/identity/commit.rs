//! Writes of records, each against the version it replaces.

use rustydb_store::error::StoreError;
use rustydb_store::seam::{CommitSeq, SpaceId, Write, WriteBatch};
use serde::Serialize;

use super::Inner;
use super::records::{Stored, encode};

/// A record nobody has written before.
pub(crate) fn create<T: Serialize>(space: SpaceId, id: &str, record: &T) -> Write {
    Write {
        space,
        key: id.as_bytes().to_vec(),
        expected: None,
        value: Some(encode(record)),
    }
}

pub(crate) fn replace<T: Serialize>(space: SpaceId, replaced: &Stored<T>, record: &T) -> Write {
    Write {
        space,
        key: replaced.id.as_bytes().to_vec(),
        expected: Some(replaced.version),
        value: Some(encode(record)),
    }
}

pub(crate) fn remove<T>(space: SpaceId, removed: &Stored<T>) -> Write {
    Write {
        space,
        key: removed.id.as_bytes().to_vec(),
        expected: Some(removed.version),
        value: None,
    }
}

impl Inner {
    /// Returns when the writes are durable, with the version of what they wrote.
    pub(super) fn commit(&self, writes: Vec<Write>) -> Result<CommitSeq, StoreError> {
        self.store.commit(WriteBatch {
            writes,
            ..WriteBatch::default()
        })
    }
}
