//! What is told of indexes: rebuilds, and trees that grow and shrink.

use std::collections::HashMap;
use std::sync::Arc;

use rustydb_contract::ServiceResult;
use rustydb_contract::stream::Subscription;
use rustydb_contract::topic::Topic;
use rustydb_contract_indexes::{
    BtreeMerge, BtreeSplit, IndexRebuildCompleted, IndexRebuildProgress, IndexRebuildStarted,
    IndexesIndexEventsEvent, IndexesIndexEventsInput,
};
use rustydb_kernel::kernel::TreeEvent;
use rustydb_runtime::Clock;
use rustydb_store::seam::SpaceId;
use rustydb_store::tables::BuildProgress;

use super::DataEngine;
use crate::taps::IndexFact;

/// Time between two events of one rebuild's progress, in microseconds.
const PROGRESS_EVERY_US: u64 = 100_000;
/// Trees whose names a subscriber remembers.
const NAMES_MAX: usize = 10_000;

impl DataEngine {
    pub(super) fn watch_indexes(
        &self,
        input: IndexesIndexEventsInput,
    ) -> Subscription<IndexesIndexEventsEvent> {
        let mut names = TreeNames {
            engine: self.clone(),
            known: HashMap::new(),
        };
        let wanted = move |database: &str, table: &String| {
            input.database.as_ref().is_none_or(|wanted| wanted == database)
                && input.tables.as_ref().is_none_or(|tables| tables.contains(table))
        };
        self.inner.taps.indexes.subscribe(move |fact| {
            let event = match fact {
                IndexFact::Rebuild(event) => event.clone(),
                IndexFact::Tree(event) => names.told(event)?,
            };
            let (database, table) = place(&event);
            wanted(database, table).then_some(event)
        })
    }
}

fn place(event: &IndexesIndexEventsEvent) -> (&String, &String) {
    use IndexesIndexEventsEvent as Event;
    match event {
        Event::IndexRebuildStarted(event) => (&event.database, &event.table_name),
        Event::IndexRebuildProgress(event) => (&event.database, &event.table_name),
        Event::IndexRebuildCompleted(event) => (&event.database, &event.table_name),
        Event::BtreeSplit(event) => (&event.database, &event.table_name),
        Event::BtreeMerge(event) => (&event.database, &event.table_name),
    }
}

/// Whose tree it is.
#[derive(Clone)]
struct TreeName {
    database: String,
    table: String,
    /// Of an index or a constraint; `None` of the table's rows.
    index: Option<String>,
}

/// Names of trees. A tree keeps its name for as long as it is there.
struct TreeNames {
    engine: DataEngine,
    /// `None` of trees that belong to no table, or to none that is there any more.
    known: HashMap<u64, Option<TreeName>>,
}

impl TreeNames {
    fn told(&mut self, event: &TreeEvent) -> Option<IndexesIndexEventsEvent> {
        let (TreeEvent::Split { owner, .. } | TreeEvent::Merge { owner, .. }) = event;
        let TreeName {
            database,
            table,
            index,
        } = self.of(*owner)?;
        Some(match event {
            TreeEvent::Split {
                page,
                to,
                level,
                cells_before,
                cells_after,
                ..
            } => IndexesIndexEventsEvent::BtreeSplit(BtreeSplit {
                database,
                table_name: table,
                index_name: index,
                node_id: page.to_number(),
                new_node_id: to.to_number(),
                level: (*level).into(),
                keys_before: (*cells_before).into(),
                keys_after: (*cells_after).into(),
            }),
            TreeEvent::Merge {
                page,
                from,
                level,
                cells_before,
                cells_after,
                ..
            } => IndexesIndexEventsEvent::BtreeMerge(BtreeMerge {
                database,
                table_name: table,
                index_name: index,
                node_id: page.to_number(),
                from_node_id: from.to_number(),
                level: (*level).into(),
                keys_before: (*cells_before).into(),
                keys_after: (*cells_after).into(),
            }),
        })
    }

