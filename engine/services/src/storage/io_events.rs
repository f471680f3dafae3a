//! What is told of requests to the disk: each as it begins and ends, the queue, and numbers in intervals.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::{StreamExt, stream};
use rustydb_contract::ServiceResult;
use rustydb_contract::stream::{Body, Item, Subscription};
use rustydb_contract::topic::Topic;
use rustydb_contract_storage::{
    IoDirection, IoStatistics, IopsThresholdBreached, LatencySpike, QueueDepthChanged, ReadCompleted,
    ReadStarted, StorageIoEventsEvent as Told, StorageIoEventsInput, StorageIoStatisticsStreamInput,
    VectoredRead, VectoredWrite, WriteCompleted, WriteStarted,
};
use rustydb_kernel::ids::PageId;
use rustydb_kernel::kernel::Kernel;
use rustydb_kernel::page::PAGE_BYTES;
use rustydb_kernel::space::{IoEvent, IoEvents, RequestStats, SpaceStats};
use rustydb_runtime::Clock;

use super::{bounded, lies_in};
use crate::listeners::Listeners;
use crate::samples::Samples;

/// Time between two looks when the caller names none.
const EVENTS_INTERVAL_MS_DEFAULT: u32 = 1_000;
const STATISTICS_INTERVAL_SECONDS_DEFAULT: u32 = 1;

/// Who watches the disk.
pub(super) struct IoWatch {
    kernel: Arc<Kernel>,
    clock: Arc<dyn Clock>,
    facts: Arc<Topic<Told>>,
    listeners: Arc<Listeners>,
    samples: Samples<IoStatistics>,
}

impl IoWatch {
    pub fn new(kernel: Arc<Kernel>, clock: Arc<dyn Clock>) -> IoWatch {
        let facts = Topic::new();
        // A subscription does not keep the kernel from being closed.
        let (told, disk) = (Arc::clone(&facts), Arc::downgrade(&kernel));
        let listeners = Listeners::new(move |listens| {
            let Some(kernel) = disk.upgrade() else { return };
            let listener = || -> Arc<dyn IoEvents> { Arc::new(Listener(Arc::clone(&told))) };
            kernel.files().listen(listens.then(listener));
        });
        IoWatch {
            kernel,
            clock,
            facts,
            listeners,
            samples: Samples::default(),
        }
    }

    pub fn events(&self, input: StorageIoEventsInput) -> Subscription<Told> {
        let StorageIoEventsInput {
            interval_ms,
            tablespace,
            latency_threshold_us,
            iops_threshold,
            ..
        } = input;
        let listening = self.listeners.join();
        let facts = self.facts.subscribe(move |event| {
            // The disk is listened to for as long as this is.
            let _ = &listening;
            let here = page(event).is_none_or(|page| lies_in(page, tablespace));
            here.then(|| event.clone())
        });
        let interval_ms = interval_ms.unwrap_or(EVENTS_INTERVAL_MS_DEFAULT);
        let interval = Duration::from_millis(u64::from(interval_ms));
        let samples = self.samples(interval, |sample| Told::IoStatistics(sample.clone()));
        let (_, facts) = facts.into_parts();
        let (_, samples) = samples.into_parts();
        let alarms = Alarms {
            latency_threshold_us,
            iops_threshold,
        };
        let told = stream::select(facts, samples);
        Subscription::new(None, told.flat_map(move |item| stream::iter(alarms.added(item))))
    }

    pub fn statistics(&self, input: StorageIoStatisticsStreamInput) -> Subscription<IoStatistics> {
        let seconds = input
            .interval_seconds
            .unwrap_or(STATISTICS_INTERVAL_SECONDS_DEFAULT);
        let interval = match input.interval_ms {
            Some(interval_ms) => Duration::from_millis(u64::from(interval_ms)),
            None => Duration::from_secs(u64::from(seconds)),
        };
        self.samples(interval, IoStatistics::clone)
    }

    fn samples<V: Send + 'static>(
        &self,
        interval: Duration,
        made: impl Fn(&IoStatistics) -> V + Send + 'static,
    ) -> Subscription<V> {
        let begin = || {
            let mut looks = Looks {
                kernel: Arc::downgrade(&self.kernel),
                clock: Arc::clone(&self.clock),
                before: self.kernel.files().stats(),
                at_us: self.clock.now_mono_us(),
            };
            move || Ok(looks.look().into_iter().collect())
        };
        self.samples
            .subscribe(interval, begin, move |sample| Some(made(sample)))
    }

    #[cfg(test)]
    pub fn is_idle(&self) -> bool {
        self.listeners.count() == 0 && !self.samples.is_looking()
    }
}

/// What listens to the files.
struct Listener(Arc<Topic<Told>>);

impl IoEvents for Listener {
    fn event(&self, event: IoEvent) {
        if let Some(told) = told(&event) {
            self.0.publish(|| told);
        }
    }
}

/// `None` of failures and damage, which the log and the counts tell.
fn told(event: &IoEvent) -> Option<Told> {
    let bytes = |pages: usize| (pages * PAGE_BYTES) as u64;
    Some(match event {
        IoEvent::Started {
            write,
            page,
            pages,
            offset,
        } => {
            let (page_id, offset, size) = (page.to_number(), *offset, bytes(*pages));
            match write {
                true => Told::WriteStarted(WriteStarted {
                    page_id,
                    offset,
                    size,
                }),
                false => Told::ReadStarted(ReadStarted {
                    page_id,
                    offset,
                    size,
                }),
            }
        }
        IoEvent::Completed {
            write,
            page,
            pages,
            latency_ns,
        } => completed(*write, *page, *pages, latency_ns.div_ceil(1_000)),
        IoEvent::QueueDepth { reads, writes } => Told::QueueDepthChanged(QueueDepthChanged {
            reads: bounded(*reads),
            writes: bounded(*writes),
        }),
        _ => return None,
    })
}

