//! Live queries: a result that is read once and told anew whenever a commit changed it.
//!
//! A result that can be kept in memory is changed by the row images of each commit. Any other is read again, at most once
//! in an interval, and only when a commit changed a row that it is about. Whichever way a live query follows its table,
//! it reads nothing while nothing concerns it.

mod aggregates;
mod rows;
mod views;

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use rustydb_contract::stream::{Item, Subscription};
use rustydb_contract::{CallContext, ServiceResult, Timestamp, async_trait};
use rustydb_sql::rows::RowFilter;
use rustydb_store::error::StoreError;
use rustydb_store::feed::{Change, Commit, FeedReader};
use rustydb_store::tables::{TableError, TxnReader};
use rustydb_store::types::{ObjectId, TableDef};
use tokio::time::{Sleep, sleep};

use super::failed;
use super::rows::{Changed, RowWatch, Tables};
use crate::data::DataEngine;
use crate::data::definitions::table;
use crate::data::errors::{declared, table_error};

/// Commits that follow within this time of the first that is not told yet are told together with it.
const GATHER: Duration = Duration::from_millis(5);

/// Changes of a commit that are looked at before others on the thread have their turn.
const CHANGES_AT_ONCE: usize = 256;

/// What is asked of a table.
#[async_trait]
trait Question: Send + Sync + 'static {
    type Event: Clone + PartialEq + Send + Sync;
    /// A result that follows the changes.
    type Kept: Send;

    /// Reads the result, and what keeps it from then on; `None` when it can't be kept.
    async fn read(
        &self,
        engine: &DataEngine,
        reader: &TxnReader,
        table: &Arc<TableDef>,
    ) -> ServiceResult<(Self::Event, Option<Self::Kept>)>;

    /// Takes a changed row in; `false` when the result can't be kept any longer.
    fn take(&self, kept: &mut Self::Kept, changed: &Changed) -> ServiceResult<bool>;

    /// The result as it is kept; `None` when it has outgrown its type, which a read answers as the engine does.
    fn event(&self, kept: &Self::Kept) -> Option<Self::Event>;
}

/// Least times between two events.
struct Pace {
    maintained: Duration,
    polled: Duration,
}

impl Pace {
    fn of(&self, is_polled: bool) -> Duration {
        if is_polled { self.polled } else { self.maintained }
    }
}

struct Live<Q: Question> {
    engine: DataEngine,
    database: String,
    table: String,
    /// Another table of the same name is another one.
    table_id: ObjectId,
    question: Q,
    pace: Pace,
    watch: RowWatch,
    reader: FeedReader,
    kept: Option<Q::Kept>,
    /// How the newest event was found.
    is_polled: bool,
    told: Q::Event,
    /// Ends when the result may be told or read again.
    rest: Pin<Box<Sleep>>,
    /// Runs since the first change that the told result has not.
    gather: Option<Pin<Box<Sleep>>>,
}

/// Answers once the present result is known: it is the first event.
async fn live<Q: Question>(
    engine: &DataEngine,
    context: &CallContext,
    database: String,
    name: String,
    filter: Option<RowFilter>,
    question: Q,
    pace: Pace,
) -> ServiceResult<Subscription<Q::Event>> {
    let watch = RowWatch::new(
        engine,
        database.clone(),
        Tables::Named(vec![name.clone()]),
        filter,
    );
    let now = read(engine, &database, &name, &question).await?;
    watch.check(&now.table)?;
    let live = Live {
        engine: engine.clone(),
        database,
        table: name,
        table_id: now.table.id,
        question,
        watch,
        reader: now.reader,
        rest: Box::pin(sleep(pace.of(now.kept.is_none()))),
        pace,
        is_polled: now.kept.is_none(),
        kept: now.kept,
        told: now.event.clone(),
        gather: None,
    };
    let declared = declared(context);
    let items = stream::unfold((Some(now.event), Some(live)), async |(first, live)| {
        let mut live = live?;
        let event = match first {
            Some(first) => Ok(first),
            None => live.next().await,
        };
        Some(match event {
            Ok(event) => (Ok(Item::event(Timestamp::now(), event)), (None, Some(live))),
            Err(error) => (Err(error), (None, None)),
        })
    });
    Ok(Subscription::new(
        None,
        items.map(move |item| item.map_err(&declared)),
    ))
}

