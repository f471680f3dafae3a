//! The record of a prepared branch: how it lies in the space `PREPARED`, byte for byte in docs/format/prepared.md.
//!
//! The first value of a record is its head, the others are pieces of its body. All are written by one commit, and removed
//! by the one that resolves the branch.

use rustydb_kernel::locks::{LockMode, Resource};
use serde::{Deserialize, Serialize};

use super::Xid;
use crate::codec::{Reader, put_bytes, put_u64};
use crate::reads::ReadSet;
use crate::seam::{CommitSeq, Guard, KeyRange, SpaceId, StoreSnapshot, Write, WriteBatch};
use crate::tables::{Isolation, Prepared, Result, TableChanges, TableError, corrupt};
use crate::types::ObjectId;

/// First byte of a head.
const FORMAT: u8 = 1;
/// A body is cut into pieces of this size.
const PIECE_BYTES: usize = 256 << 10;

const ON_TABLE: u8 = 1;
const ON_ROW: u8 = 2;
const ON_NAME: u8 = 3;

/// Modes by their number in a record.
const MODES: [LockMode; 5] = [
    LockMode::IS,
    LockMode::IX,
    LockMode::S,
    LockMode::SIX,
    LockMode::X,
];

/// Whose branch it is, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) transaction_id: u64,
    pub(super) xid: Xid,
    pub(super) owner: String,
    pub(super) owner_name: String,
    pub(super) session: Option<String>,
    pub(super) database: String,
    pub(super) isolation: Isolation,
    /// Microseconds since the Unix epoch, as the next.
    pub(super) started_at_us: i64,
    pub(super) prepared_at_us: i64,
    pub(super) snapshot_seq: CommitSeq,
    pub(super) calls: u64,
    pub(super) changes: Vec<TableChanges>,
    /// Of the body, all pieces together.
    pub(super) body_bytes: u64,
}

/// What a branch holds.
pub(super) type HeldLocks = Vec<(Resource, LockMode)>;

/// A record, read.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) head: Head,
    pub(super) prepared: Prepared,
    pub(super) locks: HeldLocks,
    /// What removes it.
    pub(super) removal: Vec<Write>,
}

/// What makes the record. The length of its body is set in the head.
pub(super) fn writes(head: &mut Head, prepared: &Prepared, locks: &[(Resource, LockMode)]) -> Vec<Write> {
    let body = body(prepared, locks);
    head.body_bytes = body.len() as u64;
    let mut first = vec![FORMAT];
    first.extend(serde_json::to_vec(&*head).expect("heads have text keys only"));
    let id = head.transaction_id;
    let pieces = std::iter::once(first.as_slice()).chain(body.chunks(PIECE_BYTES));
    (0..)
        .zip(pieces)
        .map(|(place, piece)| Write {
            space: SpaceId::PREPARED,
            key: key(id, place),
            expected: None,
            value: Some(piece.to_vec()),
        })
        .collect()
}

/// Transactions that have a record, in order.
pub(super) fn ids(snapshot: &dyn StoreSnapshot) -> Result<Vec<u64>> {
    let mut ids: Vec<u64> = Vec::new();
    let mut range = KeyRange::default();
    while let Some((key, _)) = snapshot.scan(SpaceId::PREPARED, &range, 1)?.first() {
        let id = key.first_chunk().map(|id| u64::from_be_bytes(*id));
        let id = id.ok_or_else(|| corrupt("a key of the prepared transactions is too short"))?;
        ids.push(id);
        let Some(next) = id.checked_add(1) else {
            break;
        };
        range.from = Some(key_prefix(next));
    }
    Ok(ids)
}

