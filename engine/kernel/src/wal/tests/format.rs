//! The bytes that docs/format/log.md documents. Who changes one of these changes the format version.

use rustydb_runtime::disk::{Disk, OpenMode, SimDisk};

use super::support::{FOLDER, SMALL, open, setup};
use crate::error::KernelError;
use crate::ids::Ts;
use crate::wal::Wal;
use crate::wal::fragment::Checksum;

const SEGMENT: u64 = SMALL.segment_bytes;

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let digits = bytes[at..at + length].iter().rev();
    digits.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn read(disk: &SimDisk, segment: u64) -> Vec<u8> {
    let path = format!("{FOLDER}/{segment:016x}.wal");
    let file = disk.open(&path, OpenMode::Existing).expect("open");
    let mut bytes = vec![0; SEGMENT as usize];
    file.read_at(&mut bytes, 0).expect("read");
    bytes
}

/// CRC-32C bit by bit, as the polynomial defines it.
fn crc32c(bytes: &[u8]) -> u64 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
        }
    }
    u64::from(!crc)
}

fn crc_of_fragment(fragment: &[u8]) -> u64 {
    crc32c(&[&0x5eed_ab1e_u64.to_le_bytes(), &fragment[4..]].concat())
}

#[test]
fn a_log_has_the_documented_bytes() {
    let disk = SimDisk::new(1);
    let wal = Wal::create(setup(&disk, SMALL), Ts(41)).expect("create");
    wal.append(Ts(42), &[b"hel", b"lo"]).expect("append");
    wal.flush().expect("flush");
    wal.seal().expect("seal");
    wal.append(Ts(43), &[&[9; 70_000]]).expect("append");
    wal.flush().expect("flush");
    wal.switch_segment().expect("switch");

    let first = read(&disk, 1);
    assert_eq!(first[..8], *b"RDBWAL\0\0");
    assert_eq!(number(&first, 8, 4), 1, "format version");
    assert_eq!(number(&first, 12, 4), SEGMENT / 1024);
    assert_eq!(number(&first, 16, 8), 1, "number");
    assert_eq!(number(&first, 24, 8), 0x5eed_ab1e, "epoch");
    assert_eq!(number(&first, 32, 8), 41, "commit before");
    assert_eq!(number(&first, 40, 8), 1_700_000_000_000_000, "created");
    assert_eq!(number(&first, 48, 4), 0, "checksum of the fragment before");
    assert_eq!(first[52..60], [0; 8]);
    assert_eq!(number(&first, 60, 4), crc32c(&first[..60]));

    let hello = &first[64..64 + 56];
    assert_eq!(number(hello, 0, 4), crc_of_fragment(hello));
    assert_eq!(number(hello, 4, 4), 5, "length");
    assert_eq!(number(hello, 8, 8), SEGMENT + 64, "lsn");
    assert_eq!(number(hello, 16, 8), SEGMENT + 64, "group");
    assert_eq!(number(hello, 24, 8), 42, "commit");
    assert_eq!(number(hello, 32, 8), SEGMENT + 64, "durable");
    assert_eq!(number(hello, 40, 4), 0, "checksum of the fragment before");
    assert_eq!(hello[44..48], [1, 0, 0, 0], "full");
    assert_eq!(hello[48..], *b"hello\0\0\0");

    let mark = &first[120..168];
    assert_eq!(number(mark, 0, 4), crc_of_fragment(mark));
    assert_eq!(number(mark, 8, 8), SEGMENT + 120);
    assert_eq!(number(mark, 16, 8), SEGMENT + 120);
    assert_eq!(number(mark, 24, 8), 42);
    assert_eq!(number(mark, 32, 8), SEGMENT + 120, "all before it was durable");
    assert_eq!(number(mark, 40, 4), number(hello, 0, 4));
    assert_eq!(mark[44], 6, "mark");

    // The first piece of the large group leaves 48 bytes, which a switch takes.
    let piece = &first[168..SEGMENT as usize - 48];
    assert_eq!(number(piece, 4, 4) as usize, piece.len() - 48);
    assert_eq!(piece[44], 2, "first");
    assert_eq!(number(piece, 0, 4), crc_of_fragment(piece));
    let switch = &first[SEGMENT as usize - 48..];
    assert_eq!(number(switch, 4, 4), 0);
    assert_eq!(switch[44], 5, "switch");

    let second = read(&disk, 2);
    assert_eq!(number(&second, 16, 8), 2);
    assert_eq!(
        number(&second, 32, 8),
        43,
        "the group that began before the segment"
    );
    assert_eq!(number(&second, 48, 4), number(switch, 0, 4));
    assert_eq!(number(&second, 64 + 8, 8), 2 * SEGMENT + 64);
    assert_eq!(
        number(&second, 64 + 16, 8),
        SEGMENT + 168,
        "the group's first fragment"
    );
    assert_eq!(second[64 + 44], 4, "last");
}

#[test]
fn the_checksum_is_crc32c_of_the_epoch_and_the_fragment() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283, "the published check value");
    let fragment: Vec<u8> = (0..200).collect();
    let all = [&7u64.to_le_bytes()[..], &fragment].concat();
    assert_eq!(u64::from(Checksum::new(7).of(&fragment)), crc32c(&all));
}

#[test]
fn another_format_version_is_refused_by_its_number() {
    let disk = SimDisk::new(1);
    let wal = Wal::create(setup(&disk, SMALL), Ts(0)).expect("create");
    let from = wal.position();
    let mut header = read(&disk, 1)[..64].to_vec();
    header[8] = 2;
    let crc = crc32c(&header[..60]) as u32;
    header[60..].copy_from_slice(&crc.to_le_bytes());
    let path = format!("{FOLDER}/0000000000000001.wal");
    let file = disk.open(&path, OpenMode::Existing).expect("open");
    file.write_at(&header, 0).expect("write");
    let opened = open(setup(&disk, SMALL), from);
    assert!(matches!(
        opened,
        Err(KernelError::FormatVersion {
            found: 2,
            supported: 1
        })
    ));
}
