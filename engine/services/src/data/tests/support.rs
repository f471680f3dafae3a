//! A world with a caller for each role, and operations called by their ids with the JSON of the wire.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustydb_contract::descriptor::{OperationDesc, PermissionRule};
use rustydb_contract::host::StatementClassifier;
use rustydb_contract::validate::validate;
use rustydb_contract::{
    CallContext, Interface, Operation, Permissions, Principal, ServiceError, ServiceResult,
};
use rustydb_contract_core::access::ROLES;
use rustydb_contract_core::errors::PERMISSION_DENIED;
use rustydb_contract_database::DatabaseService;
use rustydb_contract_database::operations as database;
use rustydb_contract_indexes::IndexesService;
use rustydb_contract_indexes::operations as indexes;
use rustydb_contract_jobs::JobsService;
use rustydb_contract_jobs::operations as jobs;
use rustydb_contract_query::QueryService;
use rustydb_contract_query::operations as query;
use rustydb_contract_sql::SqlService;
use rustydb_contract_sql::operations as sql;
use rustydb_contract_transactions::TransactionsService;
use rustydb_contract_transactions::operations as transactions;
use rustydb_kernel::kernel::Kernel;
use rustydb_runtime::{ManualClock, SystemRng};
use rustydb_sql::{SqlConfig, SqlEngine};
use rustydb_store::kernel_store::KernelStore;
use rustydb_store::retention::LogRetention;
use rustydb_store::seam::TableStore;
use rustydb_store::tables::Tables;
use rustydb_store::testing::kernel_store;
use serde_json::{Value, json};

use crate::data::DataEngine;
use crate::identity::error::invalid_argument;
use crate::jobs::Jobs;
use crate::taps::Taps;

/// 2023-11-14T22:13:20Z.
pub const START_US: i64 = 1_700_000_000_000_000;

#[derive(Clone)]
pub struct World {
    pub engine: DataEngine,
    pub clock: Arc<ManualClock>,
    pub jobs: Jobs,
}

impl World {
    pub fn new() -> World {
        World::with_sql(SqlConfig::default())
    }

    pub fn with_sql(config: SqlConfig) -> World {
        let clock = Arc::new(ManualClock::new(START_US));
        let store = kernel_store(clock.clone());
        let kernel = Arc::clone(store.kernel());
        World::open(Arc::new(store), kernel, clock, config)
    }

    pub fn on(store: Arc<KernelStore>, clock: Arc<ManualClock>) -> World {
        let kernel = Arc::clone(store.kernel());
        World::above(store, kernel, clock)
    }

    /// On a store that passes calls on to one on `kernel`.
    pub fn above(store: Arc<dyn TableStore>, kernel: Arc<Kernel>, clock: Arc<ManualClock>) -> World {
        World::open(store, kernel, clock, SqlConfig::default())
    }

    fn open(
        store: Arc<dyn TableStore>,
        kernel: Arc<Kernel>,
        clock: Arc<ManualClock>,
        config: SqlConfig,
    ) -> World {
        let taps = Taps::new(&kernel);
        let jobs = Jobs::open(Arc::clone(&store), clock.clone(), Arc::new(SystemRng)).unwrap();
        let tables = Tables::open(store, clock.clone()).unwrap();
        let sql = SqlEngine::new(config).unwrap();
        World {
            engine: DataEngine::new(
                tables,
                kernel,
                taps,
                sql,
                clock.clone(),
                LogRetention::default(),
                jobs.clone(),
            )
            .unwrap(),
            jobs,
            clock,
        }
    }

    /// A call as the pipeline makes it: validated and permitted first. What it answers must be of the contract.
    pub async fn call(&self, id: &str, input: &Value, role: &str) -> Result<Value, ServiceError> {
        let answer = self.dispatch(id, input, role).await;
        let desc = operation(id);
        match &answer {
            Ok(output) => match desc.output {
                Some(ty) => validate(output, ty).unwrap_or_else(|found| panic!("{id}: {output}: {found:?}")),
                None => assert_eq!(*output, json!({}), "{id}"),
            },
            Err(error) => check_error(desc, error),
        }
        answer
    }

    /// A call of the administrator that must succeed.
    pub async fn must(&self, id: &str, input: Value) -> Value {
        self.call(id, &input, "admin")
            .await
            .unwrap_or_else(|error| panic!("{id} {input}: {error}"))
    }

    /// A call of the administrator that must fail with the code.
    pub async fn fails(&self, id: &str, input: Value, code: &str) -> ServiceError {
        match self.call(id, &input, "admin").await {
            Err(error) if error.code() == code => error,
            other => panic!("{id} {input}: {other:?}, not {code}"),
        }
    }

    pub async fn sql(&self, sql: &str) -> Value {
        self.must("sql.execute_query", json!({"sql": sql})).await
    }

    /// The rows of a query as one JSON text.
    pub async fn rows(&self, sql: &str) -> String {
        self.must("sql.execute_query", json!({"sql": sql, "format": "arrays"}))
            .await["rows"]
            .to_string()
    }

