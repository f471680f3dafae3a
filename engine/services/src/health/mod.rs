//! Probes: each asks the part itself. The server has them from the moment that it listens, and their parts once its data is open.

mod changes;
mod starting;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rustydb_contract::stream::Subscription;
use rustydb_contract::{CallContext, ServiceError, ServiceResult, Timestamp, async_trait};
use rustydb_contract_core::errors::UNAVAILABLE;
use rustydb_contract_health::{
    ComponentHealth, HealthCheckLivenessInput, HealthCheckReadinessInput, HealthCheckStartupInput,
    HealthDetail, HealthGetDetailInput, HealthGetSummaryInput, HealthService, HealthStatus,
    HealthStatusChange, HealthStatusChangesInput, HealthSummary, Liveness, Readiness, Startup,
};
use rustydb_runtime::Clock;
use rustydb_store::kernel_store::OpenProgress;

use changes::Looks;

/// What a probe of one part finds: `Err` says what is wrong.
pub type Probe = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// A part of the engine and how to ask it.
pub struct Component {
    pub name: &'static str,
    pub probe: Probe,
}

/// A check that takes longer is a part that serves, but not as it should.
const CHECK_US_MAX: u64 = 5_000_000;

/// Microseconds that say "not yet": a real start-up never takes that long.
const NOT_STARTED: u64 = u64::MAX;

pub struct Health {
    clock: Arc<dyn Clock>,
    startup_us: AtomicU64,
    probes: Probes,
    looks: Looks,
}

/// All that is asked.
#[derive(Clone)]
struct Probes {
    clock: Arc<dyn Clock>,
    /// How far the opening of the data is.
    progress: OpenProgress,
    /// Once it is open.
    components: Arc<OnceLock<Vec<Component>>>,
}

impl Health {
    /// The clock was made when the process started.
    pub fn new(clock: Arc<dyn Clock>) -> Health {
        let probes = Probes {
            clock: Arc::clone(&clock),
            progress: OpenProgress::default(),
            components: Arc::default(),
        };
        Health {
            clock,
            startup_us: AtomicU64::new(NOT_STARTED),
            looks: Looks::new(probes.clone()),
            probes,
        }
    }

    /// To be told of by whoever opens the data.
    pub fn progress(&self) -> &OpenProgress {
        &self.probes.progress
    }

    /// Says what there is to ask, once.
    pub fn opened(&self, components: Vec<Component>) {
        // A second time would be another opening of the same data.
        self.probes.components.get_or_init(|| components);
    }

    /// What every call is answered until the server takes requests, but that of liveness.
    pub fn refusal(&self) -> ServiceError {
        starting::refusal(&self.probes.progress)
    }

    /// Notes that the server takes requests from now on.
    pub fn started(&self) {
        self.startup_us.store(self.clock.now_mono_us(), Ordering::Release);
    }

    fn liveness(&self) -> Liveness {
        Liveness {
            alive: true,
            uptime_seconds: self.clock.now_mono_us() / 1_000_000,
        }
    }

    fn startup(&self) -> ServiceResult<Startup> {
        match self.startup_us.load(Ordering::Acquire) {
            NOT_STARTED => Err(self.refusal()),
            elapsed => Ok(Startup {
                started: true,
                startup_ms: elapsed / 1000,
            }),
        }
    }

    async fn readiness(&self) -> ServiceResult<Readiness> {
        self.startup()?;
        let summary = self.probes.look().await?;
        match messages(&summary, &HealthStatus::Unhealthy).next() {
            None => Ok(Readiness { ready: true }),
            Some(message) => Err(ServiceError::new(&UNAVAILABLE, message)),
        }
    }
}

impl Probes {
    /// Probes touch the disk, so they run where blocking is allowed.
    async fn look(&self) -> ServiceResult<HealthSummary> {
        let probes = self.clone();
        let probed = tokio::task::spawn_blocking(move || {
            let components = probes.components.get()?.iter();
            let found = components.map(|component| probe(component, &*probes.clock));
            Some(found.collect::<Vec<_>>())
        });
        let components = probed
            .await
            .map_err(|error| ServiceError::new(&UNAVAILABLE, format!("the probes were stopped: {error}")))?
            .ok_or_else(|| starting::refusal(&self.progress))?;
        let has = |status| components.iter().any(|component| component.status == status);
        let status = if has(HealthStatus::Unhealthy) {
            HealthStatus::Unhealthy
        } else if has(HealthStatus::Degraded) {
            HealthStatus::Degraded
        } else {
            HealthStatus::Healthy
        };
        Ok(HealthSummary { status, components })
    }
}

fn probe(component: &Component, clock: &dyn Clock) -> ComponentHealth {
    let begun = clock.now_mono_us();
    let result = catch_unwind(AssertUnwindSafe(&component.probe))
        .unwrap_or_else(|_| Err("the check failed unexpectedly; the log has more".to_owned()));
    let check_us = clock.now_mono_us().saturating_sub(begun);
    let (status, problem) = match result {
        Ok(()) if check_us <= CHECK_US_MAX => (HealthStatus::Healthy, None),
        Ok(()) => (
            HealthStatus::Degraded,
            Some(format!("the check took {} ms", check_us / 1_000)),
        ),
        Err(problem) => (HealthStatus::Unhealthy, Some(problem)),
    };
    ComponentHealth {
        name: component.name.to_owned(),
        status,
        message: problem.map(|problem| format!("{}: {problem}", component.name)),
        check_us,
    }
}

/// What is wrong with the components of a status.
fn messages(summary: &HealthSummary, status: &HealthStatus) -> impl Iterator<Item = String> {
    let components = summary.components.iter();
    components
        .filter(move |component| component.status == *status)
        .filter_map(|component| component.message.clone())
}

#[async_trait]
impl HealthService for Health {
    async fn check_liveness(&self, _: &CallContext, _: HealthCheckLivenessInput) -> ServiceResult<Liveness> {
        Ok(self.liveness())
    }

    async fn check_readiness(
        &self,
        _: &CallContext,
        _: HealthCheckReadinessInput,
    ) -> ServiceResult<Readiness> {
        self.readiness().await
    }

    async fn check_startup(&self, _: &CallContext, _: HealthCheckStartupInput) -> ServiceResult<Startup> {
        self.startup()
    }

    async fn get_detail(&self, _: &CallContext, _: HealthGetDetailInput) -> ServiceResult<HealthDetail> {
        let summary = self.probes.look().await?;
        Ok(HealthDetail {
            status: summary.status,
            components: summary.components,
            liveness: self.liveness(),
            readiness: self.readiness().await?,
            startup: self.startup()?,
            checked_at: Timestamp::from_micros(self.clock.now_us()),
        })
    }

    async fn get_summary(&self, _: &CallContext, _: HealthGetSummaryInput) -> ServiceResult<HealthSummary> {
        self.probes.look().await
    }

    async fn status_changes(
        &self,
        _: &CallContext,
        input: HealthStatusChangesInput,
    ) -> ServiceResult<Subscription<HealthStatusChange>> {
        self.looks.subscribe(input.interval_seconds).await
    }
}
