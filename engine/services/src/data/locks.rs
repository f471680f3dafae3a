//! Locks and deadlocks of transactions: looked at, taken and released.

use std::sync::Arc;

use rustydb_contract::{CallContext, Cursor, Empty, Id64, ServiceError, ServiceResult, Timestamp};
use rustydb_contract_transactions::errors::{LOCK_IN_USE, LOCK_NOT_FOUND};
use rustydb_contract_transactions::{
    DeadlockDetected, DeadlockEdge, DeadlockList, FoundDeadlocks, Lock, LockBlocker, LockGraph,
    LockGraphEdge, LockGraphNode, LockKind, LockList, LockMode, LockResource, LockWaiter, LockWaiterList,
    ReleasedLocks, ResolutionStrategy, TransactionsAcquireLockInput, TransactionsListDeadlocksInput,
    TransactionsListLockHoldersInput, TransactionsListLockWaitersInput, TransactionsListLocksInput,
    TransactionsReleaseAllLocksInput, TransactionsReleaseLockInput, TransactionsUpgradeLockInput,
};
use rustydb_kernel::locks::{Blocker, LockId, LockInfo, LockMode as Mode, LockState, Locks, Resource};
use rustydb_store::locking::TxnLocks;
use rustydb_store::tables::{MAIN_DATABASE, Place as LockPlace, Places, RowPlace, TableError, Txn};
use rustydb_store::transactions::{DeadlockMember, DeadlockRecord, TxnLease, mode_name};

use super::DataEngine;
use super::definitions::table;
use super::errors::{invalid_argument, table_error};
use super::reads::row_not_found;
use super::scope::{Access, Place, Scope};
use super::transactions::number_after;
use super::values::row_key;
use crate::identity::blocking::blocking;
use crate::identity::paging;

/// Names of the lists in cursors.
const LOCKS: &str = "locks";
const HOLDERS: &str = "holders of a lock";
const WAITERS: &str = "waiters for locks";
const DEADLOCKS: &str = "deadlocks";
/// Locks that are shown of one transaction.
const LOCKS_SHOWN_MAX: usize = 1_000;

/// Turns what the kernel says of locks into what the contract says.
struct Shown<'e> {
    engine: &'e DataEngine,
    places: Places,
}

impl DataEngine {
    fn lock_table(&self) -> &Locks {
        self.inner.tables.locks().locks()
    }

