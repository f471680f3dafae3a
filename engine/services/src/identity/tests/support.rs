//! A small world: identities with their services, on a store that a test can watch, stop and break.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustydb_contract::host::{Credential, Identity};
use rustydb_contract::{CallContext, Interface, Principal, ServiceError, ServiceResult};
use rustydb_contract_admin::{AdminCreateUserInput, AdminService, AdminUpdateUserInput, User};
use rustydb_contract_auth::operations::VALIDATE;
use rustydb_contract_auth::{AuthLoginInput, AuthRefreshInput, AuthService, TokenPair};
use rustydb_runtime::{ManualClock, SystemRng};
use rustydb_store::error::StoreError;
use rustydb_store::seam::{CommitSeq, LogEntry, LogExtent, SpaceId, StoreSnapshot, TableStore, WriteBatch};
use rustydb_store::testing::MemStore;

use crate::admin::{Admin, ServerFacts};
use crate::auth::Auth;
use crate::identity::{AdminSecret, IdentityService, IdentitySettings, PasswordCost};

/// 2026-01-31T12:00:00Z and a bit, so that nothing falls on a whole second by itself.
pub const START_US: i64 = 1_769_860_800_250_000;
pub const PASSWORD: &str = "correct horse battery";
pub const DAY: u64 = 86_400;

type Hook = Box<dyn Fn(&WriteBatch) -> Result<(), StoreError> + Send + Sync>;

/// A store that asks a test before each commit.
pub struct WatchedStore {
    below: Arc<dyn TableStore>,
    before_commit: Mutex<Option<Arc<Hook>>>,
}

impl WatchedStore {
    pub fn new(below: Arc<dyn TableStore>) -> Arc<WatchedStore> {
        Arc::new(WatchedStore {
            below,
            before_commit: Mutex::new(None),
        })
    }

    pub fn before_commit(
        &self,
        hook: impl Fn(&WriteBatch) -> Result<(), StoreError> + Send + Sync + 'static,
    ) {
        *self.before_commit.lock() = Some(Arc::new(Box::new(hook)));
    }

    pub fn let_commits_pass(&self) {
        *self.before_commit.lock() = None;
    }
}

impl TableStore for WatchedStore {
    fn snapshot(&self) -> Result<Arc<dyn StoreSnapshot>, StoreError> {
        self.below.snapshot()
    }

    fn commit(&self, batch: WriteBatch) -> Result<CommitSeq, StoreError> {
        let hook = self.before_commit.lock().clone();
        if let Some(hook) = hook {
            hook(&batch)?;
        }
        self.below.commit(batch)
    }

    fn log_after(&self, after: CommitSeq, entries_max: usize) -> Result<Vec<LogEntry>, StoreError> {
        self.below.log_after(after, entries_max)
    }

    fn log_extent(&self) -> Result<LogExtent, StoreError> {
        self.below.log_extent()
    }

    fn commits(&self) -> tokio::sync::watch::Receiver<CommitSeq> {
        self.below.commits()
    }

    fn read_interest(&self) -> rustydb_store::reads::ReadInterest {
        self.below.read_interest()
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        self.below.check_writable()
    }
}

pub struct World {
    pub clock: Arc<ManualClock>,
    pub store: Arc<WatchedStore>,
    pub identity: IdentityService,
    pub auth: Auth,
    pub admin: Admin,
}

/// The contract's defaults, with passwords that cost nothing.
pub fn settings() -> IdentitySettings {
    IdentitySettings {
        password_cost: PasswordCost {
            memory_kib: 8,
            passes: 1,
            lanes: 1,
        },
        ..IdentitySettings::default()
    }
}

impl World {
    /// In memory, with the user `admin`.
    pub async fn new() -> World {
        World::with(settings()).await
    }

    pub async fn with(settings: IdentitySettings) -> World {
        let clock = Arc::new(ManualClock::new(START_US));
        let world = World::open(
            Arc::new(MemStore::new(Arc::clone(&clock) as _)),
            clock,
            None,
            settings,
        );
        let secret = world
            .identity
            .ensure_admin(Some(PASSWORD.to_owned()))
            .await
            .unwrap();
        assert_eq!(secret, AdminSecret::Given);
        world
    }

