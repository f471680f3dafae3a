//! From what the kernel refuses of tablespaces and pages to the contract's errors.
//!
//! Messages come from below: they name the value and the remedy already. Pages have two names, the kernel's `1:2` and the
//! number that clients give, so the number is put before it. An operation answers only errors that the contract declares for it:
//! [`declared`] is the last step of every call.

use rustydb_contract::descriptor::OperationDesc;
use rustydb_contract::{ErrorDesc, ServiceError};
use rustydb_contract_core::errors::STORAGE_FAILURE;
use rustydb_contract_storage::errors::{
    INVALID_PAGE_IMAGE, IO_QUEUE_FULL, LIMIT_BELOW_USE, PAGE_FULL, PAGE_IN_USE, PAGE_NOT_FOUND,
    PAGE_NOT_SPLITTABLE, PAGES_NOT_MERGEABLE, RECORD_NOT_FOUND, RECORD_TOO_LARGE, TABLESPACE_EXISTS,
    TABLESPACE_FULL, TABLESPACE_IS_SYSTEM, TABLESPACE_NOT_FOUND, TABLESPACE_READ_ONLY,
};
use rustydb_kernel::error::KernelError;
use rustydb_kernel::ids::PageId;
use rustydb_kernel::kernel::RawError;

use crate::failure::{internal, kernel_failure};
use crate::identity::error::invalid_argument;

/// What was refused, or failed, of tablespaces and pages.
pub(super) fn refused(error: RawError) -> ServiceError {
    let (desc, page): (&'static ErrorDesc, Option<PageId>) = match &error {
        RawError::Kernel(error) => return failed(error),
        RawError::TablespaceNotFound { .. } => (&TABLESPACE_NOT_FOUND, None),
        RawError::TablespaceExists { .. } => (&TABLESPACE_EXISTS, None),
        RawError::TablespaceIsSystem { .. } => (&TABLESPACE_IS_SYSTEM, None),
        RawError::TablespaceReadOnly { .. } => (&TABLESPACE_READ_ONLY, None),
        RawError::LimitBelowUse { .. } => (&LIMIT_BELOW_USE, None),
        RawError::TooManyTablespaces => (&STORAGE_FAILURE, None),
        RawError::PageNotFound(page) => (&PAGE_NOT_FOUND, Some(*page)),
        RawError::PageInUse { page, .. } => (&PAGE_IN_USE, Some(*page)),
        RawError::PageFull { page, .. } => (&PAGE_FULL, Some(*page)),
        RawError::RecordNotFound { page, .. } => (&RECORD_NOT_FOUND, Some(*page)),
        RawError::RecordTooLarge { .. } => (&RECORD_TOO_LARGE, None),
        RawError::BadImage { page, .. } => (&INVALID_PAGE_IMAGE, *page),
        RawError::CannotSplit { page, .. } => (&PAGE_NOT_SPLITTABLE, Some(*page)),
        RawError::CannotMerge { page, .. } => (&PAGES_NOT_MERGEABLE, Some(*page)),
        RawError::QueueFull { .. } => (&IO_QUEUE_FULL, None),
        _ => return internal(&error),
    };
    ServiceError::new(desc, numbered(page, &error))
}

/// A failure below everything that could be refused.
pub(super) fn failed(error: &KernelError) -> ServiceError {
    match error {
        KernelError::TablespaceFull { .. } => ServiceError::new(&TABLESPACE_FULL, error.to_string()),
        _ => kernel_failure(error),
    }
}

fn numbered(page: Option<PageId>, error: &dyn std::error::Error) -> String {
    match page {
        Some(page) => format!("page number {}: {error}", page.to_number()),
        None => error.to_string(),
    }
}

/// Makes sure that the operation declares the error. Of a page whose tablespace is gone, the page is gone.
pub(super) fn declared(operation: &'static OperationDesc, error: ServiceError) -> ServiceError {
    let declares = |code: &str| operation.errors.iter().any(|known| known.code == code);
    let mut common = rustydb_contract_core::MODULE.errors.iter();
    if declares(error.code()) || common.any(|known| known.code == error.code()) {
        return error;
    }
    if error.code() == TABLESPACE_NOT_FOUND.code && declares(PAGE_NOT_FOUND.code) {
        return ServiceError::new(&PAGE_NOT_FOUND, error.message());
    }
    invalid_argument("", error.message())
}