    fn lock_names(&self) -> ServiceResult<Shown<'_>> {
        let reader = self.inner.tables.begin_read_only().map_err(table_error)?.reader();
        Ok(Shown {
            engine: self,
            places: Places::of(&reader).map_err(table_error)?,
        })
    }

    /// Locks that a transaction holds or waits for.
    pub(super) fn locks_of(&self, transaction: u64) -> ServiceResult<Vec<Lock>> {
        let mut locks = self.lock_table().list();
        locks.retain(|lock| lock.owner.0 == transaction);
        locks.truncate(LOCKS_SHOWN_MAX);
        let shown = self.lock_names()?;
        Ok(locks.iter().map(|lock| shown.lock(lock)).collect())
    }

    pub(super) fn all_locks(&self, input: TransactionsListLocksInput) -> ServiceResult<LockList> {
        let mut locks = self.lock_table().list();
        if let Some(transaction) = input.of_transaction {
            locks.retain(|lock| lock.owner.0 == transaction.0);
        }
        self.lock_page(locks, LOCKS, input.limit, input.after)
    }

    /// A page of locks, which are in the order of their numbers.
    fn lock_page(
        &self,
        mut locks: Vec<LockInfo>,
        list: &str,
        limit: Option<u32>,
        after: Option<Cursor>,
    ) -> ServiceResult<LockList> {
        let items_max = paging::page_items(limit);
        let after = number_after(list, after)?;
        locks.retain(|lock| after.is_none_or(|after| lock.lock_id.0 > after));
        // A request for a stronger mode has the number of its lock, so that a page does not end between the two.
        let more = locks.len() > items_max;
        if more {
            let last = locks[items_max - 1].lock_id;
            let end = locks.iter().rposition(|lock| lock.lock_id == last);
            locks.truncate(end.map_or(items_max, |end| end + 1));
        }
        let next = locks.last().filter(|_| more);
        let next = next.map(|last| paging::cursor(list, &last.lock_id.0.to_string()));
        let shown = self.lock_names()?;
        Ok(LockList {
            locks: locks.iter().map(|lock| shown.lock(lock)).collect(),
            next,
        })
    }

    pub(super) fn lock_waiters(
        &self,
        input: TransactionsListLockWaitersInput,
    ) -> ServiceResult<LockWaiterList> {
        let items_max = paging::page_items(input.limit);
        let after = number_after(WAITERS, input.after)?;
        let mut waiters = self.lock_table().waiters();
        waiters.sort_by_key(|waiter| waiter.lock_id);
        waiters.retain(|waiter| after.is_none_or(|after| waiter.lock_id.0 > after));
        let more = waiters.len() > items_max;
        waiters.truncate(items_max);
        let next = waiters.last().filter(|_| more);
        let next = next.map(|last| paging::cursor(WAITERS, &last.lock_id.0.to_string()));
        let shown = self.lock_names()?;
        let waiters = waiters.into_iter().map(|waiter| {
            let activity = self.inner.tables.locks().activity(waiter.owner.0);
            let (username, statement) = match activity {
                None => (None, None),
                Some(activity) => (Some(activity.username), Some(activity.statement)),
            };
            LockWaiter {
                lock_id: Id64(waiter.lock_id.0),
                transaction_id: Id64(waiter.owner.0),
                username,
                resource: shown.resource(&waiter.resource),
                mode: mode_of(waiter.mode),
                wait_ms: waiter.wait_us as f64 / 1_000.0,
                statement,
                blocked_by: waiter.blockers.iter().map(blocker).collect(),
            }
        });
        Ok(LockWaiterList {
            waiters: waiters.collect(),
            next,
        })
    }

    pub(super) fn lock_graph(&self) -> ServiceResult<LockGraph> {
        let graph = self.lock_table().graph();
        let shown = self.lock_names()?;
        let nodes = graph.nodes.iter().map(|node| LockGraphNode {
            transaction_id: Id64(node.owner.0),
            username: self.username(node.owner.0),
            waiting: node.waits,
            in_cycle: node.cycle.is_some(),
        });
        let edges = graph.edges.iter().map(|edge| LockGraphEdge {
            waiter: Id64(edge.waiter.0),
            blocker: Id64(edge.blocker.owner.0),
            lock_id: Id64(edge.lock_id.0),
            resource: shown.resource(&edge.resource),
            mode: mode_of(edge.mode),
            in_cycle: edge.in_cycle,
        });
        Ok(LockGraph {
            nodes: nodes.collect(),
            edges: edges.collect(),
        })
    }

    pub(super) fn lock_holders(&self, input: TransactionsListLockHoldersInput) -> ServiceResult<LockList> {
        let database = input.database.unwrap_or_else(|| MAIN_DATABASE.to_owned());
        self.require_database(&database)?;
        let reader = self.inner.tables.begin_read_only().map_err(table_error)?.reader();
        let resource = match wanted(
            input.table.as_deref(),
            input.row_id.as_deref(),
            input.name.as_deref(),
        )? {
            Wanted::Named(name) => Resource::named(name),
            Wanted::Table(name) => Resource::Table(table(&reader, &database, name)?.id.0),
            Wanted::Row(name, id) => {
                let table = table(&reader, &database, name)?;
                Resource::row(table.id.0, table.space.0, &row_key(&table, id)?.0)
            }
        };
        self.lock_page(
            self.lock_table().holders(&resource),
            HOLDERS,
            input.limit,
            input.after,
        )
    }

    pub(super) async fn acquired_lock(
        &self,
        context: &CallContext,
        input: TransactionsAcquireLockInput,
    ) -> ServiceResult<Lock> {
        if let Some(database) = &input.database {
            self.require_database(database)?;
        }
        let place = Place::new(input.database.clone(), Some(input.id));
        let mode = kernel_mode(&input.mode)?;
        let what = wanted(
            input.table.as_deref(),
            input.row_id.as_deref(),
            input.name.as_deref(),
        )?;
        if !matches!(what, Wanted::Table(_)) && !matches!(mode, Mode::S | Mode::X) {
            let message = format!("mode: {mode} is for tables; lock a row or a name in S or X");
            return Err(invalid_argument("mode", message));
        }
        let no_wait = input.no_wait.unwrap_or(false);
        let what = &what;
        self.answer(context, &place, Access::Read, |mut scope| async move {
            let resource = take(&mut scope, what, mode, no_wait)?;
            let id = scope.locks().map_or(0, |locks| locks.id());
            let lock = self.held(id, &resource)?;
            Ok((scope, lock))
        })
        .await
    }

    pub(super) async fn upgraded_lock(
        &self,
        context: &CallContext,
        input: TransactionsUpgradeLockInput,
    ) -> ServiceResult<Lock> {
        let mode = kernel_mode(&input.mode)?;
        let (transaction, resource) = self.own_lock(context, input.id)?;
        if !matches!(resource, Resource::Table(_)) && !matches!(mode, Mode::S | Mode::X) {
            let message = format!("mode: {mode} is for tables; lock a row or a name in S or X");
            return Err(invalid_argument("mode", message));
        }
        let place = Place::new(None, Some(Id64(transaction)));
        let no_wait = input.no_wait.unwrap_or(false);
        let resource = &resource;
        self.answer(context, &place, Access::Read, |scope| async move {
            if let Some(locks) = scope.locks() {
                with_wait(locks, no_wait, || locks.take(resource.clone(), mode).map(drop))
                    .map_err(table_error)?;
            }
            let lock = self.held(transaction, resource)?;
            Ok((scope, lock))
        })
        .await
    }

    pub(super) async fn released_lock(
        &self,
        context: &CallContext,
        input: TransactionsReleaseLockInput,
    ) -> ServiceResult<Empty> {
        let (transaction, resource) = self.own_lock(context, input.id)?;
        let lease = self.lease(context, Id64(transaction)).await?;
        if protects(&lease, &resource) {
            let message = format!(
                "lock {} protects changes of transaction {transaction}; it ends with the transaction",
                input.id
            );
            return Err(ServiceError::new(&LOCK_IN_USE, message));
        }
        if let Some(locks) = lease.locks() {
            locks.release(LockId(input.id.0)).map_err(table_error)?;
        }
        Ok(Empty {})
    }

    pub(super) async fn released_locks(
        &self,
        context: &CallContext,
        input: TransactionsReleaseAllLocksInput,
    ) -> ServiceResult<ReleasedLocks> {
        let lease = self.lease(context, input.transaction_id).await?;
        let (mut released, mut kept) = (0, 0);
        if let Some(locks) = lease.locks() {
            for (lock_id, resource, _) in locks.owner().locks() {
                if protects(&lease, &resource) {
                    kept += 1;
                } else {
                    locks.release(lock_id).map_err(table_error)?;
                    released += 1;
                }
            }
        }
        Ok(ReleasedLocks { released, kept })
    }

    pub(super) fn known_deadlocks(
        &self,
        input: TransactionsListDeadlocksInput,
    ) -> ServiceResult<DeadlockList> {
        let items_max = paging::page_items(input.limit);
        let after = number_after(DEADLOCKS, input.after)?;
        let mut records = self.inner.deadlocks.list();
        records.retain(|record| after.is_none_or(|after| record.id > after));
        let more = records.len() > items_max;
        records.truncate(items_max);
        let next = records.last().filter(|_| more);
        let next = next.map(|last| paging::cursor(DEADLOCKS, &last.id.to_string()));
        Ok(DeadlockList {
            deadlocks: records.iter().map(|record| deadlock(record)).collect(),
            next,
        })
    }

    /// Searches now. What is found is kept before it is answered.
    pub(super) async fn found_deadlocks(&self) -> ServiceResult<FoundDeadlocks> {
        let (room, log) = (
            Arc::clone(self.inner.tables.locks()),
            Arc::clone(&self.inner.deadlocks),
        );
        let kept = blocking(move || {
            room.detect();
            log.keep().map_err(table_error)
        })
        .await?;
        Ok(FoundDeadlocks {
            deadlocks: kept.iter().map(|record| deadlock(record)).collect(),
        })
    }

    /// Makes durable what was found of deadlocks; one that can't be kept is in the server's log.
    pub(super) async fn keep_deadlocks(&self) {
        let log = Arc::clone(&self.inner.deadlocks);
        if let Err(error) = blocking(move || log.keep().map_err(table_error)).await {
            tracing::warn!(%error, "a deadlock could not be recorded");
        }
    }

    fn username(&self, transaction: u64) -> Option<String> {
        let activity = self.inner.tables.locks().activity(transaction)?;
        Some(activity.username)
    }

    /// The transaction and the resource of a lock of the caller's.
    fn own_lock(&self, context: &CallContext, id: Id64) -> ServiceResult<(u64, Resource)> {
        let owner = &context.principal().user_id;
        let found = self.lock_table().find(LockId(id.0));
        let found = found.filter(|lock| self.inner.transactions.info(lock.owner.0, owner).is_ok());
        match found {
            Some(lock) => Ok((lock.owner.0, lock.resource)),
            None => Err(ServiceError::new(
                &LOCK_NOT_FOUND,
                format!("you have no lock {id}; transactions.get shows those of a transaction"),
            )),
        }
    }

    /// The lock that a transaction has on the resource, or the one on the table that makes it needless.
    fn held(&self, transaction: u64, resource: &Resource) -> ServiceResult<Lock> {
        let of = |resource: &Resource| {
            let holders = self.lock_table().holders(resource);
            holders.into_iter().find(|lock| lock.owner.0 == transaction)
        };
        let lock = of(resource).or_else(|| of(&Resource::Table(resource.table()?)));
        match lock {
            Some(lock) => Ok(self.lock_names()?.lock(&lock)),
            // Another call of the transaction has released it meanwhile.
            None => Err(table_error(TableError::LockReleased { transaction })),
        }
    }
}

