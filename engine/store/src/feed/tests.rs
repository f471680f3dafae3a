use std::time::Duration;

use rustydb_runtime::{Clock, ManualClock, SeededRng};

use super::*;
use crate::seam::{SpaceId, Write, WriteBatch};
use crate::tables::Tables;
use crate::tables::tests::support::{int, spec};
use crate::testing::MemStore;
use crate::testing::kernel_store;

fn stores() -> Vec<Arc<dyn TableStore>> {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(0));
    vec![
        Arc::new(MemStore::new(clock.clone())),
        Arc::new(kernel_store(clock)),
    ]
}

/// A change that only the log knows.
fn logged(name: &str) -> Vec<u8> {
    change_log::encode_statement(name)
}

fn commit(store: &dyn TableStore, entries: usize) -> CommitSeq {
    let log = (0..entries).map(|entry| logged(&entry.to_string())).collect();
    store
        .commit(WriteBatch {
            log,
            ..WriteBatch::default()
        })
        .unwrap()
}

/// A commit without entries, as users and sessions make them.
fn silent(store: &dyn TableStore, key: u64) -> CommitSeq {
    let write = Write {
        space: SpaceId::SESSIONS,
        key: key.to_be_bytes().to_vec(),
        expected: None,
        value: Some(Vec::new()),
    };
    store
        .commit(WriteBatch {
            writes: vec![write],
            ..WriteBatch::default()
        })
        .unwrap()
}

