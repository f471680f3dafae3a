//! What is done without a call.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustydb_runtime::ManualClock;
use rustydb_store::retention::AGE_US_DEFAULT;
use rustydb_store::seam::{CommitSeq, TableStore};
use rustydb_store::testing::kernel_store;

use super::support::{START_US, World};

#[tokio::test]
async fn changes_older_than_a_day_leave_the_change_log() {
    let clock = Arc::new(ManualClock::new(START_US));
    let store = Arc::new(kernel_store(clock.clone()));
    let world = World::on(Arc::clone(&store), clock);
    world.sql("CREATE TABLE t (id bigint PRIMARY KEY)").await;
    let commits_after = |after: CommitSeq| -> Vec<CommitSeq> {
        let entries = store.log_after(after, usize::MAX).unwrap();
        let commits: BTreeSet<CommitSeq> = entries.iter().map(|entry| entry.commit).collect();
        commits.into_iter().collect()
    };
    let old = commits_after(CommitSeq(0));
    world.clock.advance_us(AGE_US_DEFAULT + 1);
    world.sql("INSERT INTO t VALUES (1)").await;
    let young = commits_after(old[old.len() - 1]);
    assert_eq!((old.len(), young.len()), (1, 1));

    let mut announced = store.commits();
    let trimmed = async {
        while store.log_extent().unwrap().trimmed_to < old[0] {
            announced.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), trimmed)
        .await
        .expect("it is looked for old changes");
    assert_eq!(commits_after(old[0]), young);
}