impl Shown<'_> {
    fn lock(&self, lock: &LockInfo) -> Lock {
        let (granted, since_us) = match lock.state {
            LockState::Granted { acquired_us } => (true, acquired_us),
            LockState::Waiting { since_us, .. } => (false, since_us),
        };
        Lock {
            lock_id: Id64(lock.lock_id.0),
            transaction_id: Id64(lock.owner.0),
            username: self.engine.username(lock.owner.0),
            resource: self.resource(&lock.resource),
            mode: mode_of(lock.mode),
            granted,
            since: Timestamp::from_micros(since_us),
        }
    }

    fn resource(&self, resource: &Resource) -> LockResource {
        resource_of(&self.places.place(resource))
    }
}

/// What is to be locked, as an input says.
enum Wanted<'i> {
    Table(&'i str),
    Row(&'i str, &'i str),
    Named(&'i str),
}

fn wanted<'i>(
    table: Option<&'i str>,
    row: Option<&'i str>,
    name: Option<&'i str>,
) -> ServiceResult<Wanted<'i>> {
    match (table, row, name) {
        (Some(table), None, None) => Ok(Wanted::Table(table)),
        (Some(table), Some(row), None) => Ok(Wanted::Row(table, row)),
        (None, None, Some(name)) => Ok(Wanted::Named(name)),
        (None, Some(_), _) => Err(invalid_argument("table", "table: name the table of the row")),
        (Some(_), _, Some(_)) => Err(invalid_argument("name", "name: give a table or a name, not both")),
        (None, None, None) => Err(invalid_argument(
            "table",
            "table: give a table, a row of one, or a name",
        )),
    }
}

