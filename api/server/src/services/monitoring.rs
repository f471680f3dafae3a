//! The `monitoring` module: samples of the machine and of the server's calls.
//!
//! Who asks for the same interval listens to the same [`Sampler`]: one task takes a sample for all of them, and ends
//! when nobody listens any more.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rustydb_api::LateApi;
use rustydb_contract::stream::Subscription;
use rustydb_contract::topic::Topic;
use rustydb_contract::{CallContext, ServiceResult, async_trait};
use rustydb_contract_monitoring::{
    ApiMetrics, MetricType, MonitoringMetricsEvent, MonitoringMetricsInput, MonitoringService,
    MonitoringSystemMetricsInput, SystemMetrics,
};
use rustydb_services::EngineLoad;
use sysinfo::{Disks, Networks, System};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Time between two samples when the caller names none.
const INTERVAL_MS_DEFAULT: u32 = 1_000;

pub struct Monitoring {
    inner: Arc<Inner>,
}

struct Inner {
    api: LateApi,
    load: EngineLoad,
    /// By the interval in milliseconds.
    samplers: Mutex<HashMap<u32, Weak<Topic<MonitoringMetricsEvent>>>>,
}

impl Monitoring {
    pub fn new(api: LateApi, load: EngineLoad) -> Monitoring {
        Monitoring {
            inner: Arc::new(Inner {
                api,
                load,
                samplers: Mutex::default(),
            }),
        }
    }

    /// Everything that is sampled in this interval, from now on.
    fn samples<V: Send + 'static>(
        &self,
        interval_ms: u32,
        choose: impl FnMut(&MonitoringMetricsEvent) -> Option<V> + Send + 'static,
    ) -> Subscription<V> {
        let mut samplers = self.inner.samplers.lock();
        if let Some(topic) = samplers.get(&interval_ms).and_then(Weak::upgrade) {
            return topic.subscribe(choose);
        }
        let topic = Topic::new();
        let subscription = topic.subscribe(choose);
        samplers.retain(|_, topic| topic.strong_count() > 0);
        samplers.insert(interval_ms, Arc::downgrade(&topic));
        let inner = Arc::clone(&self.inner);
        tokio::spawn(sample(inner, Arc::downgrade(&topic), interval_ms));
        subscription
    }
}

#[async_trait]
impl MonitoringService for Monitoring {
    async fn system_metrics(
        &self,
        _: &CallContext,
        input: MonitoringSystemMetricsInput,
    ) -> ServiceResult<Subscription<SystemMetrics>> {
        let seconds = input
            .interval_seconds
            .map(|seconds| seconds.saturating_mul(1_000));
        let interval_ms = input.interval_ms.or(seconds).unwrap_or(INTERVAL_MS_DEFAULT);
        let wanted = input.metric_types;
        Ok(self.samples(interval_ms, move |event| match event {
            MonitoringMetricsEvent::SystemMetrics(sample) => Some(chosen(sample, wanted.as_deref())),
            MonitoringMetricsEvent::ApiMetrics(_) => None,
        }))
    }

    async fn metrics(
        &self,
        _: &CallContext,
        input: MonitoringMetricsInput,
    ) -> ServiceResult<Subscription<MonitoringMetricsEvent>> {
        let interval_ms = input
            .interval
            .map_or(INTERVAL_MS_DEFAULT, |seconds| seconds.saturating_mul(1_000));
        Ok(self.samples(interval_ms, |event| Some(event.clone())))
    }
}

/// The metrics of a sample that were asked for.
fn chosen(sample: &SystemMetrics, wanted: Option<&[MetricType]>) -> SystemMetrics {
    let SystemMetrics {
        cpu_usage,
        memory_usage,
        memory_total,
        memory_percent,
        disk_read_bps,
        disk_write_bps,
        network_rx_bps,
        network_tx_bps,
        active_connections,
        active_queries,
    } = *sample;
    let has = |kind| wanted.is_none_or(|wanted| wanted.contains(&kind));
    let (cpu, memory, disk) = (
        has(MetricType::Cpu),
        has(MetricType::Memory),
        has(MetricType::Disk),
    );
    let network = has(MetricType::Network);
    SystemMetrics {
        cpu_usage: cpu_usage.filter(|_| cpu),
        memory_usage: memory_usage.filter(|_| memory),
        memory_total: memory_total.filter(|_| memory),
        memory_percent: memory_percent.filter(|_| memory),
        disk_read_bps: disk_read_bps.filter(|_| disk),
        disk_write_bps: disk_write_bps.filter(|_| disk),
        network_rx_bps: network_rx_bps.filter(|_| network),
        network_tx_bps: network_tx_bps.filter(|_| network),
        active_connections: active_connections.filter(|_| has(MetricType::Connections)),
        active_queries: active_queries.filter(|_| has(MetricType::Queries)),
    }
}

