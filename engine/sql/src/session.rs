//! DataFusion's session, made once and cloned for each statement.

use std::sync::Arc;

use datafusion::execution::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{FunctionRegistry, TaskContext};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::Analyzer;
use datafusion::prelude::SessionConfig;

use crate::error::{Result, SqlError};
use crate::functions::own_functions;
use crate::rules::{CheckedIntegers, UuidLiterals};

/// One scan feeds one pipeline: several statements share the cores, not parts of one.
const PARTITIONS: usize = 1;

pub(crate) struct Session {
    base: SessionState,
    runtime: Arc<RuntimeEnv>,
}

impl Session {
    pub fn new() -> Result<Session> {
        let internal = |error: datafusion::common::DataFusionError| SqlError::Internal(error.to_string());
        let mut config = SessionConfig::new()
            .with_target_partitions(PARTITIONS)
            .with_information_schema(false)
            .with_create_default_catalog_and_schema(false);
        config.options_mut().execution.time_zone = Some("UTC".into());
        config.options_mut().execution.collect_statistics = false;
        // Nothing is written to disk beside the store: a statement that needs more memory than it has fails.
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let runtime = RuntimeEnvBuilder::new()
            .with_disk_manager_builder(disk)
            .build_arc()
            .map_err(internal)?;
        let mut rules: Vec<Arc<dyn AnalyzerRule + Send + Sync>> = vec![Arc::new(UuidLiterals)];
        rules.extend(Analyzer::new().rules);
        rules.push(Arc::new(CheckedIntegers));
        let mut base = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(Arc::clone(&runtime))
            .with_default_features()
            .with_analyzer_rules(rules)
            .build();
        for function in own_functions() {
            base.register_udf(function).map_err(internal)?;
        }
        Ok(Session { base, runtime })
    }

    /// A state for one statement: its `now()` is this moment.
    pub fn state(&self) -> SessionState {
        let mut state = self.base.clone();
        state.mark_start_execution();
        state
    }

    /// Where a statement runs: with its own bounded memory.
    pub fn task(&self, state: &SessionState, memory_bytes: usize) -> Arc<TaskContext> {
        let runtime = RuntimeEnv {
            memory_pool: Arc::new(GreedyMemoryPool::new(memory_bytes)),
            ..self.runtime.as_ref().clone()
        };
        Arc::new(TaskContext::new(
            None,
            state.session_id().to_owned(),
            state.config().clone(),
            std::collections::HashMap::new(),
            std::collections::HashMap::new(),
            std::collections::HashMap::new(),
            std::collections::HashMap::new(),
            Arc::new(runtime),
        ))
    }
}