/// Locks it; what it is.
fn take(scope: &mut Scope, what: &Wanted<'_>, mode: Mode, no_wait: bool) -> ServiceResult<Resource> {
    let Some(locks) = scope.locks().cloned() else {
        return Err(table_error(TableError::ReadOnly));
    };
    let database = scope.database.clone();
    match what {
        Wanted::Named(name) => {
            let resource = Resource::named(name);
            with_wait(&locks, no_wait, || locks.take(resource.clone(), mode).map(drop))
                .map_err(table_error)?;
            Ok(resource)
        }
        Wanted::Table(name) => {
            let table = table(&scope.reader(), &database, name)?;
            with_wait(&locks, no_wait, || locks.table(table.id.0, mode)).map_err(table_error)?;
            Ok(Resource::Table(table.id.0))
        }
        Wanted::Row(name, id) => {
            let table = table(&scope.reader(), &database, name)?;
            let key = row_key(&table, id)?;
            let locked = with_wait(&locks, no_wait, || {
                scope.lock_rows(&table, std::slice::from_ref(&key), mode)
            });
            locked.map_err(table_error)?;
            if Txn::get(scope, &table, &key).map_err(table_error)?.is_none() {
                return Err(row_not_found(&table, id));
            }
            Ok(Resource::row(table.id.0, table.space.0, &key.0))
        }
    }
}

