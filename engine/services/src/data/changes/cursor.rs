//! Cursors of changes: a position in the change log of one store, for the changes of one database.
//!
//! A cursor is base64url of 4 bytes of SHA-256 over the database's name and the rest, then the epoch of the log, the
//! position of the commit and the place within it, big-endian. The hash is no secret: it finds damage, and cursors of
//! another database, behind which other changes would come.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL;
use rustydb_contract::{Cursor, ServiceError, ServiceResult};
use rustydb_contract_database::errors::{CURSOR_EXPIRED, INVALID_CURSOR};
use rustydb_store::seam::{CommitSeq, LogExtent};
use sha2::{Digest as _, Sha256};

const CHECK_BYTES: usize = 4;
const BYTES: usize = CHECK_BYTES + 8 + 8 + 4;
/// Stands in the place within a commit for all of it.
const WHOLE: u32 = u32::MAX;

/// Behind which changes a reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) commit: CommitSeq,
    /// The last change of the commit that is behind; `None` when all of it is.
    pub(super) index: Option<u32>,
}

impl Position {
    pub(super) fn whole(commit: CommitSeq) -> Position {
        Position { commit, index: None }
    }

    /// The commit behind which the log has to be read.
    pub(super) fn read_after(self) -> CommitSeq {
        match self.index {
            None => self.commit,
            Some(_) => CommitSeq(self.commit.0.saturating_sub(1)),
        }
    }
}

/// Makes and reads the cursors of one database.
#[derive(Debug, Clone)]
pub(super) struct Cursors {
    epoch: u64,
    database: String,
}

impl Cursors {
    pub(super) fn new(epoch: u64, database: &str) -> Cursors {
        Cursors {
            epoch,
            database: database.to_owned(),
        }
    }

    pub(super) fn cursor(&self, position: Position) -> Cursor {
        let mut rest = Vec::with_capacity(BYTES);
        rest.extend(self.epoch.to_be_bytes());
        rest.extend(position.commit.0.to_be_bytes());
        rest.extend(position.index.unwrap_or(WHOLE).to_be_bytes());
        let mut bytes = self.check(&rest).to_vec();
        bytes.extend(rest);
        Cursor(BASE64_URL.encode(bytes))
    }

    /// The position of a cursor, if what comes behind it is all there.
    pub(super) fn position(&self, cursor: &Cursor, extent: &LogExtent) -> ServiceResult<Position> {
        let (epoch, position) = self.read(cursor).ok_or_else(|| {
            ServiceError::new(
                &INVALID_CURSOR,
                format!(
                    "cursor: not one of the changes of database \"{}\"; give one that came with an event of it, unchanged",
                    self.database
                ),
            )
        })?;
        if epoch != extent.epoch || position.commit > extent.newest {
            return Err(expired("it is of other data than this server has"));
        }
        if position.read_after() < extent.trimmed_to {
            return Err(expired("changes behind it are no longer kept"));
        }
        Ok(position)
    }

    fn read(&self, cursor: &Cursor) -> Option<(u64, Position)> {
        if cursor.0.len() > BYTES * 2 {
            return None;
        }
        let bytes = BASE64_URL.decode(&cursor.0).ok()?;
        if bytes.len() != BYTES {
            return None;
        }
        let (found, rest) = bytes.split_at(CHECK_BYTES);
        if found != self.check(rest) {
            return None;
        }
        let epoch = u64::from_be_bytes(rest[..8].try_into().ok()?);
        let commit = CommitSeq(u64::from_be_bytes(rest[8..16].try_into().ok()?));
        let index = u32::from_be_bytes(rest[16..].try_into().ok()?);
        let index = Some(index).filter(|index| *index != WHOLE);
        Some((epoch, Position { commit, index }))
    }

    fn check(&self, rest: &[u8]) -> [u8; CHECK_BYTES] {
        let hash = Sha256::new()
            .chain_update("changes")
            .chain_update([0])
            .chain_update(&self.database)
            .chain_update([0])
            .chain_update(rest)
            .finalize();
        std::array::from_fn(|at| hash[at])
    }
}

pub(super) fn expired(why: &str) -> ServiceError {
    ServiceError::new(
        &CURSOR_EXPIRED,
        format!("cursor: {why}; read the rows again, or subscribe with `snapshot`"),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn extent() -> LogExtent {
        LogExtent {
            epoch: 7,
            trimmed_to: CommitSeq(10),
            newest: CommitSeq(20),
            bytes: 0,
        }
    }

    fn at(commit: u64, index: Option<u32>) -> Position {
        Position {
            commit: CommitSeq(commit),
            index,
        }
    }

    #[test]
    fn a_cursor_gives_its_position_back() {
        let cursors = Cursors::new(7, "main");
        for position in [
            at(10, None),
            at(11, Some(0)),
            at(20, Some(4_000_000)),
            at(20, None),
        ] {
            let cursor = cursors.cursor(position);
            assert_eq!(cursors.position(&cursor, &extent()).unwrap(), position);
        }
    }

    #[test]
    fn what_is_not_kept_or_of_other_data_is_expired() {
        let cursors = Cursors::new(7, "main");
        for position in [at(9, None), at(10, Some(0)), at(21, None)] {
            let refused = cursors
                .position(&cursors.cursor(position), &extent())
                .unwrap_err();
            assert_eq!(refused.code(), "CURSOR_EXPIRED", "{position:?}");
        }
        let foreign = Cursors::new(8, "main").cursor(at(15, None));
        assert_eq!(
            cursors.position(&foreign, &extent()).unwrap_err().code(),
            "CURSOR_EXPIRED"
        );
    }

    #[test]
    fn damage_and_other_databases_are_found() {
        let cursors = Cursors::new(7, "main");
        let Cursor(text) = cursors.cursor(at(15, Some(3)));
        let refused = |text: &str| {
            cursors
                .position(&Cursor(text.to_owned()), &extent())
                .unwrap_err()
                .code()
        };
        for place in 0..text.len() {
            for letter in ["A", "b", "9", "*", "="] {
                let mut damaged = text.clone();
                damaged.replace_range(place..=place, letter);
                if damaged != text {
                    assert_eq!(refused(&damaged), "INVALID_CURSOR", "{damaged}");
                }
            }
        }
        for text in ["", &text[1..], &"A".repeat(1 << 20)] {
            assert_eq!(refused(text), "INVALID_CURSOR");
        }
        let Cursor(other) = Cursors::new(7, "sales").cursor(at(15, None));
        assert_eq!(refused(&other), "INVALID_CURSOR");
    }
}
