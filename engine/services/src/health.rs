//! Probes: each asks the part itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustydb_contract::{CallContext, ServiceError, ServiceResult, Timestamp, async_trait};
use rustydb_contract_core::errors::UNAVAILABLE;
use rustydb_contract_health::{
    ComponentHealth, HealthCheckLivenessInput, HealthCheckReadinessInput, HealthCheckStartupInput,
    HealthDetail, HealthGetDetailInput, HealthGetSummaryInput, HealthService, HealthStatus, HealthSummary,
    Liveness, Readiness, Startup,
};
use rustydb_runtime::Clock;

/// What a probe of one part finds: `Err` says what is wrong.
pub type Probe = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// A part of the engine and how to ask it.
pub struct Component {
    pub name: &'static str,
    pub probe: Probe,
}

/// Microseconds that say "not yet": a real start-up never takes that long.
const NOT_STARTED: u64 = u64::MAX;

pub struct Health {
    clock: Arc<dyn Clock>,
    /// On the clock's monotonic scale.
    process_started_us: u64,
    startup_us: AtomicU64,
    components: Arc<[Component]>,
}

impl Health {
    pub fn new(clock: Arc<dyn Clock>, process_started_us: u64, components: Vec<Component>) -> Health {
        Health {
            clock,
            process_started_us,
            startup_us: AtomicU64::new(NOT_STARTED),
            components: components.into(),
        }
    }

    /// Notes that the server takes requests from now on.
    pub fn started(&self) {
        self.startup_us.store(self.since_start_us(), Ordering::Release);
    }

    fn since_start_us(&self) -> u64 {
        self.clock.now_mono_us().saturating_sub(self.process_started_us)
    }

    fn liveness(&self) -> Liveness {
        Liveness {
            alive: true,
            uptime_seconds: self.since_start_us() / 1_000_000,
        }
    }

    fn startup(&self) -> ServiceResult<Startup> {
        match self.startup_us.load(Ordering::Acquire) {
            NOT_STARTED => {
                Err(ServiceError::new(&UNAVAILABLE, "the server is starting").with_retry_after_seconds(1))
            }
            elapsed => Ok(Startup {
                started: true,
                startup_ms: elapsed / 1000,
            }),
        }
    }

    /// Probes touch the disk, so they run where blocking is allowed.
    async fn summary(&self) -> ServiceResult<HealthSummary> {
        let (components, clock) = (Arc::clone(&self.components), Arc::clone(&self.clock));
        let probed = tokio::task::spawn_blocking(move || {
            components
                .iter()
                .map(|component| probe(component, &*clock))
                .collect::<Vec<_>>()
        });
        let components = probed
            .await
            .map_err(|error| ServiceError::new(&UNAVAILABLE, format!("a probe failed: {error}")))?;
        let healthy = components
            .iter()
            .all(|component| component.status == HealthStatus::Healthy);
        let status = if healthy {
            HealthStatus::Healthy
        } else {
            HealthStatus::Unhealthy
        };
        Ok(HealthSummary { status, components })
    }

    async fn readiness(&self) -> ServiceResult<Readiness> {
        self.startup()?;
        let summary = self.summary().await?;
        let failed = summary
            .components
            .iter()
            .find_map(|component| component.message.as_ref());
        match failed {
            None => Ok(Readiness { ready: true }),
            Some(message) => Err(ServiceError::new(&UNAVAILABLE, message.clone())),
        }
    }
}

fn probe(component: &Component, clock: &dyn Clock) -> ComponentHealth {
    let begun = clock.now_mono_us();
    let result = (component.probe)();
    let check_us = clock.now_mono_us().saturating_sub(begun);
    let (status, message) = match result {
        Ok(()) => (HealthStatus::Healthy, None),
        Err(message) => (
            HealthStatus::Unhealthy,
            Some(format!("{}: {message}", component.name)),
        ),
    };
    ComponentHealth {
        name: component.name.to_owned(),
        status,
        message,
        check_us,
    }
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
        let summary = self.summary().await?;
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
        self.summary().await
    }
}
