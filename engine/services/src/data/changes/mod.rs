//! Views of committed changes: the change log read for one subscriber.
//!
//! [`subscribe`] fixes the position before it answers, so that no commit after the answer is missed. From then on a
//! [`Reading`] takes commits from the log one by one and hands their changes out one by one: of a commit of any size it
//! holds no more than the commit. What a view makes of a change is its [`Mapping`].

mod cursor;
mod definitions;
mod live;
mod rows;
mod views;

use std::collections::VecDeque;
use std::sync::Arc;

use futures::stream;
use rustydb_contract::stream::{Body, Control, Item, Subscription};
use rustydb_contract::{Cursor, ServiceResult, Timestamp};
use rustydb_store::error::StoreError;
use rustydb_store::feed::{Change, Commit, FeedReader};
use rustydb_store::seam::{CommitSeq, TableStore};
use rustydb_store::tables::TableError;

use self::cursor::{Cursors, Position, expired};
use super::DataEngine;
use super::errors::table_error;

/// A reader that is so many commits behind is told so.
const BEHIND_COMMITS: u64 = 1_000;

/// What a view makes of a change.
trait Mapping: Send + 'static {
    type Event: Send + 'static;

    /// The event that the change is; `None` when the subscriber did not ask for it.
    fn map(&mut self, commit: &Commit, change: &Change) -> ServiceResult<Option<Self::Event>>;
}

/// Where a subscription begins.
enum Start {
    /// With the next commit.
    Now,
    Behind(Cursor),
    /// Behind a state that was read.
    State(CommitSeq),
}

/// Reads the changes of a database for one subscriber.
fn subscribe<M: Mapping>(
    engine: &DataEngine,
    database: &str,
    start: Start,
    mapping: M,
) -> ServiceResult<Subscription<M::Event>> {
    let reading = Reading::begin(engine, database, start, mapping)?;
    let cursor = reading.cursors.cursor(reading.position);
    Ok(Subscription::new(Some(cursor), items(reading)))
}

fn items<M: Mapping>(
    reading: Reading<M>,
) -> impl futures::Stream<Item = ServiceResult<Item<M::Event>>> + Send + 'static {
    stream::unfold(Some(reading), async |reading| {
        let mut reading = reading?;
        match reading.next().await {
            Ok(item) => Some((Ok(item), Some(reading))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

struct Reading<M: Mapping> {
    store: Arc<dyn TableStore>,
    reader: FeedReader,
    cursors: Cursors,
    /// Where the subscription begins.
    position: Position,
    mapping: M,
    /// The commit being handed out, and how many of its changes are.
    commit: Option<(Arc<Commit>, usize)>,
    /// Told before the next change.
    told: VecDeque<Item<M::Event>>,
    is_behind: bool,
    /// When the newest of the commits that were taken was made.
    taken_at: Timestamp,
}

impl<M: Mapping> Reading<M> {
    fn begin(engine: &DataEngine, database: &str, start: Start, mapping: M) -> ServiceResult<Reading<M>> {
        let store = Arc::clone(engine.inner.tables.store());
        let extent = store.log_extent().map_err(failed)?;
        let cursors = Cursors::new(extent.epoch, database);
        let feed = &engine.inner.feed;
        let (reader, position) = match start {
            Start::Now => {
                let reader = feed.from_now();
                let position = Position::whole(reader.position());
                (reader, position)
            }
            Start::State(seq) => (feed.after(seq), Position::whole(seq)),
            Start::Behind(cursor) => {
                let position = cursors.position(&cursor, &extent)?;
                (feed.after(position.read_after()), position)
            }
        };
        Ok(Reading {
            store,
            reader,
            cursors,
            position,
            mapping,
            commit: None,
            told: VecDeque::new(),
            is_behind: false,
            taken_at: Timestamp::from_micros(engine.inner.clock.now_us()),
        })
    }

    /// The next item. Dropping the future loses nothing: a commit is taken and kept without waiting between the two.
    async fn next(&mut self) -> ServiceResult<Item<M::Event>> {
        loop {
            if let Some(item) = self.told.pop_front() {
                return Ok(item);
            }
            match self.commit.take() {
                Some((commit, done)) => {
                    if let Some(item) = self.change(commit, done)? {
                        return Ok(item);
                    }
                }
                None if self.is_behind => match self.reader.ready().await.map_err(failed)? {
                    Some(commit) => self.take(commit),
                    None => {
                        self.is_behind = false;
                        self.tell(Control::CaughtUp);
                    }
                },
                None => {
                    let commit = self.reader.next().await.map_err(failed)?;
                    self.take(commit);
                }
            }
        }
    }

    /// Goes on in a commit, up to its next event or to its end.
    fn change(&mut self, commit: Arc<Commit>, done: usize) -> ServiceResult<Option<Item<M::Event>>> {
        let at = Timestamp::from_micros(commit.committed_at_us);
        let seen = match self.position {
            Position {
                commit: seq,
                index: Some(index),
            } if seq == commit.seq => Some(index),
            _ => None,
        };
        for (done, (index, change)) in commit.changes.iter().enumerate().skip(done) {
            if seen.is_some_and(|seen| *index <= seen) {
                continue;
            }
            let Some(event) = self.mapping.map(&commit, change)? else {
                continue;
            };
            let last = done + 1 == commit.changes.len();
            let position = Position {
                commit: commit.seq,
                index: (!last).then_some(*index),
            };
            let cursor = Some(self.cursors.cursor(position));
            if !last {
                self.commit = Some((Arc::clone(&commit), done + 1));
            }
            return Ok(Some(Item {
                at,
                cursor,
                body: Body::Event(event),
            }));
        }
        let cursor = Some(self.cursors.cursor(Position::whole(commit.seq)));
        let body = Body::Control(Control::Bookmark);
        Ok(Some(Item { at, cursor, body }))
    }

    /// Begins to hand out a commit. Whether the reader is behind is known by those that are newer.
    fn take(&mut self, commit: Arc<Commit>) {
        self.taken_at = Timestamp::from_micros(commit.committed_at_us);
        let newest = *self.store.commits().borrow();
        let commits = newest.0.saturating_sub(commit.seq.0);
        self.commit = Some((commit, 0));
        if !self.is_behind && commits > BEHIND_COMMITS {
            self.is_behind = true;
            self.tell(Control::FellBehind { commits });
        }
    }

    fn tell(&mut self, control: Control) {
        self.told.push_back(Item {
            at: self.taken_at,
            cursor: None,
            body: Body::Control(control),
        });
    }
}

fn failed(error: StoreError) -> rustydb_contract::ServiceError {
    match error {
        StoreError::LogTrimmed { .. } => expired("changes that were not read yet are no longer kept"),
        other => table_error(TableError::Store(other)),
    }
}
