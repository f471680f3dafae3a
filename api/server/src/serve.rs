//! `rustydb serve`: listens, opens the engine, says that it is ready, and stops cleanly.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::serve::ListenerExt;
use rustydb_api::{Api, LateApi, Pipeline, server};
use rustydb_contract::Timestamp;
use rustydb_contract_core::access::LIMITS;
use rustydb_runtime::{Clock, SystemClock};
use rustydb_services::{AdminSecret, Engine, EngineOptions};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat, ServeArguments};
use crate::contract::{Contract, History, LateHistory};
use crate::door::Door;
use crate::services::{Monitoring, Protocol, Websocket};
use crate::{metrics, pages, secret};

/// How long calls under way may go on once the server stops.
const DRAIN_MAX: Duration = Duration::from_secs(30);

pub async fn run(arguments: ServeArguments) -> anyhow::Result<()> {
    let clock = Arc::new(SystemClock::new());
    let config = Config::load(arguments)?;
    start_logging(&config.log, config.log_format)?;
    let running = start(&config, secret::given()?, clock).await?;
    running.take_requests();
    announce(&format!("rustydb ready on http://{}", running.address))?;
    running.serve_until_stopped().await
}

/// A server that listens, and refuses requests until it is told to take them.
pub struct Running {
    pub address: SocketAddr,
    pub engine: Arc<Engine>,
    pub admin: AdminSecret,
    pub api: Api,
    router: Router,
    door: Door,
    serving: JoinHandle<std::io::Result<()>>,
    /// Cancelled to end `serving`, once no call is under way.
    ended: CancellationToken,
    stop: StopSignals,
}

/// Heard from the moment it is made, so that a signal right after the ready line is not missed.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<StopSignals> {
        Ok(StopSignals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn heard(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = self.interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
    }
}

/// Opens the port and the engine. The clock was made when the process started.
pub async fn start(
    config: &Config,
    secret: Option<String>,
    clock: Arc<SystemClock>,
) -> anyhow::Result<Running> {
    let recorder = metrics::install()?;
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!(
            "cannot listen on {}; --listen takes another address",
            config.listen
        )
    })?;
    let address = listener.local_addr()?;
    let options = EngineOptions {
        log_retention: config.log_retention,
        buffer_pool_bytes: config.buffer_pool_bytes,
        write_set_memory_bytes: config.write_set_memory_bytes,
        version_retention_us: config.version_retention_us,
        async_commits: config.async_commits,
        deadlock_timeout_us: config.deadlock_timeout_us,
        ..EngineOptions::new(&config.data_dir, Arc::clone(&clock) as Arc<dyn Clock>)
    };
    let door = Door::new(&options.health);
    let ended = CancellationToken::new();
    let serving = tokio::spawn(listen(listener, door.clone(), ended.clone()));
    let engine = Arc::new(Engine::open(options).await.context("cannot open the data")?);
    let admin = engine
        .ensure_admin(secret)
        .await
        .context("cannot create the administrator")?;
    if let AdminSecret::Generated(secret) = &admin {
        eprintln!(
            "The administrator is `admin` with the password {secret}\nIt is shown this once; change it with PUT /api/v1/admin/users/admin."
        );
    }
    let pipeline = Pipeline::new(engine.identity(), engine.classifier(), LIMITS);
    let late = LateApi::default();
    let history = LateHistory::default();
    let modules = modules(&engine, &late, &history, Arc::clone(&clock) as _);
    let server = server::build(pipeline, modules).context("the GraphQL schema does not build")?;
    late.set(&server.api);
    let router = metrics::add(pages::add(server.router.clone()), server.api.clone(), recorder);
    let router = server::with_fallbacks(router, server.graphql);
    let stop = StopSignals::listen().context("cannot listen for signals")?;
    note_contract(&history, &server.api, config, &*clock).await?;
    Ok(Running {
        address,
        engine,
        admin,
        api: server.api,
        router,
        door,
        serving,
        ended,
        stop,
    })
}

/// Serves what comes through the door until `ended`, and then what is under way.
async fn listen(listener: TcpListener, door: Door, ended: CancellationToken) -> std::io::Result<()> {
    // An event is one small write; it must not wait for the answer to the one before.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps small writes back");
        }
    });
    let service = door.router().into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(ended.cancelled_owned())
        .await
}

/// Notes which contract is served from now on.
async fn note_contract(
    history: &LateHistory,
    api: &Api,
    config: &Config,
    clock: &dyn Clock,
) -> anyhow::Result<()> {
    let (contract, now) = (Contract::of(api), Timestamp::from_micros(clock.now_us()));
    let folder = config.data_dir.clone();
    let noted = tokio::task::spawn_blocking(move || History::note(&folder, contract, now)).await?;
    // It is empty: it was made for this server.
    history.get_or_init(|| noted);
    Ok(())
}

/// The contract's modules, each with its service. Those that are about the server find it by `api`, and its contract by
/// `history`, once these are there.
pub fn modules(
    engine: &Engine,
    api: &LateApi,
    history: &LateHistory,
    clock: Arc<dyn Clock>,
) -> Vec<rustydb_api::ModuleApi> {
    vec![
        rustydb_api_admin::module(engine.admin()),
        rustydb_api_auth::module(engine.auth()),
        rustydb_api_database::module(engine.database()),
        rustydb_api_health::module(engine.health()),
        rustydb_api_indexes::module(engine.indexes()),
        rustydb_api_jobs::module(engine.jobs()),
        rustydb_api_monitoring::module(Arc::new(Monitoring::new(api.clone(), engine.load()))),
        rustydb_api_protocol::module(Arc::new(Protocol::new(api.clone(), history.clone()))),
        rustydb_api_query::module(engine.query()),
        rustydb_api_session::module(engine.session()),
        rustydb_api_sql::module(engine.sql()),
        rustydb_api_storage::module(engine.storage()),
        rustydb_api_transactions::module(engine.transactions()),
        rustydb_api_websocket::module(Arc::new(Websocket::new(api.clone(), clock))),
    ]
}

impl Running {
    /// Answers requests from now on.
    pub fn take_requests(&self) {
        self.engine.started();
        self.door.open(self.router.clone());
    }

    /// Serves until SIGTERM or SIGINT, then lets calls under way finish.
    pub async fn serve_until_stopped(self) -> anyhow::Result<()> {
        let mut signals = self.stop;
        let api = self.api.clone();
        let stopping = CancellationToken::new();
        let stop = {
            let (stopping, work, ended) = (stopping.clone(), self.engine.stopping(), self.ended);
            async move {
                signals.heard().await;
                stopping.cancel();
                work.cancel();
                api.drain().await;
                ended.cancel();
            }
        };
        let late = async {
            stopping.cancelled().await;
            tokio::time::sleep(DRAIN_MAX).await;
        };
        let mut serving = self.serving;
        let served = async {
            tokio::select! {
                served = &mut serving => served,
                () = stop => serving.await,
            }
        };
        tokio::select! {
            served = served => served??,
            () = late => tracing::warn!("some calls and sockets did not end in time and are cut off"),
        }
        self.engine.close().await;
        Ok(())
    }
}

/// The line that says the server takes requests; standard output carries nothing else.
pub fn announce(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

pub fn start_logging(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("{filter:?} is no log filter"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}
