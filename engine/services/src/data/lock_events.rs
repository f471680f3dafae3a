//! What is told of locks: granted, waited for, made stronger, let go.
//!
//! The lock manager tells in the middle of its work, and only while somebody watches. What is passed on holds numbers; the
//! names behind them are found by each subscriber, on its own time.

use std::collections::HashMap;
use std::sync::Arc;

use rustydb_contract::Id64;
use rustydb_contract::stream::Subscription;
use rustydb_contract::topic::Topic;
use rustydb_contract_transactions::{
    LockAcquired, LockEscalated, LockEvent, LockEventType, LockReleased, LockResource, LockTimeout, LockType,
    LockUpgraded, LockWait, LockWaitEnd, LockWaitStart, TransactionsLockActivityEvent as Told,
    TransactionsLockActivityInput, TransactionsLockEventsInput,
};
use rustydb_kernel::locks::{
    Blocker, CancelReason, LockEvent as Fact, LockEvents, LockFacts, LockId, LockMode as Mode, Locks,
    OwnerId, Resource,
};
use rustydb_store::seam::CommitSeq;
use rustydb_store::tables::{Place, Places, Result, RowPlace, Tables};

use super::DataEngine;
use super::locks::{blocker, resource_of};
use crate::listeners::Listeners;

/// Waits whose beginnings a subscriber remembers. More wait only where ends were lost.
const WAITS_MAX: usize = 100_000;

/// Who watches locks.
pub(super) struct LockWatch {
    facts: Arc<Topic<Fact>>,
    listeners: Arc<Listeners>,
}

struct Tap(Arc<Topic<Fact>>);

impl LockEvents for Tap {
    fn event(&self, event: Fact) {
        match event {
            // Deadlocks are told by their log, and who is subsumed by `Escalated`.
            Fact::DeadlockDetected(_) | Fact::Subsumed(_) => {}
            event => self.0.publish(|| event),
        }
    }
}

impl LockWatch {
    pub fn new(locks: &Locks) -> LockWatch {
        let facts = Topic::new();
        let (told, locks) = (Arc::clone(&facts), locks.clone());
        let listeners = Listeners::new(move |listens| {
            let tap = || -> Arc<dyn LockEvents> { Arc::new(Tap(Arc::clone(&told))) };
            locks.listen(listens.then(tap));
        });
        LockWatch { facts, listeners }
    }

    /// What `choose` makes of each fact from now on.
    fn subscribe<V: Send + 'static>(
        &self,
        mut choose: impl FnMut(&Fact) -> Option<V> + Send + 'static,
    ) -> Subscription<V> {
        let listening = self.listeners.join();
        self.facts.subscribe(move |fact| {
            // The locks are listened to for as long as this is.
            let _ = &listening;
            choose(fact)
        })
    }

    #[cfg(test)]
    pub fn is_idle(&self) -> bool {
        self.listeners.count() == 0
    }
}

impl DataEngine {
    pub(super) fn watch_locks(&self, input: TransactionsLockActivityInput) -> Subscription<Told> {
        let mut names = Names::new(&self.inner.tables);
        let TransactionsLockActivityInput {
            database,
            table_filter,
            ..
        } = input;
        self.inner.lock_watch.subscribe(move |fact| {
            let lock = names.named(facts(fact)?);
            let here = database.is_none() || lock.resource.database == database;
            (here && lock.is_of(table_filter.as_ref()))
                .then(|| lock.told(fact))
                .flatten()
        })
    }

    pub(super) fn watch_lock_events(&self, input: TransactionsLockEventsInput) -> Subscription<LockEvent> {
        let mut names = Names::new(&self.inner.tables);
        let TransactionsLockEventsInput {
            table_filter,
            event_types,
            ..
        } = input;
        self.inner.lock_watch.subscribe(move |fact| {
            let (event_type, wait_us) = in_one_form(fact)?;
            if event_types
                .as_ref()
                .is_some_and(|wanted| !wanted.contains(&event_type))
            {
                return None;
            }
            let lock = names.named(facts(fact)?);
            if !lock.is_of(table_filter.as_ref()) {
                return None;
            }
            Some(LockEvent {
                granted: event_type == LockEventType::Acquired,
                event_type,
                lock_id: lock.lock_id,
                transaction_id: lock.transaction_id,
                lock_type: lock.lock_type,
                lock_mode: lock.resource.kind,
                resource: lock.text,
                table_name: lock.resource.table,
                wait_time_ms: wait_us.map(|us| us / 1_000),
            })
        })
    }

