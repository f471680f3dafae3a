//! What the store keeps of users, API keys and sessions: docs/format/identity.md.

use std::fmt;
use std::sync::Arc;

use rustydb_store::seam::CommitSeq;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::secret::Digest;

/// Version of all that docs/format/identity.md describes.
const RECORD_FORMAT: u32 = 1;

/// A password's hash as a PHC string.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hash>")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserRecord {
    pub username: String,
    pub password_hash: PasswordHash,
    pub roles: Vec<String>,
    pub enabled: bool,
    /// Sessions of another generation are over: one write ends them all.
    pub generation: u64,
    pub created_at_us: i64,
    pub updated_at_us: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeyRecord {
    pub user_id: String,
    pub name: String,
    /// Of the whole key as text.
    pub digest: Digest,
    pub created_at_us: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_us: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionRecord {
    pub user_id: String,
    /// The user's generation at the login.
    pub generation: u64,
    /// Of the part that all refresh tokens of the session share.
    pub family: Digest,
    /// Of the part that only the newest refresh token has.
    pub secret: Digest,
    pub created_at_us: i64,
    pub expires_at_us: i64,
}

/// A record with its key and the commit that wrote it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stored<T> {
    pub id: String,
    pub version: CommitSeq,
    pub record: T,
}

pub(crate) type User = Arc<Stored<UserRecord>>;
pub(crate) type ApiKey = Arc<Stored<ApiKeyRecord>>;
pub(crate) type Session = Arc<Stored<SessionRecord>>;

#[derive(Serialize, Deserialize)]
struct Framed<T> {
    format: u32,
    record: T,
}

pub(crate) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(&Framed {
        format: RECORD_FORMAT,
        record,
    })
    .expect("a record has no map with other keys than text")
}

/// The record, or what is wrong with the bytes, without repeating them.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let place = |error: serde_json::Error| format!("it is damaged at byte {}", error.column());
    let framed: Framed<Value> = serde_json::from_slice(bytes).map_err(place)?;
    if framed.format != RECORD_FORMAT {
        return Err(format!(
            "it has format {}, this binary reads {RECORD_FORMAT}",
            framed.format
        ));
    }
    serde_json::from_value(framed.record).map_err(|_| "its fields are not those of its format".to_owned())
}
