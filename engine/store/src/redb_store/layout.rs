//! The store's tables inside redb and how their keys and values are laid out.
//!
//! Row keys are plain byte strings, big-endian space first, so that redb compares them with `memcmp`, a space
//! is one contiguous range, and branch pages can shorten their separators.

use std::ops::Bound;

use redb::{ReadableTable, TableDefinition};

use super::errors::failed;
use crate::error::StoreError;
use crate::seam::{CommitSeq, KeyRange, SpaceId, SpaceStats, Versioned};

/// Store-wide numbers by name.
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// In [`META`]: position of the newest commit.
pub(super) const META_NEWEST: &str = "newest_commit";
/// In [`META`]: what names this history of commits.
pub(super) const META_EPOCH: &str = "epoch";
/// In [`META`]: the last commit whose change-log entries were removed, 0 when none were.
pub(super) const META_LOG_TRIMMED: &str = "log_trimmed_to";
/// In [`META`]: key and value bytes of the change log.
pub(super) const META_LOG_BYTES: &str = "log_bytes";

/// Space and key to version and value.
pub(super) const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");

/// Space to (entries, bytes, modified, modified_at_us).
pub(super) const STATS: TableDefinition<u64, StatsRow> = TableDefinition::new("space_stats");
pub(super) type StatsRow = (u64, u64, u64, i64);

/// Commit and index to time and payload.
pub(super) const LOG: TableDefinition<&[u8; LOG_KEY_BYTES], &[u8]> = TableDefinition::new("change_log");
pub(super) const LOG_KEY_BYTES: usize = 12;

const SPACE_BYTES: usize = 8;
const VERSION_BYTES: usize = 8;

/// Replaces `buffer` with the row key of `key` in `space`.
pub(super) fn row_key_into(buffer: &mut Vec<u8>, space: SpaceId, key: &[u8]) {
    buffer.clear();
    buffer.reserve(SPACE_BYTES + key.len());
    buffer.extend_from_slice(&space.0.to_be_bytes());
    buffer.extend_from_slice(key);
}

pub(super) fn row_key(space: SpaceId, key: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::new();
    row_key_into(&mut buffer, space, key);
    buffer
}

/// The key of a row within its space.
pub(super) fn key_in_space(row_key: &[u8]) -> Result<&[u8], StoreError> {
    row_key.get(SPACE_BYTES..).ok_or_else(|| {
        StoreError::Corrupt(format!(
            "a row key has {} bytes, at least {SPACE_BYTES} expected",
            row_key.len()
        ))
    })
}

/// Replaces `buffer` with the row value of `value` written by `version`.
pub(super) fn row_value_into(buffer: &mut Vec<u8>, version: CommitSeq, value: &[u8]) {
    buffer.clear();
    buffer.reserve(VERSION_BYTES + value.len());
    buffer.extend_from_slice(&version.0.to_le_bytes());
    buffer.extend_from_slice(value);
}

/// Version and value of a row.
pub(super) fn split_row_value(row_value: &[u8]) -> Result<(CommitSeq, &[u8]), StoreError> {
    let (version, value) = row_value.split_first_chunk::<VERSION_BYTES>().ok_or_else(|| {
        StoreError::Corrupt(format!(
            "a row value has {} bytes, at least {VERSION_BYTES} expected",
            row_value.len()
        ))
    })?;
    Ok((CommitSeq(u64::from_le_bytes(*version)), value))
}

pub(super) fn versioned(row_value: &[u8]) -> Result<Versioned, StoreError> {
    let (version, value) = split_row_value(row_value)?;
    Ok(Versioned {
        version,
        value: value.to_vec(),
    })
}

/// A range of row keys.
pub(super) type RowBounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Bounds of the row keys of `range` in `space`; `None` when no key can be in it.
pub(super) fn row_bounds(space: SpaceId, range: &KeyRange) -> Option<RowBounds> {
    let from = range.from.as_deref().unwrap_or_default();
    let lower = match range.after.as_deref() {
        Some(after) if after >= from => Bound::Excluded(row_key(space, after)),
        _ => Bound::Included(row_key(space, from)),
    };
    let upper = match (&range.until, space.0.checked_add(1)) {
        (Some(until), _) => Bound::Excluded(row_key(space, until)),
        (None, Some(next)) => Bound::Excluded(row_key(SpaceId(next), &[])),
        (None, None) => Bound::Unbounded,
    };
    let empty = match (&lower, &upper) {
        (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high)) => low >= high,
        _ => false,
    };
    (!empty).then_some((lower, upper))
}

pub(super) fn as_slices(bounds: &RowBounds) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (
        bounds.0.as_ref().map(Vec::as_slice),
        bounds.1.as_ref().map(Vec::as_slice),
    )
}

pub(super) fn stats_from_row((entries, bytes, modified, modified_at_us): StatsRow) -> SpaceStats {
    SpaceStats {
        entries,
        bytes,
        modified: CommitSeq(modified),
        modified_at_us,
    }
}

pub(super) fn stats_to_row(stats: &SpaceStats) -> StatsRow {
    (stats.entries, stats.bytes, stats.modified.0, stats.modified_at_us)
}

pub(super) fn log_key(commit: CommitSeq, index: u32) -> [u8; LOG_KEY_BYTES] {
    let mut key = [0; LOG_KEY_BYTES];
    key[..8].copy_from_slice(&commit.0.to_be_bytes());
    key[8..].copy_from_slice(&index.to_be_bytes());
    key
}

