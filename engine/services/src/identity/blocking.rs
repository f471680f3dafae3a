//! Work that blocks its thread, off the threads that drive calls.

use rustydb_contract::{ServiceError, ServiceResult};
use rustydb_contract_core::errors::UNAVAILABLE;

/// Does the work on a blocking thread. Dropping the future does not stop it: what it began, it ends.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> ServiceResult<T> + Send + 'static,
) -> ServiceResult<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(ServiceError::new(&UNAVAILABLE, "the server is stopping")),
        },
    }
}
