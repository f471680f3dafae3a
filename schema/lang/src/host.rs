//! What the pipeline asks of the engine before an operation runs.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use crate::call::{AnswerFuture, Permissions, Principal};
use crate::error::ServiceResult;

/// What a caller presented.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A JSON Web Token.
    Bearer(String),
    ApiKey(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credential::Bearer(_) => "Bearer(<secret>)",
            Credential::ApiKey(_) => "ApiKey(<secret>)",
        })
    }
}

/// The credential that a connection has now: `auth` on a socket replaces it. A clone is another handle to the same.
#[derive(Debug, Clone, Default)]
pub struct CredentialCell(Arc<RwLock<Option<Credential>>>);

impl CredentialCell {
    pub fn new(credential: Option<Credential>) -> CredentialCell {
        CredentialCell(Arc::new(RwLock::new(credential)))
    }

    pub fn get(&self) -> Option<Credential> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set(&self, credential: Credential) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(credential);
    }
}

/// Tells who a caller is.
pub trait Identity: Send + Sync + 'static {
    /// Waits until what some credential is good for may be another than at the revision `seen`, and answers the new
    /// revision. Revisions count from 0.
    fn changed<'a>(&'a self, seen: u64) -> Pin<Box<dyn Future<Output = u64> + Send + 'a>>;

    /// The principal behind a credential, with the permissions it has now.
    ///
    /// Answers UNAUTHENTICATED for a credential that is not valid and TOKEN_EXPIRED for one that was.
    fn authenticate<'a>(&'a self, credential: &'a Credential) -> AnswerFuture<'a, Arc<Principal>>;
}

/// Tells what SQL text would do.
pub trait StatementClassifier: Send + Sync + 'static {
    /// The permissions that all statements of the text need together.
    ///
    /// Answers the contract's errors for text that does not parse or has no statement.
    fn permissions(&self, sql: &str) -> ServiceResult<Permissions>;
}