fn completed(write: bool, page: PageId, pages: usize, latency_us: u64) -> Told {
    let page_id = page.to_number();
    let (page_count, bytes) = (bounded(pages), (pages * PAGE_BYTES) as u64);
    match (write, pages) {
        (true, 1) => Told::WriteCompleted(WriteCompleted {
            page_id,
            latency_us,
            bytes,
        }),
        (false, 1) => Told::ReadCompleted(ReadCompleted {
            page_id,
            latency_us,
            bytes,
        }),
        (true, _) => Told::VectoredWrite(VectoredWrite {
            page_id,
            page_count,
            total_bytes: bytes,
            latency_us,
        }),
        (false, _) => Told::VectoredRead(VectoredRead {
            page_id,
            page_count,
            total_bytes: bytes,
            latency_us,
        }),
    }
}

/// From when on a subscriber wants to be told.
struct Alarms {
    latency_threshold_us: Option<u32>,
    iops_threshold: Option<u32>,
}

impl Alarms {
    /// The item, and behind it what is beyond a threshold.
    fn added(&self, item: ServiceResult<Item<Told>>) -> Vec<ServiceResult<Item<Told>>> {
        let (at, event) = match item {
            Ok(Item {
                at,
                body: Body::Event(event),
                ..
            }) => (at, event),
            other => return vec![other],
        };
        let alarm = match &event {
            Told::IoStatistics(sample) => self.rate(sample),
            event => self.spike(event),
        };
        [Some(event), alarm]
            .into_iter()
            .flatten()
            .map(|event| Ok(Item::event(at, event)))
            .collect()
    }

    fn spike(&self, event: &Told) -> Option<Told> {
        let threshold_us = self.latency_threshold_us?;
        let (page_id, direction, latency_us) = match event {
            Told::ReadCompleted(event) => (event.page_id, IoDirection::Read, event.latency_us),
            Told::VectoredRead(event) => (event.page_id, IoDirection::Read, event.latency_us),
            Told::WriteCompleted(event) => (event.page_id, IoDirection::Write, event.latency_us),
            Told::VectoredWrite(event) => (event.page_id, IoDirection::Write, event.latency_us),
            _ => return None,
        };
        let spike = LatencySpike {
            page_id,
            direction,
            latency_us,
            threshold_us,
        };
        (latency_us >= u64::from(threshold_us)).then_some(Told::LatencySpike(spike))
    }

    fn rate(&self, sample: &IoStatistics) -> Option<Told> {
        let threshold = self.iops_threshold?;
        let iops = sample.reads_per_sec + sample.writes_per_sec;
        let breach = IopsThresholdBreached { iops, threshold };
        (iops >= f64::from(threshold)).then_some(Told::IopsThresholdBreached(breach))
    }
}

/// Looks in one interval.
struct Looks {
    /// Between looks nobody keeps it from being closed.
    kernel: Weak<Kernel>,
    clock: Arc<dyn Clock>,
    before: SpaceStats,
    /// When that was, on the clock's monotonic scale.
    at_us: u64,
}

impl Looks {
    fn look(&mut self) -> Option<IoStatistics> {
        let (now, now_us) = (self.kernel.upgrade()?.files().stats(), self.clock.now_mono_us());
        let before = std::mem::replace(&mut self.before, now.clone());
        let elapsed_us = now_us.saturating_sub(std::mem::replace(&mut self.at_us, now_us));
        Some(statistics(&before, &now, elapsed_us))
    }
}

/// After a reset between the looks, what was counted since is all that is known.
fn statistics(before: &SpaceStats, now: &SpaceStats, elapsed_us: u64) -> IoStatistics {
    let seconds = elapsed_us.max(1) as f64 / 1_000_000.0;
    let rate = |before: u64, now: u64| now.checked_sub(before).unwrap_or(now) as f64 / seconds;
    let latency_us = |stats: &RequestStats| stats.latency.mean_ns().map(|ns| ns.div_ceil(1_000));
    IoStatistics {
        reads_per_sec: rate(before.reads.requests, now.reads.requests),
        writes_per_sec: rate(before.writes.requests, now.writes.requests),
        read_bytes_per_sec: rate(before.reads.bytes(), now.reads.bytes()),
        write_bytes_per_sec: rate(before.writes.bytes(), now.writes.bytes()),
        avg_read_latency_us: latency_us(&now.reads),
        avg_write_latency_us: latency_us(&now.writes),
        reads: now.reads.requests,
        writes: now.writes.requests,
        bytes_read: now.reads.bytes(),
        bytes_written: now.writes.bytes(),
    }
}

/// The page of a request, the first of several.
fn page(event: &Told) -> Option<u64> {
    match event {
        Told::ReadStarted(event) => Some(event.page_id),
        Told::WriteStarted(event) => Some(event.page_id),
        Told::ReadCompleted(event) => Some(event.page_id),
        Told::WriteCompleted(event) => Some(event.page_id),
        Told::VectoredRead(event) => Some(event.page_id),
        Told::VectoredWrite(event) => Some(event.page_id),
        Told::LatencySpike(event) => Some(event.page_id),
        Told::QueueDepthChanged(_) | Told::IopsThresholdBreached(_) | Told::IoStatistics(_) => None,
    }
}
