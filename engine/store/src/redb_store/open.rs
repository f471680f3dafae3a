//! Opening and creating the redb file.
//!
//! redb writes a new file's header in steps; a crash between them leaves a file that it refuses to open. So a
//! file is created under a second name and renamed only when it is complete: whatever stands under the
//! store's own name can be opened.

use std::path::{Path, PathBuf};

use redb::{Builder, Database, DatabaseError, ReadableDatabase, StorageBackend, TableError};
use rustydb_runtime::{Rng, SystemRng, files};

use super::errors::failed;
use super::layout::{
    FORMAT_VERSION, LOG, META, META_EPOCH, META_FORMAT, META_LOG_BYTES, META_LOG_TRIMMED, META_NEWEST, ROWS,
    STATS,
};
use crate::error::StoreError;

/// Ending of a file that is being created.
const UNFINISHED: &str = "new";

/// The database in `path`, created if there is none.
pub(super) fn file(path: &Path, cache_bytes: usize) -> Result<Database, StoreError> {
    let mut builder = Database::builder();
    builder.set_cache_size(cache_bytes);
    let database = if path.exists() {
        builder.open(path).map_err(failed)
    } else {
        create(path, &builder)
    };
    let database = database.map_err(|error| in_file(path, error))?;
    check_format(&database)?;
    Ok(database)
}

/// The database in `backend`, created if that is empty.
pub(super) fn backend(backend: impl StorageBackend, cache_bytes: usize) -> Result<Database, StoreError> {
    let mut builder = Database::builder();
    builder.set_cache_size(cache_bytes);
    let database = builder.create_with_backend(backend).map_err(failed)?;
    prepare(&database)?;
    check_format(&database)?;
    Ok(database)
}

/// Two processes may get here at once: redb's lock on the unfinished file lets one through, and it keeps that
/// lock while the file takes its name, so the other finds either a locked file or a finished one.
fn create(path: &Path, builder: &Builder) -> Result<Database, StoreError> {
    let unfinished = beside(path, UNFINISHED);
    let database = match builder.create(&unfinished) {
        Ok(database) => database,
        Err(DatabaseError::DatabaseAlreadyOpen) => return Err(failed(DatabaseError::DatabaseAlreadyOpen)),
        Err(_) => {
            // What a crash left behind. Nothing was ever acknowledged from it.
            files::remove(&unfinished)
                .map_err(|error| in_file(&unfinished, StoreError::Io(error.to_string())))?;
            builder
                .create(&unfinished)
                .map_err(|error| in_file(&unfinished, failed(error)))?
        }
    };
    if path.exists() {
        drop(database);
        files::remove(&unfinished)
            .map_err(|error| in_file(&unfinished, StoreError::Io(error.to_string())))?;
        return builder.open(path).map_err(failed);
    }
    prepare(&database)?;
    files::rename_durably(&unfinished, path).map_err(|error| StoreError::Io(error.to_string()))?;
    Ok(database)
}

/// Makes the store's tables in a database that has none, durably.
fn prepare(database: &Database) -> Result<(), StoreError> {
    let read = database.begin_read().map_err(failed)?;
    if read.list_tables().map_err(failed)?.next().is_some() {
        return Ok(());
    }
    let transaction = database.begin_write().map_err(failed)?;
    {
        let mut meta = transaction.open_table(META).map_err(failed)?;
        meta.insert(META_FORMAT, u64::from(FORMAT_VERSION))
            .map_err(failed)?;
        for (name, value) in [
            (META_NEWEST, 0),
            (META_EPOCH, drawn()),
            (META_LOG_TRIMMED, 0),
            (META_LOG_BYTES, 0),
        ] {
            meta.insert(name, value).map_err(failed)?;
        }
        transaction.open_table(ROWS).map_err(failed)?;
        transaction.open_table(STATS).map_err(failed)?;
        transaction.open_table(LOG).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// A number that no other store is likely to have.
fn drawn() -> u64 {
    let mut bytes = [0; 8];
    SystemRng.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Refuses what this binary does not read, before it reads anything else.
fn check_format(database: &Database) -> Result<(), StoreError> {
    let read = database.begin_read().map_err(failed)?;
    let meta = match read.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::Storage(error)) => return Err(failed(error)),
        Err(error) => {
            return Err(StoreError::Corrupt(format!(
                "this is a redb file but not a store of RustyDB: {error}"
            )));
        }
    };
    let found = meta.get(META_FORMAT).map_err(failed)?;
    let found = found
        .ok_or_else(|| StoreError::Corrupt(format!("meta has no {META_FORMAT}")))?
        .value();
    if found != u64::from(FORMAT_VERSION) {
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        return Err(StoreError::FormatVersion {
            found,
            supported: FORMAT_VERSION,
        });
    }
    Ok(())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

fn in_file(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Io(what) => StoreError::Io(format!("{}: {what}", path.display())),
        StoreError::Corrupt(what) => StoreError::Corrupt(format!("{}: {what}", path.display())),
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::disallowed_methods)]
mod tests {
    use super::*;
    use redb::TableDefinition;
    use redb::backends::InMemoryBackend;

    const CACHE: usize = 1 << 20;

    #[test]
    fn another_format_version_is_refused_naming_both() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        drop(file(&path, CACHE).unwrap());
        let database = Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction
            .open_table(META)
            .unwrap()
            .insert(META_FORMAT, 7)
            .unwrap();
        transaction.commit().unwrap();
        drop(database);
        let refused = file(&path, CACHE).unwrap_err();
        assert!(
            matches!(
                refused,
                StoreError::FormatVersion {
                    found: 7,
                    supported: FORMAT_VERSION
                }
            ),
            "{refused}"
        );
    }

    #[test]
    fn somebody_elses_redb_file_is_refused_and_left_alone() {
        const THEIRS: TableDefinition<u64, u64> = TableDefinition::new("theirs");
        let database = Database::builder()
            .create_with_backend(InMemoryBackend::new())
            .unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(THEIRS).unwrap().insert(1, 1).unwrap();
        transaction.commit().unwrap();
        prepare(&database).unwrap();
        assert!(matches!(check_format(&database), Err(StoreError::Corrupt(_))));
        assert_eq!(database.begin_read().unwrap().list_tables().unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        std::fs::write(&path, b"hello, this is a text file").unwrap();
        let refused = file(&path, CACHE).unwrap_err().to_string();
        assert!(refused.contains(path.to_str().unwrap()), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), b"hello, this is a text file");
    }

    #[test]
    fn a_crash_while_creating_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        // What redb leaves between growing a new file and writing its magic number.
        std::fs::write(beside(&path, UNFINISHED), vec![0; 1 << 20]).unwrap();
        drop(file(&path, CACHE).unwrap());
        drop(file(&path, CACHE).unwrap());
        assert!(!beside(&path, UNFINISHED).exists());
    }

    #[test]
    fn a_second_opening_is_refused_while_the_first_lives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let first = file(&path, CACHE).unwrap();
        let refused = file(&path, CACHE).unwrap_err().to_string();
        assert!(
            refused.contains("another process has the store open"),
            "{refused}"
        );
        drop(first);
        file(&path, CACHE).unwrap();
    }
}
