//! Branches of distributed transactions. Draft of engine/services/src/data/xa.rs: neither built nor tested.

use rustydb_contract::{CallContext, Empty, Id64, Lsn, ServiceResult, Timestamp};
use rustydb_contract_core::access::SYSTEM_ADMIN;
use rustydb_contract_transactions::{
    TransactionsXaCommitInput, TransactionsXaEndInput, TransactionsXaPrepareInput, TransactionsXaRecoverInput,
    TransactionsXaRollbackInput, TransactionsXaStartInput, XaBranch, XaBranchList, XaCommitted, XaPrepared,
    XaStartMode, XaState, XaVote,
};
use rustydb_store::tables::MAIN_DATABASE;
use rustydb_store::transactions::{BeginOptions, BranchState, BranchUser, TransactionInfo, Vote, Xid};

use super::DataEngine;
use super::errors::{internal, table_error};
use super::transactions::{isolation_of, rows_changed};
use crate::identity::blocking::blocking;
use crate::identity::paging;

/// Name of the list in cursors.
const BRANCHES: &str = "branches in doubt";

impl DataEngine {
    pub(super) async fn started_branch(
        &self,
        context: &CallContext,
        input: TransactionsXaStartInput,
    ) -> ServiceResult<XaBranch> {
        let xid: Xid = input.xid.parse().map_err(table_error)?;
        let caller = context.principal();
        let transactions = &self.inner.transactions;
        let started = match input.mode {
            None | Some(XaStartMode::New) => transactions.start_branch(
                xid,
                BeginOptions {
                    owner: caller.user_id.clone(),
                    owner_name: caller.username.clone(),
                    session: caller.session_id.clone(),
                    database: input.database.unwrap_or_else(|| MAIN_DATABASE.to_owned()),
                    isolation: isolation_of(input.isolation_level.as_ref())?,
                    read_only: false,
                    idle_timeout_us: input.idle_timeout_ms.map(|ms| ms.saturating_mul(1_000)),
                    timeout_us: None,
                    lock_timeout_us: None,
                },
            ),
            Some(_) => transactions.join_branch(&xid, &caller.user_id).await,
        };
        shown(started.map_err(table_error)?)
    }

    pub(super) async fn ended_branch(
        &self,
        context: &CallContext,
        input: TransactionsXaEndInput,
    ) -> ServiceResult<XaBranch> {
        let xid: Xid = input.xid.parse().map_err(table_error)?;
        let owner = &context.principal().user_id;
        let ended = self.inner.transactions.end_branch(&xid, owner).await;
        shown(ended.map_err(table_error)?)
    }

    pub(super) async fn prepared_branch(
        &self,
        context: &CallContext,
        input: TransactionsXaPrepareInput,
    ) -> ServiceResult<XaPrepared> {
        let xid: Xid = input.xid.parse().map_err(table_error)?;
        let owner = context.principal().user_id.clone();
        let transactions = self.inner.transactions.clone();
        let name = xid.clone();
        let voted = move || transactions.prepare_branch(&name, &owner).map_err(table_error);
        let (vote, info) = blocking(voted).await?;
        Ok(XaPrepared {
            xid: xid.to_string(),
            transaction_id: Id64(info.id),
            vote: match vote {
                Vote::Prepared => XaVote::Prepared,
                Vote::ReadOnly => XaVote::ReadOnly,
            },
        })
    }

    pub(super) async fn committed_branch(
        &self,
        context: &CallContext,
        input: TransactionsXaCommitInput,
    ) -> ServiceResult<XaCommitted> {
        let xid: Xid = input.xid.parse().map_err(table_error)?;
        let (owner, administrator) = user(context);
        let one_phase = input.one_phase.unwrap_or(false);
        let transactions = self.inner.transactions.clone();
        let name = xid.clone();
        let commit = move || {
            let owner = owner.as_str();
            let user = BranchUser { owner, administrator };
            transactions.commit_branch(&name, user, one_phase).map_err(table_error)
        };
        let (outcome, info) = blocking(commit).await?;
        Ok(XaCommitted {
            xid: xid.to_string(),
            transaction_id: Id64(info.id),
            lsn: Lsn(outcome.seq.0),
            rows_changed: outcome.changes.iter().map(rows_changed).sum(),
        })
    }

    pub(super) async fn rolled_back_branch(
        &self,
        context: &CallContext,
        input: TransactionsXaRollbackInput,
    ) -> ServiceResult<Empty> {
        let xid: Xid = input.xid.parse().map_err(table_error)?;
        let (owner, administrator) = user(context);
        let transactions = self.inner.transactions.clone();
        let rollback = move || {
            let owner = owner.as_str();
            let user = BranchUser { owner, administrator };
            transactions.rollback_branch(&xid, user).map_err(table_error)
        };
        blocking(rollback).await?;
        Ok(Empty {})
    }

    pub(super) fn branches_in_doubt(
        &self,
        context: &CallContext,
        input: TransactionsXaRecoverInput,
    ) -> ServiceResult<XaBranchList> {
        let after = paging::after(BRANCHES, input.after)?;
        let after: Option<Xid> = after.map(|text| text.parse()).transpose().map_err(table_error)?;
        let items_max = paging::page_items(input.limit);
        let (owner, administrator) = user(context);
        let owner = owner.as_str();
        let user = BranchUser { owner, administrator };
        let mut found = self.inner.transactions.recover(user, after.as_ref(), items_max + 1);
        let more = found.len() > items_max;
        found.truncate(items_max);
        let branches = found.into_iter().map(shown).collect::<ServiceResult<Vec<_>>>()?;
        let last = branches.last().filter(|_| more);
        let next = last.map(|branch| paging::cursor(BRANCHES, &branch.xid));
        Ok(XaBranchList { branches, next })
    }
}

/// Who asks, and whether branches of others may be ended.
fn user(context: &CallContext) -> (String, bool) {
    let caller = context.principal();
    (caller.user_id.clone(), caller.permissions.contains(SYSTEM_ADMIN))
}

fn shown(info: TransactionInfo) -> ServiceResult<XaBranch> {
    let branch = info.branch.ok_or_else(|| internal(&"a branch without a name"))?;
    Ok(XaBranch {
        xid: branch.xid.to_string(),
        transaction_id: Id64(info.id),
        state: match branch.state {
            BranchState::Active => XaState::Active,
            BranchState::Idle => XaState::Idle,
            BranchState::Prepared => XaState::Prepared,
        },
        username: info.owner_name,
        database: info.database,
        started_at: Timestamp::from_micros(info.started_at_us),
        prepared_at: branch.prepared_at_us.map(Timestamp::from_micros),
    })
}

// errors.rs, table_error: XidExists -> XID_EXISTS, XidNotFound -> XID_NOT_FOUND, BranchState -> XA_WRONG_STATE,
// EndsAsBranch -> XA_BRANCH_TRANSACTION, BranchClosed -> TRANSACTION_NOT_ACTIVE, InvalidXid -> invalid_argument("xid", ..).
