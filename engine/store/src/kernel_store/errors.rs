//! Failures of the kernel as the seam has them.

use rustydb_kernel::error::KernelError;
use rustydb_kernel::kernel::VersionError;

use crate::error::{CorruptPage, StoreError};

impl From<KernelError> for StoreError {
    fn from(error: KernelError) -> StoreError {
        failed(error)
    }
}

impl From<VersionError> for StoreError {
    fn from(error: VersionError) -> StoreError {
        match error {
            VersionError::Kernel(error) => failed(error),
            other => StoreError::Version(other),
        }
    }
}

pub(super) fn failed(error: KernelError) -> StoreError {
    match error {
        KernelError::Poisoned { reason } => StoreError::Poisoned { reason },
        KernelError::FormatVersion { found, supported } => StoreError::FormatVersion { found, supported },
        KernelError::TooLarge { what, size, size_max } => StoreError::TooLarge { what, size, size_max },
        KernelError::CorruptPage {
            page,
            what,
            expected,
            found,
        } => StoreError::CorruptPage(CorruptPage {
            page,
            what,
            expected,
            found,
        }),
        KernelError::CorruptLog { .. } | KernelError::CorruptFile { .. } => {
            StoreError::Corrupt(error.to_string())
        }
        KernelError::DiskFull { .. } | KernelError::TablespaceFull { .. } => {
            StoreError::Full(error.to_string())
        }
        KernelError::PoolExhausted { .. } => StoreError::Busy(error.to_string()),
        // A failed read leaves the store as it was.
        other => StoreError::Io(other.to_string()),
    }
}