pub(super) fn read(snapshot: &dyn StoreSnapshot, id: u64) -> Result<Record> {
    let range = KeyRange {
        from: Some(key_prefix(id)),
        until: id.checked_add(1).map(key_prefix),
        ..KeyRange::default()
    };
    let found = snapshot.scan(SpaceId::PREPARED, &range, usize::MAX)?;
    let mut removal = Vec::with_capacity(found.len());
    let mut head: Option<Head> = None;
    let mut body = Vec::new();
    for (place, (found_key, found)) in (0..).zip(found) {
        if found_key != key(id, place) {
            return Err(undecodable(id, "a piece of it is missing"));
        }
        match &head {
            None => head = Some(decode_head(id, &found.value)?),
            Some(_) => body.extend_from_slice(&found.value),
        }
        removal.push(Write {
            space: SpaceId::PREPARED,
            key: found_key,
            expected: Some(found.version),
            value: None,
        });
    }
    let head = head.ok_or_else(|| undecodable(id, "it is not there"))?;
    if head.body_bytes != body.len() as u64 {
        return Err(undecodable(id, "its body has another length than its head says"));
    }
    let (prepared, locks) =
        decode_body(&body).ok_or_else(|| undecodable(id, "its body is cut or no body"))?;
    Ok(Record {
        head,
        prepared,
        locks,
        removal,
    })
}

fn key_prefix(id: u64) -> Vec<u8> {
    id.to_be_bytes().to_vec()
}

fn key(id: u64, place: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &place.to_be_bytes()].concat()
}

fn undecodable(id: u64, what: &str) -> TableError {
    corrupt(format!(
        "the record of the prepared transaction {id} can't be used: {what}"
    ))
}

fn decode_head(id: u64, bytes: &[u8]) -> Result<Head> {
    let Some((&FORMAT, json)) = bytes.split_first() else {
        return Err(undecodable(id, "its head is of an unknown format"));
    };
    let head: Head = serde_json::from_slice(json)
        .map_err(|error| undecodable(id, &format!("its head does not decode: {error}")))?;
    match head.transaction_id == id {
        true => Ok(head),
        false => Err(undecodable(id, "its head is of another transaction")),
    }
}

fn body(prepared: &Prepared, locks: &[(Resource, LockMode)]) -> Vec<u8> {
    let Prepared {
        batch,
        reads,
        dropped_indexes,
    } = prepared;
    let mut out = Vec::new();
    put_u64(&mut out, batch.writes.len() as u64);
    for write in &batch.writes {
        put_u64(&mut out, write.space.0);
        put_bytes(&mut out, &write.key);
        put_version(&mut out, write.expected);
        put_optional(&mut out, write.value.as_deref());
    }
    put_u64(&mut out, batch.guards.len() as u64);
    for guard in &batch.guards {
        put_u64(&mut out, guard.space.0);
        put_bytes(&mut out, &guard.key);
        put_version(&mut out, guard.expected);
    }
    put_u64(&mut out, batch.dropped_spaces.len() as u64);
    for space in &batch.dropped_spaces {
        put_u64(&mut out, space.0);
    }
    put_u64(&mut out, batch.log.len() as u64);
    for entry in &batch.log {
        put_bytes(&mut out, entry);
    }
    put_u64(&mut out, dropped_indexes.len() as u64);
    for index in dropped_indexes {
        put_u64(&mut out, index.0);
    }
    put_reads(&mut out, reads.as_ref());
    put_u64(&mut out, locks.len() as u64);
    for (resource, mode) in locks {
        put_lock(&mut out, resource, *mode);
    }
    out
}

/// `None` is 0, a version is one more than it is.
fn put_version(out: &mut Vec<u8>, version: Option<CommitSeq>) {
    put_u64(out, version.map_or(0, |version| version.0 + 1));
}

fn put_optional(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    out.push(u8::from(bytes.is_some()));
    if let Some(bytes) = bytes {
        put_bytes(out, bytes);
    }
}

fn put_reads(out: &mut Vec<u8>, reads: Option<&ReadSet>) {
    out.push(u8::from(reads.is_some()));
    let Some(reads) = reads else {
        return;
    };
    put_u64(out, reads.spaces().count() as u64);
    for (space, reads) in reads.spaces() {
        put_u64(out, space.0);
        out.push(u8::from(reads.whole));
        put_u64(out, reads.keys.len() as u64);
        for key in &reads.keys {
            put_bytes(out, key);
        }
        put_u64(out, reads.ranges.len() as u64);
        for (from, until) in &reads.ranges {
            put_bytes(out, from);
            put_optional(out, until.as_deref());
        }
    }
}

