//! Defects that are put in on purpose, one to a build, to see that the tests find them.
//!
//! `RUSTFLAGS='--cfg planted="log-not-synced"'` builds a kernel that forgets to sync its log. `tests/planted.sh` builds one
//! for each name of this table, runs the unmodified tests on it, and fails when they pass.
//!
//! | name | what the kernel does |
//! |---|---|
//! | `log-not-synced` | says that the log is durable without a sync |
//! | `pages-not-synced` | moves the redo point on before the pages are durable |
//! | `page-checksum-ignored` | takes a page whatever its checksum |
//! | `early-acknowledgement` | acknowledges a commit that is only in the log's buffer |
//! | `no-page-image` | logs the first change of a page behind a checkpoint like any other |
//! | `redo-marks-group-end` | takes a page that was redone for one that has the next group too |
//! | `pruned-too-far` | prunes what the oldest snapshot sees |
//! | `visibility-off-by-one` | shows a scan of a snapshot the commit behind it |
//! | `time-off-by-one` | takes a commit of the next millisecond for one of the time that is asked for |
//! | `tombstone-pruned-at-fence` | prunes the tombstone of a key whose versions go on in the next leaf |
//! | `page-before-log` | writes pages that the log does not hold yet |
//! | `control-slot-not-alternated` | writes each checkpoint over the last |
//! | `dropped-tree-freed-early` | gives the pages of a dropped tree out while a snapshot reads it |
//! | `trim-totals-lost` | recovers how far the change log was trimmed, and not how much that was |
//! | `dropped-tablespace-redone` | redoes changes of pages whose tablespace was dropped later |
//! | `orphan-folder-kept` | keeps the folder of a tablespace whose making or dropping a crash cut |
//! | `files-removed-before-record` | removes the files of a tablespace before it is durable that it was dropped |
//! | `lock-mode-cell-wrong` | lets one owner read a table while another one writes rows of it |
//! | `lock-overtakes` | grants what goes with the holders, whoever is ahead in the queue |
//! | `lock-wakeup-lost` | releases a lock and grants nobody who waited for it |
//! | `lock-edge-missed` | looks for deadlocks among holders only, not among those ahead in the queue |
//! | `lock-leaked` | keeps one of the locks of an owner that ends |
//! | `lock-ticket-kept` | leaves the request of a dropped ticket in its queue |
//!
//! These are after defects that others have published:
//!
//! | name | what the kernel does | after |
//! |---|---|---|
//! | `sync-repeated` | repeats a sync that failed, and believes the second | PostgreSQL until 11.2, <https://wiki.postgresql.org/wiki/Fsync_Errors> |
//! | `growth-only-counted` | believes the count of pages in its header where the file is shorter after a crash | redb until 4.1, <https://github.com/cberner/redb/pull/1276> |
//! | `log-reset-early` | gives up log that the durable checkpoint needs, since a checkpoint is about to finish | SQLite 3.7.0 to 3.51.2, <https://www.sqlite.org/wal.html#walresetbug> |
//! | `oldest-reader-overlooked` | reuses what an older reader sees, since a younger one does not | LMDB's races of reader slots, ITS#7635 and ITS#7971 |
//! | `name-not-synced` | begins a file of the log without making its name durable | SQLite's and others' missing syncs of folders: Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014 |

// Redo that ignores a page's LSN is not among them: it is slow and not wrong, since what follows a redo point begins with
// the whole page.

/// Whether this is the build with the defect `name`; a constant.
macro_rules! planted {
    ($name:literal) => {
        cfg!(planted = $name)
    };
}

pub(crate) use planted;
