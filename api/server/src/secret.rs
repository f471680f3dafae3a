//! The administrator's first secret.

use anyhow::bail;

/// Environment variable that holds it.
const VARIABLE: &str = "RUSTYDB_ADMIN_PASSWORD";

/// The secret that the environment gives; the engine checks it when it makes the administrator.
pub fn given() -> anyhow::Result<Option<String>> {
    match std::env::var(VARIABLE) {
        Ok(secret) => Ok(Some(secret)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(error) => bail!("{VARIABLE}: {error}"),
    }
}
