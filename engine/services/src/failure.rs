//! The one place where failures of the store, and of the kernel below it, become errors of the contract.
//!
//! Messages come from below: they name the value and the remedy already. The codes are common ones, so that every operation may
//! answer them, and each meaning has one code whichever operation met it.

use rustydb_contract::{Lsn, ServiceError, Timestamp};
use rustydb_contract_core::PageCorruptDetails;
use rustydb_contract_core::errors::{
    DISK_FULL, INTERNAL, PAGE_CORRUPT, POOL_EXHAUSTED, STORAGE_FAILURE, TOO_MANY_SNAPSHOTS, WRITE_CONFLICT,
};
use rustydb_contract_transactions::errors::{
    LSN_NOT_REACHED, SNAPSHOT_EXISTS, SNAPSHOT_NOT_FOUND, SNAPSHOT_TOO_OLD, TIME_NOT_REACHED,
};
use rustydb_kernel::error::KernelError;
use rustydb_kernel::kernel::VersionError;
use rustydb_store::error::{CorruptPage, StoreError};

use crate::identity::error::invalid_argument;

pub(crate) fn kernel_failure(error: &KernelError) -> ServiceError {
    store_failure(&StoreError::from(error.clone()))
}

pub(crate) fn store_failure(error: &StoreError) -> ServiceError {
    let desc = match error {
        StoreError::Conflict { .. } => {
            return ServiceError::new(
                &WRITE_CONFLICT,
                "another transaction changed the same data first; try again",
            );
        }
        StoreError::CorruptPage(page) => return page_corrupt(page),
        StoreError::Poisoned { .. } | StoreError::Io(_) | StoreError::TooLarge { .. } => &STORAGE_FAILURE,
        StoreError::Version(error) => return version_failure(error),
        StoreError::Full(_) => &DISK_FULL,
        StoreError::Busy(_) => &POOL_EXHAUSTED,
        _ => return internal(error),
    };
    ServiceError::new(desc, error.to_string())
}

fn version_failure(error: &VersionError) -> ServiceError {
    let at = |us: i64| Timestamp::from_micros(us).to_string();
    let (desc, message) = match error {
        VersionError::TooOld { ts, oldest } => (
            &SNAPSHOT_TOO_OLD,
            format!(
                "the state at {} is gone; {} is the oldest that can be read",
                Lsn(ts.0),
                Lsn(oldest.0)
            ),
        ),
        VersionError::TimeTooOld { at_us, oldest_us } => (
            &SNAPSHOT_TOO_OLD,
            format!(
                "the state at {} is gone; {} is the oldest that can be read",
                at(*at_us),
                at(*oldest_us)
            ),
        ),
        VersionError::NotReached { ts, newest } => (
            &LSN_NOT_REACHED,
            format!(
                "no commit has the position {} yet; {} is the newest",
                Lsn(ts.0),
                Lsn(newest.0)
            ),
        ),
        VersionError::TimeNotReached { at_us, now_us } => (
            &TIME_NOT_REACHED,
            format!("{} lies in the future; it is {} now", at(*at_us), at(*now_us)),
        ),
        VersionError::NameTaken { .. } => (&SNAPSHOT_EXISTS, error.to_string()),
        VersionError::NoSuchName { .. } => (&SNAPSHOT_NOT_FOUND, error.to_string()),
        VersionError::TooMany { .. } => (&TOO_MANY_SNAPSHOTS, error.to_string()),
        VersionError::NameLength { .. } => return invalid_argument("name", format!("name: {error}")),
        _ => return internal(error),
    };
    ServiceError::new(desc, message)
}

/// Pages have two names, the kernel's `1:2` and the number that clients give, so the number is put before it.
fn page_corrupt(corrupt: &CorruptPage) -> ServiceError {
    tracing::error!(error = %corrupt, "a page is corrupt");
    let number = corrupt.page.to_number();
    let details = PageCorruptDetails {
        page_id: number,
        what: corrupt.what.to_owned(),
        expected: format!("{:x}", corrupt.expected),
        found: format!("{:x}", corrupt.found),
    };
    ServiceError::new(&PAGE_CORRUPT, format!("page number {number}: {corrupt}")).with_details(details)
}

/// A defect of the engine or of its data: the log has what it is.
pub(crate) fn internal(error: &dyn std::error::Error) -> ServiceError {
    tracing::error!(error = %error, "the engine failed");
    ServiceError::new(&INTERNAL, error.to_string())
}
