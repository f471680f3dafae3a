//! What the store keeps of users, API keys and sessions: docs/format/identity.md.

use std::fmt;
use std::sync::Arc;

use rustydb_store::seam::CommitSeq;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::secret::Digest;
use crate::framed;

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

pub(crate) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    framed::encode(RECORD_FORMAT, record)
}

/// The record, or what is wrong with the bytes, without repeating them.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    framed::decode(RECORD_FORMAT, bytes)
}
