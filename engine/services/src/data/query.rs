//! The `query` module: how statements would run.

use rustydb_contract::{CallContext, ServiceResult, async_trait};
use rustydb_contract_query::{QueryExplainInput, QueryPlan, QueryService};
use rustydb_sql::ExecContext;

use super::DataEngine;
use super::classifier::single;
use super::errors::{declared, statement_error};
use super::scope::{Access, Place};

#[async_trait]
impl QueryService for DataEngine {
    async fn explain(&self, context: &CallContext, input: QueryExplainInput) -> ServiceResult<QueryPlan> {
        let statement = single(&input.sql).map_err(declared(context))?;
        let place = Place::new(input.database, input.transaction_id);
        let (statement, params) = (&statement, input.params.as_deref().unwrap_or_default());
        let explained = self.answer(context, &place, Access::Read, |scope| async move {
            let ctx = ExecContext::new(&scope.database).with_params(params.to_vec());
            let reader = scope.reader();
            let plan = self
                .inner
                .sql
                .explain(&reader, &ctx, statement, false)
                .await
                .map_err(statement_error)?;
            Ok((
                scope,
                QueryPlan {
                    logical_plan: plan.logical,
                    physical_plan: plan.physical,
                },
            ))
        });
        explained.await.map_err(declared(context))
    }
}
