//! Room on the device, and what the data takes of it.

use std::path::{Path, PathBuf};

use rustydb_contract::ServiceResult;
use rustydb_contract_storage::{Disk, DiskHealth, DiskKind, DiskList, StorageStatus};
use rustydb_kernel::ids::TablespaceId;
use rustydb_kernel::kernel::Kernel;
use rustydb_kernel::page::PAGE_BYTES;
use rustydb_runtime::files;
use rustydb_store::tables::{TableError, Tables};
use sysinfo::Disks;

use super::errors::failed;
use crate::data::table_error;
use crate::identity::error::internal;

/// Where the store lies.
pub(super) struct Place {
    /// Absolute.
    pub data_dir: PathBuf,
    /// Folder of the log.
    pub wal: PathBuf,
}

pub(super) fn status(kernel: &Kernel, tables: &Tables, place: &Place) -> ServiceResult<StorageStatus> {
    let space = kernel
        .files()
        .space(TablespaceId::MAIN)
        .map_err(|error| failed(&error))?;
    let used_bytes = space.total_bytes.saturating_sub(space.available_bytes);
    let pages = kernel.files().tablespaces().into_iter();
    let pages: u64 = pages.map(|tablespace| u64::from(tablespace.pages)).sum();
    let wal_bytes = files::folder_bytes(&place.wal)
        .map_err(|error| internal(format!("the files of the log can't be measured: {error}")))?;
    let (rows_bytes, indexes_bytes) = held(tables).map_err(table_error)?;
    Ok(StorageStatus {
        total_bytes: space.total_bytes,
        used_bytes,
        available_bytes: space.available_bytes,
        usage_percent: used_bytes as f64 * 100.0 / space.total_bytes.max(1) as f64,
        tablespaces_bytes: pages * PAGE_BYTES as u64,
        rows_bytes,
        indexes_bytes,
        wal_bytes,
    })
}

/// Bytes of the rows and of the entries of all tables.
fn held(tables: &Tables) -> Result<(u64, u64), TableError> {
    let transaction = tables.begin_read_only()?;
    let (mut rows_bytes, mut indexes_bytes) = (0, 0);
    for database in transaction.databases()? {
        for table in transaction.tables(&database.name)? {
            let stats = transaction.table_stats(&table)?;
            rows_bytes += stats.row_bytes;
            indexes_bytes += stats.index_bytes;
        }
    }
    Ok((rows_bytes, indexes_bytes))
}

/// The device of the data directory, as the operating system lists it.
pub(super) fn disks(kernel: &Kernel, place: &Place) -> ServiceResult<DiskList> {
    let listed = Disks::new_with_refreshed_list()
        .map_err(|error| internal(format!("the operating system does not list its disks: {error}")))?;
    let space = kernel
        .files()
        .space(TablespaceId::MAIN)
        .map_err(|error| failed(&error))?;
    let mounts: Vec<&Path> = listed.iter().map(sysinfo::Disk::mount_point).collect();
    let holding = holding(&mounts, &place.data_dir).map(|index| &listed[index]);
    // Not all file systems are listed; then another is the deepest, with other room.
    let holding = holding.filter(|disk| disk.total_space() == space.total_bytes);
    let disk = Disk {
        device: holding.map(|disk| disk.name().to_string_lossy().into_owned()),
        mount_point: holding.map(|disk| disk.mount_point().display().to_string()),
        file_system: holding.map(|disk| disk.file_system().to_string_lossy().into_owned()),
        kind: match holding.map(sysinfo::Disk::kind) {
            Some(sysinfo::DiskKind::SSD) => DiskKind::Ssd,
            Some(sysinfo::DiskKind::HDD) => DiskKind::Hdd,
            _ => DiskKind::Unknown,
        },
        total_bytes: space.total_bytes,
        available_bytes: space.available_bytes,
        health: health(kernel),
    };
    Ok(DiskList { disks: vec![disk] })
}

/// Which of the mount points the path lies below: the deepest.
fn holding(mounts: &[&Path], path: &Path) -> Option<usize> {
    let above = mounts
        .iter()
        .enumerate()
        .filter(|(_, mount)| path.starts_with(mount));
    above
        .max_by_key(|(_, mount)| mount.components().count())
        .map(|(index, _)| index)
}

fn health(kernel: &Kernel) -> DiskHealth {
    match (kernel.check_writable(), kernel.cramped()) {
        (Err(_), _) => DiskHealth::Failed,
        (Ok(()), Some(_)) => DiskHealth::Full,
        (Ok(()), None) => DiskHealth::Healthy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_point_above_a_path_holds_it() {
        let mounts = ["/", "/var", "/var/lib", "/variable"].map(Path::new);
        for (path, expected) in [
            ("/var/lib/rustydb", 2),
            ("/var/library", 1),
            ("/variables", 0),
            ("/var", 1),
            ("/home", 0),
        ] {
            assert_eq!(holding(&mounts, Path::new(path)), Some(expected), "{path}");
        }
        assert_eq!(holding(&mounts[1..], Path::new("/home")), None);
    }
}
