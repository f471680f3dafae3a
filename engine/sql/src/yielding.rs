//! Joins that give other work its turn.
//!
//! A join can make rows for as long as it likes from inputs that it has read once, and then no leaf below it is
//! asked, where DataFusion's cooperative scheduling counts. A task that only joins would keep its thread, and
//! neither a deadline nor a cancellation could reach it. So each join counts as well, batch by batch.

use std::sync::Arc;

use datafusion::common::Result as DfResult;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;

/// Names of DataFusion's joins that can make many batches of one.
const JOINS: &[&str] = &[
    "CrossJoinExec",
    "HashJoinExec",
    "NestedLoopJoinExec",
    "PiecewiseMergeJoinExec",
    "SortMergeJoinExec",
];

/// Puts a [`CooperativeExec`] above every join.
#[derive(Debug)]
pub(crate) struct YieldingJoins;

impl PhysicalOptimizerRule for YieldingJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> DfResult<Arc<dyn ExecutionPlan>> {
        let rewritten = plan.transform_up(|node| {
            if JOINS.contains(&node.name()) {
                Ok(Transformed::yes(
                    Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>
                ))
            } else {
                Ok(Transformed::no(node))
            }
        })?;
        Ok(rewritten.data)
    }

    fn name(&self) -> &str {
        "yielding_joins"
    }

    /// The schema stays.
    fn schema_check(&self) -> bool {
        true
    }
}
