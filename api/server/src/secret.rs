//! The administrator's first secret.

use anyhow::bail;

/// Environment variable that holds it; the process forgets it once read.
const VARIABLE: &str = "RUSTYDB_ADMIN_PASSWORD";

/// Fewest characters of a secret that is given.
const LENGTH_MIN: usize = 12;

/// The secret that the environment gives.
pub fn given() -> anyhow::Result<Option<String>> {
    match std::env::var(VARIABLE) {
        Ok(secret) if secret.chars().count() < LENGTH_MIN => {
            bail!("{VARIABLE} is shorter than {LENGTH_MIN} characters")
        }
        Ok(secret) => Ok(Some(secret)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(error) => bail!("{VARIABLE}: {error}"),
    }
}