/// Takes samples for as long as somebody listens.
async fn sample(inner: Arc<Inner>, topic: Weak<Topic<MonitoringMetricsEvent>>, interval_ms: u32) {
    let interval = Duration::from_millis(u64::from(interval_ms));
    let mut ticks = interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let Ok(mut machine) = tokio::task::spawn_blocking(Machine::new).await else {
        return;
    };
    loop {
        ticks.tick().await;
        // Reading what the system counts may wait for the disk.
        let looked = tokio::task::spawn_blocking(move || {
            let sample = machine.look();
            (machine, sample)
        });
        let Ok((back, sample)) = looked.await else { return };
        machine = back;
        let Some(topic) = topic.upgrade() else { return };
        let Ok(api) = inner.api.get() else { return };
        let active_connections = api.live().connections().len() as u64;
        let active_queries = inner.load.statements() as u64;
        let totals = api.pipeline().totals();
        topic.publish(|| {
            MonitoringMetricsEvent::SystemMetrics(SystemMetrics {
                active_connections: Some(active_connections),
                active_queries: Some(active_queries),
                ..sample
            })
        });
        topic.publish(|| {
            MonitoringMetricsEvent::ApiMetrics(ApiMetrics {
                total_requests: totals.answered,
                successful_requests: totals.answered - totals.failed,
                failed_requests: totals.failed,
                avg_response_time_ms: totals.average().as_secs_f64() * 1_000.0,
                active_connections,
                active_queries,
            })
        });
    }
}

/// What the operating system counts, and when it was last looked at.
struct Machine {
    system: Option<System>,
    disks: Option<Disks>,
    networks: Option<Networks>,
    looked_at: Instant,
}

impl Machine {
    fn new() -> Machine {
        let mut machine = Machine {
            system: System::new().ok(),
            disks: Disks::new_with_refreshed_list().ok(),
            networks: Networks::new_with_refreshed_list().ok(),
            looked_at: Instant::now(),
        };
        machine.look();
        machine
    }

    /// Counts since the last look. What the system does not tell is absent.
    fn look(&mut self) -> SystemMetrics {
        let seconds = self.looked_at.elapsed().as_secs_f64().max(0.001);
        self.looked_at = Instant::now();
        let a_second = |bytes: u64| (bytes as f64 / seconds) as u64;
        let mut sample = SystemMetrics::default();
        if let Some(system) = &mut self.system {
            system.refresh_cpu_usage();
            system.refresh_memory();
            let (used, total) = (system.used_memory(), system.total_memory());
            sample.cpu_usage = Some(f64::from(system.global_cpu_usage()).clamp(0.0, 100.0));
            sample.memory_usage = Some(used);
            sample.memory_total = Some(total);
            sample.memory_percent = (total > 0).then(|| (used as f64 / total as f64 * 100.0).min(100.0));
        }
        if let Some(disks) = &mut self.disks {
            disks.refresh(true);
            // A disk that is mounted twice is listed twice, with the same counts.
            let mut by_name = HashMap::new();
            for disk in disks.iter() {
                by_name.insert(disk.name().to_owned(), disk.usage());
            }
            sample.disk_read_bps = Some(a_second(by_name.values().map(|usage| usage.read_bytes).sum()));
            sample.disk_write_bps = Some(a_second(by_name.values().map(|usage| usage.written_bytes).sum()));
        }
        if let Some(networks) = &mut self.networks {
            networks.refresh(true);
            sample.network_rx_bps = Some(a_second(
                networks.values().map(|network| network.received()).sum(),
            ));
            sample.network_tx_bps = Some(a_second(
                networks.values().map(|network| network.transmitted()).sum(),
            ));
        }
        sample
    }
}
