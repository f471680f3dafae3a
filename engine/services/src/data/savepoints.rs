//! Savepoints of the caller's transactions.

use rustydb_contract::{CallContext, Empty, ServiceResult, Timestamp};
use rustydb_contract_transactions::{
    Savepoint, SavepointList, Transaction, TransactionsCreateSavepointInput, TransactionsListSavepointsInput,
    TransactionsReleaseSavepointInput, TransactionsRollbackToSavepointInput,
};
use rustydb_store::tables;

use super::DataEngine;
use super::errors::table_error;
use super::transactions::described;

impl DataEngine {
    pub(super) async fn made_savepoint(
        &self,
        context: &CallContext,
        input: TransactionsCreateSavepointInput,
    ) -> ServiceResult<Savepoint> {
        let mut lease = self.lease(context, input.id).await?;
        lease.create_savepoint(&input.name).map_err(table_error)?;
        let made = lease.savepoints().last().map(shown).expect("it was just made");
        drop(lease);
        Ok(made)
    }

    pub(super) async fn savepoints(
        &self,
        context: &CallContext,
        input: TransactionsListSavepointsInput,
    ) -> ServiceResult<SavepointList> {
        let lease = self.lease(context, input.id).await?;
        Ok(SavepointList {
            savepoints: lease.savepoints().iter().map(shown).collect(),
        })
    }

    pub(super) async fn released_savepoint(
        &self,
        context: &CallContext,
        input: TransactionsReleaseSavepointInput,
    ) -> ServiceResult<Empty> {
        let mut lease = self.lease(context, input.id).await?;
        lease.release_savepoint(&input.name).map_err(table_error)?;
        drop(lease);
        Ok(Empty {})
    }

    pub(super) async fn rolled_back_to_savepoint(
        &self,
        context: &CallContext,
        input: TransactionsRollbackToSavepointInput,
    ) -> ServiceResult<Transaction> {
        let mut lease = self.lease(context, input.id).await?;
        lease.rollback_to_savepoint(&input.name).map_err(table_error)?;
        // What it shows is noted as the lease ends.
        drop(lease);
        let owner = &context.principal().user_id;
        let info = self.inner.transactions.info(input.id.0, owner);
        info.map(described).map_err(table_error)
    }
}

fn shown(savepoint: &tables::Savepoint) -> Savepoint {
    Savepoint {
        name: savepoint.name.clone(),
        created_at: Timestamp::from_micros(savepoint.created_at_us),
    }
}