    pub(super) fn watch_lock_waits(&self) -> Subscription<LockWait> {
        let mut names = Names::new(&self.inner.tables);
        let mut waits: HashMap<LockId, OwnerId> = HashMap::new();
        self.inner.lock_watch.subscribe(move |fact| {
            let (lock, blocking, waiting) = match fact {
                Fact::WaitStart { lock, blockers } => {
                    if waits.len() >= WAITS_MAX {
                        waits.clear();
                    }
                    let first = blockers.first()?.owner;
                    waits.insert(lock.lock_id, first);
                    (lock, first, true)
                }
                Fact::WaitEnd(lock) | Fact::Cancelled { lock, .. } | Fact::VictimSelected { lock, .. } => {
                    (lock, waits.remove(&lock.lock_id)?, false)
                }
                _ => return None,
            };
            Some(LockWait {
                transaction_id: Id64(lock.owner.0),
                blocking_transaction_id: Id64(blocking.0),
                resource: names.named(lock).text,
                waiting,
                wait_time_ms: lock.wait_us / 1_000,
            })
        })
    }
}

/// What the fact is of.
fn facts(fact: &Fact) -> Option<&LockFacts> {
    match fact {
        Fact::Acquired(lock)
        | Fact::Released(lock)
        | Fact::Subsumed(lock)
        | Fact::WaitEnd(lock)
        | Fact::WaitStart { lock, .. }
        | Fact::Cancelled { lock, .. }
        | Fact::Upgraded { lock, .. }
        | Fact::Escalated { lock, .. }
        | Fact::VictimSelected { lock, .. } => Some(lock),
        _ => None,
    }
}

/// What `transactions.lock_events` calls the fact, and the wait that it tells of.
fn in_one_form(fact: &Fact) -> Option<(LockEventType, Option<u64>)> {
    Some(match fact {
        Fact::Acquired(lock) | Fact::Upgraded { lock, .. } => (LockEventType::Acquired, Some(lock.wait_us)),
        Fact::Released(_) => (LockEventType::Released, None),
        Fact::WaitStart { .. } => (LockEventType::Waiting, None),
        Fact::Cancelled {
            lock,
            reason: CancelReason::TimedOut,
        } => (LockEventType::Timeout, Some(lock.wait_us)),
        Fact::VictimSelected { lock, .. } => (LockEventType::Deadlock, Some(lock.wait_us)),
        _ => return None,
    })
}

/// A lock in the contract's terms.
struct Named {
    lock_id: Id64,
    transaction_id: Id64,
    lock_type: LockType,
    resource: LockResource,
    text: String,
    wait_ms: u64,
}

impl Named {
    fn is_of(&self, tables: Option<&Vec<String>>) -> bool {
        let table = self.resource.table.as_ref();
        tables.is_none_or(|tables| table.is_some_and(|table| tables.contains(table)))
    }