    fn of(&mut self, space: u64) -> Option<TreeName> {
        if space < SpaceId::FIRST_USER.0 {
            return None;
        }
        if !self.known.contains_key(&space) {
            if self.known.len() >= NAMES_MAX {
                self.known.clear();
            }
            // What can't be read now has no name; who reads the table is told why.
            let found = self.look_for(space).ok().flatten();
            self.known.insert(space, found);
        }
        self.known.get(&space)?.clone()
    }

    fn look_for(&self, space: u64) -> ServiceResult<Option<TreeName>> {
        let reader = self.engine.newest()?;
        let failed = super::table_error;
        for database in reader.databases().map_err(failed)? {
            for table in reader.tables(&database.name).map_err(failed)? {
                let indexes = table.indexes.iter().map(|index| (index.space, &index.name));
                let constraints = table.unique.iter().map(|unique| (unique.space, &unique.name));
                let mut named = indexes.chain(constraints);
                let index = named.find(|(of, _)| of.0 == space).map(|(_, name)| name.clone());
                if index.is_some() || table.space.0 == space {
                    return Ok(Some(TreeName {
                        database: table.database.clone(),
                        table: table.name.clone(),
                        index,
                    }));
                }
            }
        }
        Ok(None)
    }
}

/// Tells of one rebuild as it goes on.
pub(super) struct RebuildTold {
    clock: Arc<dyn Clock>,
    topic: Arc<Topic<IndexFact>>,
    database: String,
    index: String,
    table: String,
    began_us: u64,
    told_us: u64,
}

impl RebuildTold {
    pub fn begin(engine: &DataEngine, database: &str, index: &str, table: &str, rows: u64) -> RebuildTold {
        let now_us = engine.inner.clock.now_mono_us();
        let told = RebuildTold {
            clock: Arc::clone(&engine.inner.clock),
            topic: Arc::clone(&engine.inner.taps.indexes),
            database: database.to_owned(),
            index: index.to_owned(),
            table: table.to_owned(),
            began_us: now_us,
            told_us: now_us,
        };
        told.publish(|told| {
            IndexesIndexEventsEvent::IndexRebuildStarted(IndexRebuildStarted {
                database: told.database.clone(),
                index_name: told.index.clone(),
                table_name: told.table.clone(),
                total_rows: rows,
            })
        });
        told
    }

    /// Rows may be added meanwhile: then the total is what was processed.
    pub fn progress(&mut self, progress: BuildProgress) {
        let now_us = self.clock.now_mono_us();
        let (rows, total) = (progress.rows, progress.rows_total.max(progress.rows));
        if rows == 0 || (rows < total && now_us - self.told_us < PROGRESS_EVERY_US) {
            return;
        }
        self.told_us = now_us;
        let elapsed_us = now_us - self.began_us;
        let remaining_us = u128::from(elapsed_us) * u128::from(total - rows) / u128::from(rows);
        self.publish(|told| {
            IndexesIndexEventsEvent::IndexRebuildProgress(IndexRebuildProgress {
                database: told.database.clone(),
                index_name: told.index.clone(),
                table_name: told.table.clone(),
                progress_percent: rows as f64 / total as f64 * 100.0,
                rows_processed: rows,
                total_rows: total,
                elapsed_ms: elapsed_us / 1_000,
                estimated_remaining_ms: Some((remaining_us / 1_000) as u64),
            })
        });
    }

    pub fn completed(self, entries: u64) {
        let elapsed_ms = (self.clock.now_mono_us() - self.began_us) / 1_000;
        self.publish(|told| {
            IndexesIndexEventsEvent::IndexRebuildCompleted(IndexRebuildCompleted {
                database: told.database.clone(),
                index_name: told.index.clone(),
                table_name: told.table.clone(),
                entries,
                elapsed_ms,
            })
        });
    }

    fn publish(&self, event: impl FnOnce(&RebuildTold) -> IndexesIndexEventsEvent) {
        self.topic.publish(|| IndexFact::Rebuild(event(self)));
    }
}
