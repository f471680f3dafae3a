//! redb's errors as the seam's.

use crate::error::StoreError;

/// Any error of redb. A failure that redb itself latched is reported as the latch it is.
pub(super) fn failed(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Corrupted(what) => StoreError::Corrupt(what),
        redb::Error::PreviousIo => StoreError::Poisoned {
            reason: "an earlier read, write or sync failed".to_owned(),
        },
        redb::Error::DatabaseClosed => {
            StoreError::Io("the store was closed while a snapshot of it was in use".to_owned())
        }
        redb::Error::DatabaseAlreadyOpen => StoreError::Io(
            "another process has the store open; stop it or use another data directory".to_owned(),
        ),
        other => StoreError::Io(other.to_string()),
    }
}