fn with_wait<R>(locks: &TxnLocks, no_wait: bool, work: impl FnOnce() -> R) -> R {
    locks.set_no_wait(no_wait);
    let done = work();
    locks.set_no_wait(false);
    done
}

/// Whether the transaction has changed what the lock is on.
fn protects(lease: &TxnLease, resource: &Resource) -> bool {
    resource.table().is_some_and(|table| lease.has_changed(table))
}

pub(super) fn resource_of(place: &LockPlace) -> LockResource {
    let mut resource = LockResource {
        kind: LockKind::Named,
        database: None,
        table: None,
        row_id: None,
        constraint: None,
        name: None,
    };
    let table = match place {
        LockPlace::Named { name } => {
            resource.name = Some(name.clone());
            return resource;
        }
        LockPlace::Table { table } => {
            resource.kind = LockKind::Table;
            table
        }
        LockPlace::Row { table, of } => {
            resource.kind = LockKind::Row;
            match of {
                RowPlace::Row { id } => resource.row_id = Some(id.clone()),
                RowPlace::Values { constraint } => resource.constraint = Some(constraint.clone()),
                RowPlace::Unknown => {}
            }
            table
        }
    };
    resource.database = table.as_ref().map(|table| table.database.clone());
    resource.table = table.as_ref().map(|table| table.name.clone());
    resource
}

pub(super) fn blocker(blocker: &Blocker) -> LockBlocker {
    LockBlocker {
        transaction_id: Id64(blocker.owner.0),
        lock_id: Id64(blocker.lock_id.0),
        mode: mode_of(blocker.mode),
        granted: blocker.granted,
    }
}

pub(super) fn deadlock(record: &DeadlockRecord) -> DeadlockDetected {
    let next = record.members.iter().cycle().skip(1);
    let edge = |(waiter, blocker): (&DeadlockMember, &DeadlockMember)| DeadlockEdge {
        waiter: Id64(waiter.transaction),
        blocker: Id64(blocker.transaction),
        username: Some(waiter.username.clone()),
        resource: resource_of(&waiter.place),
        mode: mode_named(&waiter.mode),
        statement: Some(waiter.statement.clone()),
    };
    let members = record.members.iter();
    DeadlockDetected {
        deadlock_id: Id64(record.id),
        detected_at: Timestamp::from_micros(record.detected_at_us),
        transactions: members.clone().map(|member| Id64(member.transaction)).collect(),
        victim_transaction: Id64(record.victim),
        resource_graph: members.clone().zip(next).map(edge).collect(),
        resolution_strategy: ResolutionStrategy::AbortYoungest,
        impacted_queries: members.map(|member| member.statement.clone()).collect(),
    }
}

fn mode_of(mode: Mode) -> LockMode {
    mode_named(mode_name(mode))
}

fn mode_named(name: &str) -> LockMode {
    match name {
        "IS" => LockMode::Is,
        "IX" => LockMode::Ix,
        "S" => LockMode::S,
        "SIX" => LockMode::Six,
        "X" => LockMode::X,
        other => LockMode::Unrecognized(other.to_owned()),
    }
}

fn kernel_mode(mode: &LockMode) -> ServiceResult<Mode> {
    match mode {
        LockMode::Is => Ok(Mode::IS),
        LockMode::Ix => Ok(Mode::IX),
        LockMode::S => Ok(Mode::S),
        LockMode::Six => Ok(Mode::SIX),
        LockMode::X => Ok(Mode::X),
        LockMode::Unrecognized(name) => Err(invalid_argument(
            "mode",
            format!("mode: there is no mode {name:?}; give IS, IX, S, SIX or X"),
        )),
    }
}