/// What the log holds after a position, read at once.
fn log_of(store: &dyn TableStore, after: CommitSeq) -> Vec<CommitSeq> {
    let mut commits: Vec<CommitSeq> = store
        .log_after(after, usize::MAX)
        .unwrap()
        .iter()
        .map(|entry| entry.commit)
        .collect();
    commits.dedup();
    commits
}

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .expect("it comes")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_reader_gets_every_commit_once_and_in_order() {
    const COMMITS: usize = 2_000;
    let seed = std::env::var("FEED_SEED").map_or(20_261_121, |seed| seed.parse().unwrap());
    eprintln!("seed: FEED_SEED={seed}");
    let rng = Arc::new(SeededRng::new(seed));
    for store in stores() {
        let feed = Feed::new(Arc::clone(&store));
        let readers: Vec<_> = (0..6)
            .map(|_| {
                let (mut reader, rng) = (feed.from_now(), Arc::clone(&rng));
                tokio::spawn(async move {
                    let (mut seen, mut changes) = (Vec::new(), 0);
                    while changes < COMMITS {
                        // A reader that is dropped anywhere goes on where it was.
                        let wait = Duration::from_micros(rng.below(300));
                        match tokio::time::timeout(wait, reader.next()).await {
                            Ok(commit) => {
                                let commit = commit.unwrap();
                                assert!(reader.position() >= commit.seq);
                                changes += 1;
                                seen.push(commit.seq);
                            }
                            Err(_) if rng.below(4) == 0 => {
                                reader = reader.feed.clone().after(reader.position());
                            }
                            Err(_) => {}
                        }
                    }
                    seen
                })
            })
            .collect();
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (store, rng) = (Arc::clone(&store), Arc::clone(&rng));
                tokio::task::spawn_blocking(move || {
                    for number in 0..COMMITS / 4 {
                        commit(&*store, 1 + usize::try_from(rng.below(3)).unwrap());
                        if rng.below(3) == 0 {
                            silent(&*store, (writer * COMMITS + number) as u64);
                        }
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        let expected = log_of(&*store, CommitSeq(0));
        assert_eq!(expected.len(), COMMITS);
        for reader in readers {
            assert_eq!(soon(reader).await.unwrap(), expected);
        }
    }
}

#[tokio::test]
async fn a_reader_starts_anywhere_that_is_kept() {
    for store in stores() {
        let feed = Feed::new(Arc::clone(&store));
        for entries in [1, 3, PAGE_ENTRIES, 2, PAGE_ENTRIES + 7, 1] {
            commit(&*store, entries);
        }
        for start in 0..6 {
            let mut reader = feed.after(CommitSeq(start));
            for seq in start + 1..=6 {
                assert_eq!(soon(reader.next()).await.unwrap().seq, CommitSeq(seq));
            }
            assert_eq!(reader.position(), CommitSeq(6));
        }
    }
}

#[tokio::test]
async fn a_position_moves_over_commits_that_say_nothing() {
    for store in stores() {
        let feed = Feed::new(Arc::clone(&store));
        let mut reader = feed.from_now();
        let last = (0..5).fold(CommitSeq(0), |_, key| silent(&*store, key));
        let waiting = tokio::time::timeout(Duration::from_millis(50), reader.next()).await;
        assert!(waiting.is_err());
        assert_eq!(reader.position(), last);
        let next = commit(&*store, 1);
        assert_eq!(soon(reader.next()).await.unwrap().seq, next);
    }
}

#[tokio::test]
async fn readers_at_the_end_share_what_is_decoded() {
    for store in stores() {
        let feed = Feed::new(Arc::clone(&store));
        let (mut one, mut other) = (feed.from_now(), feed.from_now());
        commit(&*store, 2);
        let (one, other) = (soon(one.next()).await.unwrap(), soon(other.next()).await.unwrap());
        assert!(Arc::ptr_eq(&one, &other));
    }
}

#[tokio::test]
async fn what_is_shared_is_bounded_and_the_slow_read_the_log() {
    for store in stores() {
        let feed = Feed::new(Arc::clone(&store));
        let (mut quick, mut slow) = (feed.from_now(), feed.from_now());
        let megabyte = vec![logged(&"x".repeat(1 << 20))];
        for _ in 0..40 {
            let log = megabyte.clone();
            store
                .commit(WriteBatch {
                    log,
                    ..WriteBatch::default()
                })
                .unwrap();
            soon(quick.next()).await.unwrap();
        }
        {
            let shared = feed.inner.shared.lock();
            assert!(shared.log_bytes <= SHARED_BYTES_MAX);
            assert_eq!(
                shared.log_bytes,
                shared.commits.iter().map(|commit| commit.log_bytes).sum::<u64>()
            );
            assert!(shared.from > CommitSeq(0));
        }
        for seq in 1..=40 {
            assert_eq!(soon(slow.next()).await.unwrap().seq, CommitSeq(seq));
        }
    }
}

#[tokio::test]
async fn a_reader_of_what_is_gone_is_told_and_stays() {
    for store in stores() {
        let feed = Feed::new(Arc::clone(&store));
        let mut reader = feed.from_now();
        for _ in 0..3 {
            commit(&*store, 1);
        }
        let trim = WriteBatch {
            trim_log_to: Some(CommitSeq(2)),
            ..WriteBatch::default()
        };
        store.commit(trim).unwrap();
        for _ in 0..2 {
            let gone = soon(reader.next()).await;
            assert!(
                matches!(
                    gone,
                    Err(StoreError::LogTrimmed {
                        after: CommitSeq(0),
                        trimmed_to: CommitSeq(2)
                    })
                ),
                "{gone:?}"
            );
        }
        let mut next = feed.after(CommitSeq(2));
        assert_eq!(soon(next.next()).await.unwrap().seq, CommitSeq(3));
    }
}

#[tokio::test]
async fn a_commit_has_its_rows_definitions_statement_and_maker() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(7));
    let store: Arc<dyn TableStore> = Arc::new(MemStore::new(clock.clone()));
    let tables = Tables::open(Arc::clone(&store), clock).unwrap();
    let mut reader = Feed::new(store).from_now();
    let origin = CommitOrigin {
        transaction_id: None,
        user: "alice".to_owned(),
    };
    let mut txn = tables.begin().unwrap();
    txn.set_origin(origin.clone());
    txn.set_statement(Some("CREATE TABLE t (a integer)"));
    let table = txn.create_table(spec("t", &["a integer"], &["a"], &[])).unwrap();
    txn.set_statement(None);
    txn.insert(&table, vec![int(1)]).unwrap();
    let seq = txn.commit().unwrap().seq;
    let commit = soon(reader.next()).await.unwrap();
    assert_eq!(
        (commit.seq, commit.committed_at_us, &commit.origin),
        (seq, 7, &Some(origin))
    );
    let [
        (_, Change::Definition { change, statement }),
        (row_index, Change::Row(row)),
    ] = commit.changes.as_slice()
    else {
        panic!("{commit:?}")
    };
    assert!(matches!(change, DdlChange::CreateTable { table } if table.name == "t"));
    assert_eq!(statement.as_deref(), Some("CREATE TABLE t (a integer)"));
    assert_eq!((*row_index, row.table.as_str()), (3, "t"));
}

/// Another reader's look may have ended just before the newest commit: what is shared then is not all there is.
#[tokio::test]
async fn a_commit_behind_what_is_shared_is_not_waited_for() {
    for store in stores() {
        let feed = Feed::new(Arc::clone(&store));
        let (mut slow, mut quick) = (feed.from_now(), feed.from_now());
        let first = commit(&*store, 1);
        assert_eq!(soon(slow.next()).await.unwrap().seq, first);
        assert_eq!(soon(quick.next()).await.unwrap().seq, first);
        // The quick one looks on, up to a commit that nobody is told of, and no further.
        let untold = silent(&*store, 1);
        let looked = async {
            while feed.inner.shared.lock().to < untold {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            commit = quick.next() => panic!("there is no change yet: {commit:?}"),
            () = soon(looked) => {}
        }
        let second = commit(&*store, 1);
        assert_eq!(soon(slow.next()).await.unwrap().seq, second);
        assert_eq!(soon(quick.next()).await.unwrap().seq, second);
    }
}

#[tokio::test]
async fn what_is_ready_is_had_without_waiting_and_nothing_is_skipped() {
    for store in stores() {
        let feed = Feed::new(Arc::clone(&store));
        let mut reader = feed.from_now();
        assert_eq!(reader.ready().await.unwrap(), None);
        let first = commit(&*store, 2);
        silent(&*store, 1);
        let second = commit(&*store, 1);
        let last = silent(&*store, 2);
        for seq in [first, second] {
            assert_eq!(reader.ready().await.unwrap().unwrap().seq, seq);
        }
        assert_eq!(reader.ready().await.unwrap(), None);
        assert_eq!(reader.position(), last);
        let third = commit(&*store, 1);
        assert_eq!(soon(reader.next()).await.unwrap().seq, third);
    }
}