    pub fn open(
        store: Arc<dyn TableStore>,
        clock: Arc<ManualClock>,
        data_dir: Option<&Path>,
        settings: IdentitySettings,
    ) -> World {
        let store = WatchedStore::new(store);
        let identity = IdentityService::open(
            Arc::clone(&store) as _,
            Arc::clone(&clock) as _,
            Arc::new(SystemRng),
            data_dir,
            settings,
        )
        .unwrap();
        let facts = ServerFacts::starting(
            Arc::clone(&clock) as _,
            data_dir.unwrap_or(Path::new(".")).to_owned(),
        );
        let (auth, admin) = (Auth::new(identity.clone()), Admin::new(identity.clone(), facts));
        World {
            clock,
            store,
            identity,
            auth,
            admin,
        }
    }

    pub fn advance_seconds(&self, seconds: u64) {
        self.clock.advance_us(seconds * 1_000_000);
    }

    pub async fn create_user(&self, username: &str, roles: &[&str]) -> User {
        self.try_create_user(username, roles).await.unwrap()
    }

    pub async fn try_create_user(&self, username: &str, roles: &[&str]) -> ServiceResult<User> {
        let input = AdminCreateUserInput {
            username: username.to_owned(),
            password: PASSWORD.to_owned(),
            roles: roles.iter().map(|role| role.to_string()).collect(),
            enabled: None,
        };
        self.admin.create_user(&nobody(), input).await
    }

    pub async fn update_user(&self, input: AdminUpdateUserInput) -> ServiceResult<User> {
        self.admin.update_user(&nobody(), input).await
    }

    pub async fn login(&self, username: &str) -> TokenPair {
        self.try_login(username, PASSWORD).await.unwrap()
    }

    pub async fn try_login(&self, username: &str, password: &str) -> ServiceResult<TokenPair> {
        let input = AuthLoginInput {
            username: username.to_owned(),
            password: password.to_owned(),
        };
        self.auth.login(&nobody(), input).await
    }

    pub async fn refresh(&self, tokens: &TokenPair) -> ServiceResult<TokenPair> {
        let input = AuthRefreshInput {
            refresh_token: tokens.refresh_token.clone(),
        };
        self.auth.refresh(&nobody(), input).await
    }

    pub async fn bearer(&self, token: &str) -> ServiceResult<Arc<Principal>> {
        self.identity
            .authenticate(&Credential::Bearer(token.to_owned()))
            .await
    }

    pub async fn api_key(&self, key: &str) -> ServiceResult<Arc<Principal>> {
        self.identity
            .authenticate(&Credential::ApiKey(key.to_owned()))
            .await
    }

    /// Signs in and answers the context of a call made with the token.
    pub async fn caller(&self, username: &str) -> CallContext {
        let tokens = self.login(username).await;
        called_by(self.bearer(&tokens.access_token).await.unwrap())
    }

    pub fn entries(&self, space: SpaceId) -> u64 {
        self.store.snapshot().unwrap().space_stats(space).unwrap().entries
    }
}

pub fn nobody() -> CallContext {
    context(None)
}

pub fn called_by(principal: Arc<Principal>) -> CallContext {
    context(Some(principal))
}

fn context(principal: Option<Arc<Principal>>) -> CallContext {
    CallContext {
        operation: &VALIDATE,
        interface: Interface::Rest,
        request_id: "test".into(),
        principal,
        credential: Default::default(),
        peer: None,
        connection: None,
        deadline: Instant::now() + Duration::from_secs(30),
    }
}

/// A change of nothing.
pub fn change_of(id: &str) -> AdminUpdateUserInput {
    AdminUpdateUserInput {
        id: id.to_owned(),
        username: None,
        password: None,
        roles: None,
        enabled: None,
    }
}

pub fn code<T>(result: ServiceResult<T>) -> &'static str {
    result.err().as_ref().map_or("OK", ServiceError::code)
}
