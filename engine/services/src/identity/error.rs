//! What can go wrong, to the operator and to a caller.

use rustydb_contract::ServiceError;
use rustydb_contract_core::InvalidArgumentDetails;
use rustydb_contract_core::errors::{INTERNAL, INVALID_ARGUMENT, WRITE_CONFLICT};
use rustydb_store::error::StoreError;

use crate::failure;

/// Why identities can't be opened, or the first administrator not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file of the signing key.
    #[error("signing key {path}: {reason}")]
    SigningKey { path: String, reason: String },
    /// A stored record does not decode: corruption, or another version's.
    #[error("{what} {id} in the store: {reason}")]
    Record {
        what: &'static str,
        id: String,
        reason: String,
    },
    #[error("setting {name}: {reason}")]
    Setting { name: &'static str, reason: String },
    #[error(
        "the administrator's password has {chars} characters; give one of {} to {}, or none to have one made",
        super::PASSWORD_CHARS_MIN,
        super::PASSWORD_CHARS_MAX
    )]
    AdminPassword { chars: usize },
    /// What the contract would answer to a caller.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// A failed commit, to the caller whose change it was.
pub(crate) fn store_failure(error: StoreError) -> ServiceError {
    match error {
        StoreError::Conflict { .. } => ServiceError::new(
            &WRITE_CONFLICT,
            "another call changed the same record first; make the call again",
        ),
        other => failure::store_failure(&other),
    }
}

pub(crate) fn invalid_argument(field: &str, message: impl Into<String>) -> ServiceError {
    ServiceError::new(&INVALID_ARGUMENT, message).with_details(InvalidArgumentDetails {
        field: field.to_owned(),
    })
}

pub(crate) fn internal(message: impl Into<String>) -> ServiceError {
    ServiceError::new(&INTERNAL, message)
}
