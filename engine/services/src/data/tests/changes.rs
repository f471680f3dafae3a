//! A subscriber that is far behind is told so, is given every change all the same, and is told when it has them all.

use std::time::Duration;

use rustydb_contract::stream::{Body, Control, Subscription};
use rustydb_contract_database::{DatabaseTableChangesInput, TableRowChange};
use rustydb_store::seam::{SpaceId, Write, WriteBatch};
use serde_json::json;

use super::support::World;

/// A reader with more newer commits than this is behind.
const BEHIND_COMMITS: u64 = 1_000;

/// What came.
#[derive(Debug, PartialEq)]
enum Came {
    /// The row's number is now this.
    Number(u64),
    FellBehind(u64),
    CaughtUp,
}

use Came::{CaughtUp, FellBehind, Number};

/// A table of one row, whose number counts the commits.
async fn world() -> World {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, n bigint)")
        .await;
    world.sql("INSERT INTO t VALUES (1, 0)").await;
    world
}

async fn commit(world: &World, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        world
            .must(
                "database.update_row",
                json!({"name": "t", "id": "1", "values": {"n": n}}),
            )
            .await;
    }
}

/// A commit that no change log tells of, as sessions are kept.
fn commit_silently(world: &World) {
    let key = b"nobody's".to_vec();
    let write = Write {
        space: SpaceId::SESSIONS,
        key,
        expected: None,
        value: Some(Vec::new()),
    };
    let batch = WriteBatch {
        writes: vec![write],
        ..WriteBatch::default()
    };
    world.engine.inner.tables.store().commit(batch).unwrap();
}

async fn watch(world: &World, input: serde_json::Value) -> Subscription<TableRowChange> {
    let mut all = json!({"table": "t"});
    all.as_object_mut()
        .unwrap()
        .extend(input.as_object().unwrap().clone());
    let input: DatabaseTableChangesInput = serde_json::from_value(all).unwrap();
    world.engine.watch_table(input).await.unwrap()
}

/// The next that is told, positions apart.
async fn next(watching: &mut Subscription<TableRowChange>) -> Came {
    const WITHIN: Duration = Duration::from_secs(60);
    loop {
        let item = tokio::time::timeout(WITHIN, watching.next()).await;
        let item = item.expect("something is told").unwrap().unwrap();
        match item.body {
            Body::Control(Control::Bookmark) => {}
            Body::Control(Control::FellBehind { commits }) => return FellBehind(commits),
            Body::Control(Control::CaughtUp) => return CaughtUp,
            Body::Control(other) => panic!("{other:?}"),
            Body::Event(event) => {
                assert!(item.cursor.is_some());
                let event = serde_json::to_value(event).unwrap();
                return Number(event["row"]["data"]["n"].as_u64().unwrap());
            }
        }
    }
}

async fn expect(watching: &mut Subscription<TableRowChange>, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        assert_eq!(next(watching).await, Number(n));
    }
}

#[tokio::test]
async fn who_is_far_behind_is_told_and_has_every_change_in_order() {
    let world = world().await;
    let mut watching = watch(&world, json!({})).await;
    let all = BEHIND_COMMITS + 500;
    commit(&world, 1..=all).await;
    // The first is taken, and so many are newer.
    assert_eq!(next(&mut watching).await, FellBehind(all - 1));
    expect(&mut watching, 1..=200).await;
    // It is told once, however many come meanwhile.
    commit(&world, all + 1..=all + 100).await;
    expect(&mut watching, 201..=all + 100).await;
    assert_eq!(next(&mut watching).await, CaughtUp);
    // Who keeps pace is told nothing.
    for n in all + 101..all + 110 {
        commit(&world, [n]).await;
        expect(&mut watching, [n]).await;
    }
    // It may happen again.
    let from = all + 110;
    commit(&world, from..from + BEHIND_COMMITS + 2).await;
    assert_eq!(next(&mut watching).await, FellBehind(BEHIND_COMMITS + 1));
    expect(&mut watching, from..from + BEHIND_COMMITS + 2).await;
    assert_eq!(next(&mut watching).await, CaughtUp);
}

#[tokio::test]
async fn who_is_just_not_far_behind_is_told_of_changes_alone() {
    let world = world().await;
    let mut watching = watch(&world, json!({})).await;
    commit(&world, 1..=BEHIND_COMMITS + 1).await;
    expect(&mut watching, 1..=BEHIND_COMMITS + 1).await;
    commit(&world, [0]).await;
    expect(&mut watching, [0]).await;
}

/// The same where the subscription begins far behind.
#[tokio::test]
async fn who_goes_on_from_an_old_cursor_is_told_too() {
    let world = world().await;
    let watching = watch(&world, json!({})).await;
    let (cursor, _) = watching.into_parts();
    let all = BEHIND_COMMITS + 10;
    commit(&world, 1..=all).await;
    let mut watching = watch(&world, json!({"cursor": cursor})).await;
    assert_eq!(next(&mut watching).await, FellBehind(all - 1));
    expect(&mut watching, 1..=all).await;
    assert_eq!(next(&mut watching).await, CaughtUp);
}

/// What a filter leaves out is behind and caught up with like everything.
#[tokio::test]
async fn a_filter_hides_changes_but_not_that_one_is_behind() {
    let world = world().await;
    let few = json!({"where_clause": {"field": "n", "operator": "IN", "values": [700, 701]}});
    let mut watching = watch(&world, few).await;
    commit(&world, 1..=BEHIND_COMMITS + 10).await;
    assert_eq!(next(&mut watching).await, FellBehind(BEHIND_COMMITS + 9));
    // The one that left is told too.
    let mut told = Vec::new();
    loop {
        match next(&mut watching).await {
            Number(n) => told.push(n),
            CaughtUp => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(told.starts_with(&[700, 701]) && told.len() <= 3, "{told:?}");
}

/// Commits that are no change of any table stand in nobody's way to the end.
#[tokio::test]
async fn commits_without_changes_do_not_keep_a_reader_behind() {
    let world = world().await;
    let mut watching = watch(&world, json!({})).await;
    let all = BEHIND_COMMITS + 10;
    commit(&world, 1..=all).await;
    assert_eq!(next(&mut watching).await, FellBehind(all - 1));
    expect(&mut watching, 1..=10).await;
    // The log was read by now; this comes after its last change.
    commit_silently(&world);
    expect(&mut watching, 11..=all).await;
    assert_eq!(next(&mut watching).await, CaughtUp);
}