fn put_lock(out: &mut Vec<u8>, resource: &Resource, mode: LockMode) {
    let number = MODES.iter().position(|known| *known == mode);
    out.push(number.expect("all modes have a number") as u8);
    match resource {
        Resource::Table(table) => {
            out.push(ON_TABLE);
            put_u64(out, *table);
        }
        Resource::Row { table, space, key } => {
            out.push(ON_ROW);
            put_u64(out, *table);
            put_u64(out, *space);
            put_bytes(out, key);
        }
        Resource::Named(name) => {
            out.push(ON_NAME);
            put_bytes(out, name.as_bytes());
        }
    }
}

fn decode_body(bytes: &[u8]) -> Option<(Prepared, HeldLocks)> {
    let reader = &mut Reader::new(bytes);
    let batch = WriteBatch {
        writes: list(reader, |reader| {
            Some(Write {
                space: SpaceId(reader.u64()?),
                key: reader.bytes()?.to_vec(),
                expected: version(reader)?,
                value: optional(reader)?,
            })
        })?,
        guards: list(reader, |reader| {
            Some(Guard {
                space: SpaceId(reader.u64()?),
                key: reader.bytes()?.to_vec(),
                expected: version(reader)?,
            })
        })?,
        dropped_spaces: list(reader, |reader| reader.u64().map(SpaceId))?,
        log: list(reader, |reader| reader.bytes().map(<[u8]>::to_vec))?,
        ..WriteBatch::default()
    };
    let prepared = Prepared {
        batch,
        dropped_indexes: list(reader, |reader| reader.u64().map(ObjectId))?,
        reads: match flag(reader)? {
            true => Some(reads(reader)?),
            false => None,
        },
    };
    let locks = list(reader, lock)?;
    reader.is_empty().then_some((prepared, locks))
}

fn list<T>(reader: &mut Reader<'_>, mut item: impl FnMut(&mut Reader<'_>) -> Option<T>) -> Option<Vec<T>> {
    let count = reader.u64()?;
    (0..count).map(|_| item(reader)).collect()
}