pub(super) fn split_log_key(key: &[u8; LOG_KEY_BYTES]) -> (CommitSeq, u32) {
    let [c0, c1, c2, c3, c4, c5, c6, c7, i0, i1, i2, i3] = *key;
    (
        CommitSeq(u64::from_be_bytes([c0, c1, c2, c3, c4, c5, c6, c7])),
        u32::from_be_bytes([i0, i1, i2, i3]),
    )
}

/// What an entry adds to the size of the log.
pub(super) fn log_entry_bytes(value: &[u8]) -> u64 {
    (LOG_KEY_BYTES + value.len()) as u64
}

/// A number that every store has.
pub(super) fn meta_number(
    meta: &impl ReadableTable<&'static str, u64>,
    name: &str,
) -> Result<u64, StoreError> {
    let found = meta.get(name).map_err(failed)?;
    let found = found.ok_or_else(|| StoreError::Corrupt(format!("meta has no {name}")))?;
    Ok(found.value())
}

/// Replaces `buffer` with the log value of `payload`.
pub(super) fn log_value_into(buffer: &mut Vec<u8>, committed_at_us: i64, payload: &[u8]) {
    buffer.clear();
    buffer.reserve(8 + payload.len());
    buffer.extend_from_slice(&committed_at_us.to_le_bytes());
    buffer.extend_from_slice(payload);
}

/// Commit time and payload of a log value.
pub(super) fn split_log_value(value: &[u8]) -> Result<(i64, &[u8]), StoreError> {
    let (time, payload) = value.split_first_chunk::<8>().ok_or_else(|| {
        StoreError::Corrupt(format!(
            "a change-log value has {} bytes, at least 8 expected",
            value.len()
        ))
    })?;
    Ok((i64::from_le_bytes(*time), payload))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_the_same() {
        assert_eq!(row_key(SpaceId(1024), b"k"), [0, 0, 0, 0, 0, 0, 4, 0, b'k']);
        let mut buffer = vec![9; 3];
        row_value_into(&mut buffer, CommitSeq(258), b"v");
        assert_eq!(buffer, [2, 1, 0, 0, 0, 0, 0, 0, b'v']);
        assert_eq!(split_row_value(&buffer).unwrap(), (CommitSeq(258), &b"v"[..]));
        assert_eq!(log_key(CommitSeq(258), 3), [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3]);
        assert_eq!(split_log_key(&log_key(CommitSeq(258), 3)), (CommitSeq(258), 3));
        log_value_into(&mut buffer, -2, b"p");
        assert_eq!(buffer, [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, b'p']);
        assert_eq!(split_log_value(&buffer).unwrap(), (-2, &b"p"[..]));
    }

    #[test]
    fn log_keys_sort_by_commit_then_index() {
        assert!(log_key(CommitSeq(255), u32::MAX) < log_key(CommitSeq(256), 0));
        assert!(log_key(CommitSeq(7), 255) < log_key(CommitSeq(7), 256));
    }

    #[test]
    fn bounds_stay_inside_the_space() {
        let whole = row_bounds(SpaceId(5), &KeyRange::default()).unwrap();
        assert_eq!(
            whole,
            (
                Bound::Included(row_key(SpaceId(5), b"")),
                Bound::Excluded(row_key(SpaceId(6), b""))
            )
        );
        let last = row_bounds(SpaceId(u64::MAX), &KeyRange::default()).unwrap();
        assert_eq!(last.1, Bound::Unbounded);
    }

    #[test]
    fn the_greater_start_wins_and_empty_ranges_are_told() {
        let range = |from: Option<&[u8]>, after: Option<&[u8]>, until: Option<&[u8]>| KeyRange {
            from: from.map(<[u8]>::to_vec),
            after: after.map(<[u8]>::to_vec),
            until: until.map(<[u8]>::to_vec),
        };
        let space = SpaceId(1);
        let lower = |r: KeyRange| row_bounds(space, &r).unwrap().0;
        assert_eq!(
            lower(range(Some(b"b"), Some(b"a"), None)),
            Bound::Included(row_key(space, b"b"))
        );
        assert_eq!(
            lower(range(Some(b"b"), Some(b"b"), None)),
            Bound::Excluded(row_key(space, b"b"))
        );
        assert_eq!(
            lower(range(Some(b"b"), Some(b"c"), None)),
            Bound::Excluded(row_key(space, b"c"))
        );
        assert_eq!(
            lower(range(None, Some(b""), None)),
            Bound::Excluded(row_key(space, b""))
        );
        assert_eq!(row_bounds(space, &range(Some(b"c"), None, Some(b"c"))), None);
        assert_eq!(row_bounds(space, &range(Some(b"d"), None, Some(b"c"))), None);
        assert_eq!(row_bounds(space, &range(None, None, Some(b""))), None);
    }

    #[test]
    fn short_values_are_corruption() {
        assert!(matches!(split_row_value(&[1; 7]), Err(StoreError::Corrupt(_))));
        assert!(matches!(split_log_value(&[1; 7]), Err(StoreError::Corrupt(_))));
        assert!(matches!(key_in_space(&[1; 7]), Err(StoreError::Corrupt(_))));
    }
}