/// When a changed result is to be looked at; never while nothing changed.
async fn due(gather: &mut Option<Pin<Box<Sleep>>>, rest: &mut Pin<Box<Sleep>>) {
    match gather {
        Some(gather) => {
            gather.as_mut().await;
            rest.as_mut().await;
        }
        None => pending().await,
    }
}

/// A result, and where the changes after it begin.
struct Read<Q: Question> {
    table: Arc<TableDef>,
    reader: FeedReader,
    event: Q::Event,
    kept: Option<Q::Kept>,
}

async fn read<Q: Question>(
    engine: &DataEngine,
    database: &str,
    name: &str,
    question: &Q,
) -> ServiceResult<Read<Q>> {
    let txn = engine.inner.tables.begin_read_only().map_err(table_error)?;
    let reader = txn.reader();
    let table = table(&reader, database, name)?;
    let (event, kept) = question.read(engine, &reader, &table).await?;
    Ok(Read {
        table,
        reader: engine.inner.feed.after(reader.snapshot_seq()),
        event,
        kept,
    })
}

impl<Q: Question> Live<Q> {
    /// The next result that differs from the one told last.
    async fn next(&mut self) -> ServiceResult<Q::Event> {
        loop {
            let commit = tokio::select! {
                biased;
                () = due(&mut self.gather, &mut self.rest) => {
                    let event = self.renewed().await?;
                    if event != self.told {
                        self.told = event.clone();
                        return Ok(event);
                    }
                    continue;
                }
                commit = self.reader.next() => commit,
            };
            match commit {
                Ok(commit) => self.take(&commit).await?,
                // It is told by what is there now instead.
                Err(StoreError::LogTrimmed { .. }) => {
                    self.kept = None;
                    self.renew_reader()?;
                    self.changed();
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    fn changed(&mut self) {
        self.gather.get_or_insert_with(|| Box::pin(sleep(GATHER)));
    }

    async fn take(&mut self, commit: &Commit) -> ServiceResult<()> {
        for (at, (_, change)) in commit.changes.iter().enumerate() {
            if at % CHANGES_AT_ONCE == CHANGES_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            self.watch.still_there(change)?;
            match change {
                // It is to be read again anyway.
                Change::Row(_) if self.kept.is_none() && self.gather.is_some() => {}
                Change::Row(row) => {
                    let Some(changed) = self.watch.changed(row)? else {
                        continue;
                    };
                    self.changed();
                    if let Some(kept) = &mut self.kept
                        && !self.question.take(kept, &changed)?
                    {
                        self.kept = None;
                    }
                }
                Change::Definition { .. } if self.watch.is_redefined(change) => {
                    self.kept = None;
                    self.changed();
                }
                Change::Definition { .. } => {}
            }
        }
        Ok(())
    }

    async fn renewed(&mut self) -> ServiceResult<Q::Event> {
        self.gather = None;
        let kept = self.kept.as_ref().and_then(|kept| self.question.event(kept));
        let event = match kept {
            Some(event) => event,
            None => {
                let now = read(&self.engine, &self.database, &self.table, &self.question).await?;
                if now.table.id != self.table_id {
                    return Err(table_error(TableError::TableNotFound {
                        database: self.database.clone(),
                        name: self.table.clone(),
                    }));
                }
                self.reader = now.reader;
                self.kept = now.kept;
                self.is_polled = self.kept.is_none();
                now.event
            }
        };
        self.rest = Box::pin(sleep(self.pace.of(self.is_polled)));
        Ok(event)
    }

    /// Goes on behind the present state, which is about to be read.
    fn renew_reader(&mut self) -> ServiceResult<()> {
        let txn = self.engine.inner.tables.begin_read_only().map_err(table_error)?;
        self.reader = self.engine.inner.feed.after(txn.reader().snapshot_seq());
        Ok(())
    }
}