    fn permit(&self, desc: &OperationDesc, input: &Value, caller: &Principal) -> ServiceResult<()> {
        let needed = match desc.permission {
            PermissionRule::Public | PermissionRule::Authenticated => Permissions::NONE,
            PermissionRule::Needs(needed) => needed,
            PermissionRule::Statement { fields } => {
                let mut needed = Permissions::NONE;
                for field in fields {
                    let texts = match &input[field] {
                        Value::Array(texts) => texts.clone(),
                        text => vec![text.clone()],
                    };
                    for text in &texts {
                        needed = needed.union(self.engine.permissions(text.as_str().unwrap())?);
                    }
                }
                needed
            }
        };
        if caller.permissions.contains(needed) {
            return Ok(());
        }
        Err(ServiceError::new(
            &PERMISSION_DENIED,
            format!("{} lacks {needed:?}", caller.username),
        ))
    }
}

/// The caller of a role: a user named after it.
pub fn principal(role: &str) -> Arc<Principal> {
    let known = ROLES.iter().find(|known| known.name == role).unwrap();
    Arc::new(Principal {
        user_id: format!("id-of-{role}"),
        username: role.to_owned(),
        roles: vec![role.to_owned()],
        permissions: known.permissions,
        session_id: None,
        api_key_id: None,
        expires_at_seconds: None,
    })
}

#[allow(
    clippy::disallowed_methods,
    reason = "the pipeline's deadline is on the machine's clock"
)]
pub fn context(desc: &'static OperationDesc, role: &str) -> CallContext {
    CallContext {
        operation: desc,
        interface: Interface::Rest,
        request_id: Arc::from("test"),
        principal: Some(principal(role)),
        credential: Default::default(),
        peer: None,
        connection: None,
        deadline: Instant::now() + Duration::from_secs(300),
    }
}

fn check_error(desc: &OperationDesc, error: &ServiceError) {
    let common = rustydb_contract_core::MODULE.errors.iter();
    let mut known = common.chain(desc.errors);
    assert!(
        known.any(|known| known.code == error.code()),
        "{} does not declare {error}",
        desc.id
    );
    assert!(!error.message().is_empty());
    if let Some(details) = error.details() {
        let ty = error
            .desc()
            .details
            .unwrap_or_else(|| panic!("{error} has no details"));
        validate(details, ty).unwrap_or_else(|found| panic!("{error}: {details}: {found:?}"));
    }
}

async fn invoke<O: Operation>(
    service: &O::Service,
    input: &Value,
    role: &str,
) -> Result<Value, ServiceError> {
    let desc = O::desc();
    validate(input, desc.input).map_err(|found| invalid_argument(&found.field, found.message))?;
    let input: O::Input = serde_json::from_value(input.clone()).unwrap();
    let output = O::call(service, &context(desc, role), input).await?;
    Ok(serde_json::to_value(output).unwrap())
}

macro_rules! dispatch {
    ($($module:ident: $service:ident of $engine:ident { $($operation:ident),* $(,)? })*) => {
        pub fn operation(id: &str) -> &'static OperationDesc {
            $($(if id == <$module::$operation as Operation>::desc().id {
                return <$module::$operation as Operation>::desc();
            })*)*
            panic!("there is no {id} here")
        }

        /// Ids of the operations that are called here.
        pub fn operations() -> Vec<&'static str> {
            vec![$($(<$module::$operation as Operation>::desc().id),*),*]
        }

        impl World {
            async fn dispatch(&self, id: &str, input: &Value, role: &str) -> Result<Value, ServiceError> {
                self.permit(operation(id), input, &principal(role))?;
                $($(if id == <$module::$operation as Operation>::desc().id {
                    let service: &dyn $service = &self.$engine;
                    return invoke::<$module::$operation>(service, input, role).await;
                })*)*
                panic!("there is no {id} here")
            }
        }
    };
}

dispatch! {
    database: DatabaseService of engine {
        AggregateRows, BulkLoadRows, CountRows, Create, CreateTable, DeleteRow, DeleteRows, Drop, DropTable, Get, GetRow, GetSchema,
        GetTable, GetTableStats, InsertRows, List, ListTables, QueryRows, ReplaceTable, UpdateRow, UpdateRows,
        UpsertRow,
    }
    indexes: IndexesService of engine { Create, Drop, Get, GetStats, List, Rebuild, Verify }
    jobs: JobsService of jobs { Cancel, Get, List, Wait }
    query: QueryService of engine { Cancel, Explain, GetStatus, ListActive, Submit }
    sql: SqlService of engine { CreateView, DropView, ExecuteBatch, ExecuteQuery, ExecuteUnion, TruncateTable }
    transactions: TransactionsService of engine {
        AcquireLock, ArchiveWal, Begin, CheckpointWal, Commit, CreateSavepoint, CreateSnapshot, DetectDeadlocks, DropSnapshot,
        Execute, FlushWal, Get, GetLockGraph, GetMvccStatus, GetReadSet, GetStats, GetWalReplayStatus, GetWalStatus, GetWriteSet, ListActive, ListDeadlocks,
        ListLockHolders, ListLockWaiters, ListLocks, ListRowVersions, ListSavepoints, ListSnapshots, ListTimedOut, ListWalSegments, ReleaseAllLocks,
        ReleaseLock, ReleaseSavepoint, Rollback, RollbackToSavepoint, SetIsolationLevel, SetTimeout, SwitchWalSegment,
        TruncateWal, UpgradeLock, Vacuum,
    }
}
