//! The whole engine over one data directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustydb_contract::host::{Identity, StatementClassifier};
use rustydb_contract_admin::AdminService;
use rustydb_contract_auth::AuthService;
use rustydb_contract_database::DatabaseService;
use rustydb_contract_health::HealthService;
use rustydb_contract_indexes::IndexesService;
use rustydb_contract_jobs::JobsService;
use rustydb_contract_query::QueryService;
use rustydb_contract_session::SessionService;
use rustydb_contract_sql::SqlService;
use rustydb_contract_storage::StorageService;
use rustydb_contract_transactions::TransactionsService;
use rustydb_runtime::disk::RealDisk;
use rustydb_runtime::{Clock, Rng, SystemRng, files};
use rustydb_sql::{SqlConfig, SqlEngine, SqlError};
use rustydb_store::error::StoreError;
use rustydb_store::kernel_store::{FORMAT_VERSION, KernelOptions, KernelStore, Report};
use rustydb_store::locking::DEADLOCK_TIMEOUT_US_DEFAULT;
use rustydb_store::retention::LogRetention;
use rustydb_store::seam::{SpaceId, TableStore};
use rustydb_store::tables::{SpillRoom, TableError, Tables, WRITE_SET_MEMORY_BYTES_DEFAULT};
use tokio_util::sync::CancellationToken;

use crate::admin::{Admin, ServerFacts};
use crate::auth::Auth;
use crate::data::DataEngine;
use crate::health::{Component, Health};
use crate::identity::{AdminSecret, IdentityError, IdentityService, IdentitySettings};
use crate::jobs::Jobs;
use crate::session::Sessions;
use crate::storage::Storage;
use crate::taps::Taps;

/// Folder of the store in the data directory.
pub(crate) const STORE_FOLDER: &str = "store";
/// Folder of copies of segments of the log, in that of the store.
pub(crate) const ARCHIVE_FOLDER: &str = "archive";
/// Folder of what transactions have no memory for, in the data directory.
const SPILL_FOLDER: &str = "spill";
/// File of the store in a data directory of format version 2, which was a redb database.
const STORE_FILE_OF_2: &str = "rustydb.redb";
/// Memory of the buffer pool unless told: 128 MiB, as PostgreSQL has.
pub const BUFFER_POOL_BYTES_DEFAULT: u64 = 128 << 20;

/// How long versions stay readable unless told: a minute.
pub const VERSION_RETENTION_US_DEFAULT: u64 = 60_000_000;

/// What an engine is opened with.
pub struct EngineOptions {
    /// Created, for its owner only, when missing.
    pub data_dir: PathBuf,
    /// Made when the process started: uptime is counted from its zero.
    pub clock: Arc<dyn Clock>,
    /// How much of the change log is kept: for so long a subscription can go on behind a cursor.
    pub log_retention: LogRetention,
    /// Memory of the buffer pool.
    pub buffer_pool_bytes: u64,
    /// A transaction that has waited so long for a lock looks whether it is part of a deadlock, in microseconds.
    pub deadlock_timeout_us: u64,
    /// Memory that the changes of one transaction may take before further ones go to a file.
    pub write_set_memory_bytes: usize,
    /// How long versions of rows stay readable that newer ones have replaced, in microseconds; 3,600,000,000 at most.
    pub version_retention_us: u64,
    /// Whether a caller may have a commit answered before it is durable.
    pub async_commits: bool,
    /// Is told how far the opening is, and what there is to ask then.
    pub health: Arc<Health>,
}

