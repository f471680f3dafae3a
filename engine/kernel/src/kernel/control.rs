//! The control file: where recovery begins.
//!
//! Two slots of [`SLOT_BYTES`] are written in turn, so that one is whole whatever happens to the other. The valid one with
//! the greater `sequence` counts. Bytes: docs/format/kernel.md.

use crc_fast::{CrcAlgorithm, checksum};
use rustydb_runtime::disk::{Disk, DiskFile, OpenMode};

use super::changes::{LogTotals, Trim};
use crate::error::{KernelError, Result};
use crate::ids::{Lsn, Ts};
use crate::planted::planted;
use crate::sync::{Arc, Mutex};
use crate::wal::WalPosition;

/// Version of the format of the whole directory. 1 and 2 were other engines' files.
pub const FORMAT_VERSION: u32 = 3;

const MAGIC: &[u8; 8] = b"RDBCTRL\0";
const SLOT_BYTES: usize = 4096;
const CRC: usize = 12;

/// What a checkpoint leaves for recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control {
    /// Number of the checkpoint, from 1.
    pub sequence: u64,
    pub epoch: u64,
    /// Redo begins here.
    pub redo: WalPosition,
    /// Change log before `redo`.
    pub totals: LogTotals,
    pub trimmed: Trim,
    pub checkpoint_at_us: i64,
    pub created_at_us: i64,
}

/// The open file.
pub struct ControlFile {
    path: String,
    file: Arc<dyn DiskFile>,
    newest: Mutex<Control>,
}

impl ControlFile {
    /// Makes the file, durably but for its name.
    pub fn create(disk: &dyn Disk, path: String, control: Control) -> Result<ControlFile> {
        let failed = |error: std::io::Error| KernelError::io(format!("making {path}"), &error);
        let file = disk.open(&path, OpenMode::New).map_err(failed)?;
        file.write_at(&encode(&control), 0).map_err(failed)?;
        file.write_at(&[0; SLOT_BYTES], SLOT_BYTES as u64)
            .map_err(failed)?;
        file.sync_data().map_err(failed)?;
        Ok(ControlFile {
            path,
            file,
            newest: Mutex::new(control),
        })
    }

    /// Opens the file.
    ///
    /// # Errors
    /// `CorruptFile` when neither slot is valid, `FormatVersion` and `Io`.
    pub fn open(disk: &dyn Disk, path: String) -> Result<ControlFile> {
        let failed = |error: std::io::Error| KernelError::io(format!("opening {path}"), &error);
        let file = disk.open(&path, OpenMode::Existing).map_err(failed)?;
        let mut newest: Option<Control> = None;
        let mut refused = None;
        for slot in 0..2 {
            let mut bytes = [0; SLOT_BYTES];
            let read = file.read_at(&mut bytes, (slot * SLOT_BYTES) as u64);
            match read.map(|()| decode(&bytes)).map_err(|error| error.to_string()) {
                Ok(Ok(control)) if newest.is_none_or(|newest| control.sequence > newest.sequence) => {
                    newest = Some(control);
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => refused = Some(error),
                Err(reason) => {
                    refused = Some(KernelError::CorruptFile {
                        file: path.clone(),
                        what: reason,
                    })
                }
            }
        }
        match (newest, refused) {
            (Some(newest), _) => Ok(ControlFile {
                path,
                file,
                newest: Mutex::new(newest),
            }),
            (None, Some(KernelError::CorruptFile { what, .. })) => {
                Err(KernelError::CorruptFile { file: path, what })
            }
            (None, Some(error)) => Err(error),
            (None, None) => Err(KernelError::CorruptFile {
                file: path,
                what: "it is empty".to_owned(),
            }),
        }
    }

    pub fn newest(&self) -> Control {
        *self.newest.lock()
    }

    /// Writes the next checkpoint into the slot of the older one and returns once it is durable.
    pub fn write(&self, control: Control) -> Result<()> {
        let mut newest = self.newest.lock();
        let control = Control {
            sequence: newest.sequence + 1,
            ..control
        };
        // The first is in slot 0.
        let slot = match planted!("control-slot-not-alternated") {
            true => 0,
            false => (control.sequence - 1) % 2,
        };
        let offset = slot * SLOT_BYTES as u64;
        let failed = |error: std::io::Error| KernelError::io(format!("writing {}", self.path), &error);
        self.file.write_at(&encode(&control), offset).map_err(failed)?;
        self.file.sync_data().map_err(failed)?;
        *newest = control;
        Ok(())
    }
}

fn encode(control: &Control) -> [u8; SLOT_BYTES] {
    let mut bytes = [0; SLOT_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes[40..44].copy_from_slice(&control.redo.prev_crc.to_le_bytes());
    let numbers = [
        (16, control.sequence),
        (24, control.epoch),
        (32, control.redo.lsn.0),
        (48, control.redo.ts.0),
        (56, control.totals.entries),
        (64, control.totals.bytes),
        (72, control.trimmed.to.0),
        (80, control.trimmed.totals.entries),
        (88, control.trimmed.totals.bytes),
        (96, control.checkpoint_at_us as u64),
        (104, control.created_at_us as u64),
    ];
    for (offset, number) in numbers {
        bytes[offset..offset + 8].copy_from_slice(&number.to_le_bytes());
    }
    let crc = crc(&bytes);
    bytes[CRC..CRC + 4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; SLOT_BYTES]) -> Result<Control> {
    let corrupt = |what: String| KernelError::CorruptFile {
        file: String::new(),
        what,
    };
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    if &bytes[..8] != MAGIC {
        return Err(corrupt(
            "it does not begin as a control file of RustyDB".to_owned(),
        ));
    }
    let (stored, computed) = (u32_at(CRC), crc(bytes));
    if stored != computed {
        return Err(corrupt(format!(
            "checksum: expected {computed:#x}, found {stored:#x}"
        )));
    }
    if u32_at(8) != FORMAT_VERSION {
        return Err(KernelError::FormatVersion {
            found: u32_at(8),
            supported: FORMAT_VERSION,
        });
    }
    Ok(Control {
        sequence: u64_at(16),
        epoch: u64_at(24),
        redo: WalPosition {
            lsn: Lsn(u64_at(32)),
            prev_crc: u32_at(40),
            ts: Ts(u64_at(48)),
        },
        totals: LogTotals {
            entries: u64_at(56),
            bytes: u64_at(64),
        },
        trimmed: Trim {
            to: Ts(u64_at(72)),
            totals: LogTotals {
                entries: u64_at(80),
                bytes: u64_at(88),
            },
        },
        checkpoint_at_us: u64_at(96) as i64,
        created_at_us: u64_at(104) as i64,
    })
}

fn crc(bytes: &[u8; SLOT_BYTES]) -> u32 {
    let mut bytes = *bytes;
    bytes[CRC..CRC + 4].fill(0);
    // The library gives every checksum as 64 bits; one of 32 bits fills the lower half.
    checksum(CrcAlgorithm::Crc32Iscsi, &bytes) as u32
}