fn flag(reader: &mut Reader<'_>) -> Option<bool> {
    match reader.u8()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn version(reader: &mut Reader<'_>) -> Option<Option<CommitSeq>> {
    Some(reader.u64()?.checked_sub(1).map(CommitSeq))
}

fn optional(reader: &mut Reader<'_>) -> Option<Option<Vec<u8>>> {
    match flag(reader)? {
        true => Some(Some(reader.bytes()?.to_vec())),
        false => Some(None),
    }
}

fn reads(reader: &mut Reader<'_>) -> Option<ReadSet> {
    let mut reads = ReadSet::default();
    for _ in 0..reader.u64()? {
        let space = SpaceId(reader.u64()?);
        if flag(reader)? {
            reads.space(space);
        }
        for _ in 0..reader.u64()? {
            reads.key(space, reader.bytes()?);
        }
        for _ in 0..reader.u64()? {
            let range = KeyRange {
                from: Some(reader.bytes()?.to_vec()),
                until: optional(reader)?,
                ..KeyRange::default()
            };
            reads.range(space, &range);
        }
    }
    Some(reads)
}

fn lock(reader: &mut Reader<'_>) -> Option<(Resource, LockMode)> {
    let mode = *MODES.get(usize::from(reader.u8()?))?;
    let resource = match reader.u8()? {
        ON_TABLE => Resource::Table(reader.u64()?),
        ON_ROW => {
            let (table, space) = (reader.u64()?, reader.u64()?);
            Resource::row(table, space, reader.bytes()?)
        }
        ON_NAME => Resource::named(reader.text()?),
        _ => return None,
    };
    Some((resource, mode))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn example() -> (Prepared, HeldLocks) {
        let mut reads = ReadSet::default();
        reads.key(SpaceId(1025), b"k");
        reads.range(
            SpaceId(1024),
            &KeyRange {
                from: Some(b"a".to_vec()),
                until: Some(b"b".to_vec()),
                ..KeyRange::default()
            },
        );
        reads.space(SpaceId(1026));
        let prepared = Prepared {
            batch: WriteBatch {
                writes: vec![
                    Write {
                        space: SpaceId(1024),
                        key: b"x".to_vec(),
                        expected: Some(CommitSeq(7)),
                        value: Some(b"new".to_vec()),
                    },
                    Write {
                        space: SpaceId(1024),
                        key: b"y".to_vec(),
                        expected: None,
                        value: None,
                    },
                ],
                guards: vec![Guard {
                    space: SpaceId::CATALOG,
                    key: b"r".to_vec(),
                    expected: Some(CommitSeq(0)),
                }],
                dropped_spaces: vec![SpaceId(1030)],
                log: vec![b"one".to_vec(), Vec::new()],
                ..WriteBatch::default()
            },
            reads: Some(reads),
            dropped_indexes: vec![ObjectId(300)],
        };
        let locks = vec![
            (Resource::Table(5), LockMode::IX),
            (Resource::row(5, 1024, b"x"), LockMode::X),
            (Resource::named("n"), LockMode::S),
        ];
        (prepared, locks)
    }

    /// docs/format/prepared.md shows these.
    #[test]
    fn a_body_has_the_documented_bytes() {
        let (prepared, locks) = example();
        let expected: Vec<u8> = [
            &b"\x02"[..],
            b"\x80\x08\x01x\x08\x01\x03new",
            b"\x80\x08\x01y\x00\x00",
            b"\x01\x01\x01r\x01",
            b"\x01\x86\x08",
            b"\x02\x03one\x00",
            b"\x01\xac\x02",
            b"\x01\x03",
            b"\x80\x08\x00\x00\x01\x01a\x01\x01b",
            b"\x81\x08\x00\x01\x01k\x00",
            b"\x82\x08\x01\x00\x00",
            b"\x03",
            b"\x01\x01\x05",
            b"\x04\x02\x05\x80\x08\x01x",
            b"\x02\x03\x01n",
        ]
        .concat();
        let body = body(&prepared, &locks);
        assert_eq!(body, expected, "{}", body.escape_ascii());
        assert_eq!(decode_body(&body), Some((prepared, locks)));
        for cut in 0..body.len() {
            assert_eq!(decode_body(&body[..cut]), None, "cut behind {cut}");
        }
    }

    #[test]
    fn a_head_has_the_documented_bytes() {
        let mut head = Head {
            transaction_id: 1000,
            xid: Xid::new(1, b"tx", b"b").unwrap(),
            owner: "u1".to_owned(),
            owner_name: "alice".to_owned(),
            session: None,
            database: "main".to_owned(),
            isolation: Isolation::Snapshot,
            started_at_us: 5,
            prepared_at_us: 6,
            snapshot_seq: CommitSeq(4),
            calls: 2,
            changes: Vec::new(),
            body_bytes: 0,
        };
        let (prepared, locks) = example();
        let writes = writes(&mut head, &prepared, &locks);
        assert_eq!(writes.len(), 2);
        assert_eq!(writes[0].key, b"\0\0\0\0\0\0\x03\xe8\0\0\0\0");
        assert_eq!(writes[1].key, b"\0\0\0\0\0\0\x03\xe8\0\0\0\x01");
        let first = writes[0].value.as_deref().unwrap();
        let json = concat!(
            r#"{"transaction_id":1000,"xid":"1:7478:62","owner":"u1","owner_name":"alice","session":null,"#,
            r#""database":"main","isolation":"Snapshot","started_at_us":5,"prepared_at_us":6,"snapshot_seq":4,"#,
            r#""calls":2,"changes":[],"body_bytes":"#,
        );
        let length = writes[1].value.as_deref().unwrap().len();
        assert_eq!(
            std::str::from_utf8(&first[1..]).unwrap(),
            format!("{json}{length}}}")
        );
        assert_eq!(decode_head(1000, first).unwrap(), head);
        assert!(decode_head(1001, first).is_err());
        assert!(decode_head(1000, &[2]).is_err());
    }
}