impl EngineOptions {
    /// Everything but the arguments by default.
    pub fn new(data_dir: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> EngineOptions {
        EngineOptions {
            data_dir: data_dir.into(),
            health: Arc::new(Health::new(Arc::clone(&clock))),
            clock,
            log_retention: LogRetention::default(),
            buffer_pool_bytes: BUFFER_POOL_BYTES_DEFAULT,
            deadlock_timeout_us: DEADLOCK_TIMEOUT_US_DEFAULT,
            write_set_memory_bytes: WRITE_SET_MEMORY_BYTES_DEFAULT,
            version_retention_us: VERSION_RETENTION_US_DEFAULT,
            async_commits: false,
        }
    }
}

/// Why an engine does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    #[error("the data directory {path} can't be made: {source}")]
    DataDir { path: String, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Tables(#[from] TableError),
    #[error(transparent)]
    Sql(#[from] SqlError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("opening the engine was cut short: {0}")]
    Cancelled(#[from] tokio::task::JoinError),
}

/// Every service, on one store.
pub struct Engine {
    identity: IdentityService,
    admin: Admin,
    data: DataEngine,
    health: Arc<Health>,
    jobs: Jobs,
    storage: Storage,
}

/// What the engine has to do at the moment.
#[derive(Clone)]
pub struct EngineLoad(DataEngine);

impl EngineLoad {
    /// Statements that run.
    pub fn statements(&self) -> usize {
        self.0.statements_running()
    }
}

impl Engine {
    /// Opens or creates the data directory and recovers what a crash left.
    pub async fn open(options: EngineOptions) -> Result<Engine, EngineError> {
        tokio::task::spawn_blocking(move || Engine::open_blocking(options)).await?
    }

    fn open_blocking(options: EngineOptions) -> Result<Engine, EngineError> {
        let EngineOptions {
            data_dir,
            clock,
            log_retention,
            buffer_pool_bytes,
            deadlock_timeout_us,
            write_set_memory_bytes,
            version_retention_us,
            async_commits,
            health,
        } = options;
        let facts = ServerFacts::starting(Arc::clone(&clock), data_dir.clone());
        make_data_dir(&data_dir)?;
        let kernel_options = KernelOptions {
            pool_bytes: buffer_pool_bytes,
            async_commits,
            version_retention_us,
            progress: health.progress().clone(),
            ..KernelOptions::default()
        };
        let store = open_store(&data_dir, Arc::clone(&clock), kernel_options)?;
        let kernel = Arc::clone(store.kernel());
        let taps = Taps::new(&kernel);
        let store: Arc<dyn TableStore> = Arc::new(store);
        let disk = Arc::new(RealDisk::new(data_dir.clone()));
        let spill = SpillRoom::open(disk, SPILL_FOLDER, write_set_memory_bytes)?;
        let tables = Tables::open_with(Arc::clone(&store), Arc::clone(&clock), Some(Arc::new(spill)))?;
        tables.locks().set_deadlock_timeout_us(deadlock_timeout_us);
        let rng: Arc<dyn Rng> = Arc::new(SystemRng);
        let identity = IdentityService::open(
            Arc::clone(&store),
            Arc::clone(&clock),
            Arc::clone(&rng),
            Some(&data_dir),
            IdentitySettings::default(),
        )?;
        let sql = SqlEngine::new(SqlConfig::default())?;
        let jobs = Jobs::open(Arc::clone(&store), Arc::clone(&clock), rng)?;
        let data = DataEngine::new(
            tables.clone(),
            Arc::clone(&kernel),
            taps.clone(),
            sql,
            Arc::clone(&clock),
            log_retention,
            jobs.clone(),
        )?;
        let storage = Storage::new(
            kernel,
            taps,
            tables.clone(),
            Arc::clone(&clock),
            &data_dir,
            STORE_FOLDER,
        );
        health.opened(components(store, tables));
        let admin = Admin::new(identity.clone(), facts);
        Ok(Engine {
            identity,
            admin,
            data,
            health,
            jobs,
            storage,
        })
    }

    /// Makes the user `admin` on the first start; later starts change nothing.
    pub async fn ensure_admin(&self, secret: Option<String>) -> Result<AdminSecret, EngineError> {
        Ok(self.identity.ensure_admin(secret).await?)
    }

    /// Notes that the server takes requests from now on.
    pub fn started(&self) {
        self.health.started();
    }

    /// To be cancelled when the server begins to stop: jobs end as interrupted, and who waits for them is told.
    pub fn stopping(&self) -> CancellationToken {
        self.jobs.stopping()
    }

    /// Ends background work; to be called once no call is under way.
    pub async fn close(&self) {
        self.jobs.close().await;
        self.data.close().await;
    }

    pub fn identity(&self) -> Arc<dyn Identity> {
        Arc::new(self.identity.clone())
    }

    pub fn load(&self) -> EngineLoad {
        EngineLoad(self.data.clone())
    }

    pub fn classifier(&self) -> Arc<dyn StatementClassifier> {
        Arc::new(self.data.clone())
    }

    pub fn admin(&self) -> Arc<dyn AdminService> {
        Arc::new(self.admin.clone())
    }

    pub fn auth(&self) -> Arc<dyn AuthService> {
        Arc::new(Auth::new(self.identity.clone()))
    }

    pub fn database(&self) -> Arc<dyn DatabaseService> {
        Arc::new(self.data.clone())
    }

    pub fn health(&self) -> Arc<dyn HealthService> {
        Arc::clone(&self.health) as Arc<dyn HealthService>
    }

    pub fn indexes(&self) -> Arc<dyn IndexesService> {
        Arc::new(self.data.clone())
    }

    pub fn jobs(&self) -> Arc<dyn JobsService> {
        Arc::new(self.jobs.clone())
    }

    pub fn query(&self) -> Arc<dyn QueryService> {
        Arc::new(self.data.clone())
    }

    pub fn session(&self) -> Arc<dyn SessionService> {
        Arc::new(Sessions::new(self.identity.clone()))
    }

    pub fn sql(&self) -> Arc<dyn SqlService> {
        Arc::new(self.data.clone())
    }

    pub fn storage(&self) -> Arc<dyn StorageService> {
        Arc::new(self.storage.clone())
    }

    pub fn transactions(&self) -> Arc<dyn TransactionsService> {
        Arc::new(self.data.clone())
    }
}

/// Opens the store in a data directory, and refuses one of an older format.
fn open_store(
    data_dir: &Path,
    clock: Arc<dyn Clock>,
    options: KernelOptions,
) -> Result<KernelStore, StoreError> {
    if data_dir.join(STORE_FILE_OF_2).exists() {
        return Err(StoreError::FormatVersion {
            found: 2,
            supported: FORMAT_VERSION,
        });
    }
    KernelStore::open(data_dir, STORE_FOLDER, clock, &SystemRng, options)
}

/// Recovers the store of a data directory that no server has open, and verifies it with its log and the archive of that. What is wrong is in the report; an
/// error is what keeps the store from being opened or read.
pub fn check_store(data_dir: &Path, clock: Arc<dyn Clock>) -> Result<Report, StoreError> {
    let options = KernelOptions {
        background: false,
        ..KernelOptions::default()
    };
    open_store(data_dir, clock, options)?.check(&format!("{STORE_FOLDER}/{ARCHIVE_FOLDER}"))
}

fn make_data_dir(path: &Path) -> Result<(), EngineError> {
    files::create_private_folder(path).map_err(|source| EngineError::DataDir {
        path: path.display().to_string(),
        source,
    })
}

/// What the health checks ask: whether the store still takes writes, whether the catalog reads, whether users do.
fn components(store: Arc<dyn TableStore>, tables: Tables) -> Vec<Component> {
    let (for_storage, for_users) = (Arc::clone(&store), store);
    vec![
        Component {
            name: "storage",
            probe: Box::new(move || for_storage.check_writable().map_err(|error| error.to_string())),
        },
        Component {
            name: "catalog",
            probe: Box::new(move || {
                let read = tables.begin().and_then(|transaction| transaction.databases());
                read.map(drop).map_err(|error| error.to_string())
            }),
        },
        Component {
            name: "identity",
            probe: Box::new(move || {
                let read = for_users
                    .snapshot()
                    .and_then(|snapshot| snapshot.space_stats(SpaceId::USERS));
                match read {
                    Ok(stats) if stats.entries > 0 => Ok(()),
                    Ok(_) => Err("there are no users".to_owned()),
                    Err(error) => Err(error.to_string()),
                }
            }),
        },
    ]
}
