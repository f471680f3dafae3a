//! Bounds of what one commit may carry, checked before anything is done with it.

use crate::error::StoreError;
use crate::seam::WriteBatch;

/// Longest key.
pub const KEY_BYTES_MAX: usize = rustydb_kernel::page::node::KEY_BYTES_MAX;
/// Longest value.
pub const VALUE_BYTES_MAX: usize = rustydb_kernel::tree::write::VALUE_BYTES_MAX;
/// Longest change-log entry: room for a row before and after its change.
pub const LOG_ENTRY_BYTES_MAX: usize = 2 * VALUE_BYTES_MAX + 2 * KEY_BYTES_MAX;
/// Most entries of the change log in one commit: their index is 32 bits wide.
pub const LOG_ENTRIES_MAX: usize = u32::MAX as usize;

/// Refuses a batch with a part beyond the bounds.
pub(crate) fn check(batch: &WriteBatch) -> Result<(), StoreError> {
    let keys = batch
        .writes
        .iter()
        .map(|write| &write.key)
        .chain(batch.guards.iter().map(|guard| &guard.key));
    for key in keys {
        within("key", key.len(), KEY_BYTES_MAX)?;
    }
    for value in batch.writes.iter().filter_map(|write| write.value.as_ref()) {
        within("value", value.len(), VALUE_BYTES_MAX)?;
    }
    for entry in &batch.log {
        within("change-log entry", entry.len(), LOG_ENTRY_BYTES_MAX)?;
    }
    within("change log of one commit", batch.log.len(), LOG_ENTRIES_MAX)
}

fn within(what: &'static str, size: usize, size_max: usize) -> Result<(), StoreError> {
    if size > size_max {
        return Err(StoreError::TooLarge { what, size, size_max });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::seam::{SpaceId, Write};

    #[test]
    fn a_key_at_the_bound_passes_and_one_beyond_names_itself() {
        let batch = |bytes: usize| WriteBatch {
            writes: vec![Write {
                space: SpaceId(9),
                key: vec![0; bytes],
                expected: None,
                value: None,
            }],
            ..WriteBatch::default()
        };
        check(&batch(KEY_BYTES_MAX)).unwrap();
        let refused = check(&batch(KEY_BYTES_MAX + 1)).unwrap_err().to_string();
        assert_eq!(refused, "a key of size 1537 is over the limit of 1536");
    }
}