    /// As `transactions.lock_activity` tells it.
    fn told(self, fact: &Fact) -> Option<Told> {
        /// Fills in what all events of locks have.
        macro_rules! told {
            ($event:ident, $granted:expr $(, $field:ident: $value:expr)*) => {
                Told::$event($event {
                    lock_id: self.lock_id,
                    transaction_id: self.transaction_id,
                    lock_type: self.lock_type,
                    lock_mode: self.resource.kind,
                    resource: self.text,
                    database: self.resource.database,
                    table_name: self.resource.table,
                    row_id: self.resource.row_id,
                    granted: $granted,
                    $($field: $value,)*
                })
            };
        }
        let wait_time_ms = self.wait_ms;
        Some(match fact {
            Fact::Acquired(_) => told!(LockAcquired, true, wait_time_ms: wait_time_ms),
            Fact::Released(_) => told!(LockReleased, false),
            Fact::WaitStart { blockers, .. } => {
                let blocked_by = blockers.iter().map(|told: &Blocker| blocker(told)).collect();
                told!(LockWaitStart, false, blocked_by: blocked_by)
            }
            Fact::WaitEnd(_) => told!(LockWaitEnd, true, wait_time_ms: wait_time_ms),
            Fact::Cancelled {
                reason: CancelReason::TimedOut,
                ..
            } => told!(LockTimeout, false, wait_time_ms: wait_time_ms),
            Fact::Cancelled { .. } | Fact::VictimSelected { .. } => {
                told!(LockWaitEnd, false, wait_time_ms: wait_time_ms)
            }
            Fact::Upgraded { from, .. } => {
                told!(LockUpgraded, true, from_type: type_of(*from), wait_time_ms: wait_time_ms)
            }
            Fact::Escalated { rows, .. } => told!(LockEscalated, true, rows: *rows),
            _ => return None,
        })
    }
}

/// Finds names. Nothing that has a number is renamed, so that names which are known stay right.
struct Names {
    tables: Tables,
    /// As of a commit.
    known: Option<(CommitSeq, Places)>,
}

impl Names {
    fn new(tables: &Tables) -> Names {
        Names {
            tables: tables.clone(),
            known: None,
        }
    }

    fn named(&mut self, lock: &LockFacts) -> Named {
        let resource = resource_of(&self.place(&lock.resource));
        Named {
            lock_id: Id64(lock.lock_id.0),
            transaction_id: Id64(lock.owner.0),
            lock_type: type_of(lock.mode),
            text: text(&resource),
            resource,
            wait_ms: lock.wait_us / 1_000,
        }
    }

    fn place(&mut self, resource: &Resource) -> Place {
        let place = self.known.as_ref().map(|(_, places)| places.place(resource));
        match place {
            Some(place) if is_known(&place) => place,
            place => {
                if let Err(error) = self.look_up() {
                    tracing::error!(%error, "names of locked tables can't be read");
                }
                match &self.known {
                    Some((_, places)) => places.place(resource),
                    None => place.unwrap_or_else(|| nameless(resource)),
                }
            }
        }
    }

    /// Reads what was committed since.
    fn look_up(&mut self) -> Result<()> {
        let newest = self.tables.begin_read_only()?;
        let seq = newest.snapshot_seq();
        if self.known.as_ref().is_none_or(|(known, _)| *known < seq) {
            self.known = Some((seq, Places::of(&newest.reader())?));
        }
        Ok(())
    }
}

fn is_known(place: &Place) -> bool {
    match place {
        Place::Named { .. } => true,
        Place::Table { table } => table.is_some(),
        Place::Row { table, of } => table.is_some() && *of != RowPlace::Unknown,
    }
}

fn nameless(resource: &Resource) -> Place {
    match resource {
        Resource::Named(name) => Place::Named {
            name: name.to_string(),
        },
        Resource::Table(_) => Place::Table { table: None },
        Resource::Row { .. } => Place::Row {
            table: None,
            of: RowPlace::Unknown,
        },
    }
}

/// See `LockedName` of the contract.
fn text(resource: &LockResource) -> String {
    if let Some(name) = &resource.name {
        return name.clone();
    }
    let mut text = match (&resource.database, &resource.table) {
        (Some(database), Some(table)) => format!("{database}.{table}"),
        _ => "?".to_owned(),
    };
    if let Some(part) = resource.row_id.as_ref().or(resource.constraint.as_ref()) {
        text.push('/');
        text.push_str(part);
    }
    text
}

fn type_of(mode: Mode) -> LockType {
    match mode {
        Mode::IS => LockType::IntentionShared,
        Mode::IX => LockType::IntentionExclusive,
        Mode::S => LockType::Shared,
        Mode::SIX => LockType::SharedIntentionExclusive,
        Mode::X => LockType::Exclusive,
    }
}
