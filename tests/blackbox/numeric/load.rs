//! Samples of the machine and of the server's calls: each number follows what the test does, and the kernel's own count.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{call, number, table, watch};
use crate::harness::watch::{Watcher, socket};
use crate::harness::world::World;

const MIB: usize = 1 << 20;

/// Far longer than any number here takes to move.
const WITHIN: Duration = Duration::from_secs(60);

async fn machine(world: &World, metric: &str) -> Watcher {
    let input = json!({"interval_ms": 200, "metric_types": [metric]});
    watch(world, "monitoring.system_metrics", input).await
}

/// The first sample of that kind for which `holds`.
async fn until(watcher: &mut Watcher, event: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let sample = async {
        loop {
            let told = watcher.event().await;
            if told.name == event {
                last = told.data;
                if holds(&last) {
                    return;
                }
            }
        }
    };
    if tokio::time::timeout(WITHIN, sample).await.is_err() {
        panic!("{what}: {last}");
    }
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_calls_are_counted_and_timed() {
    let world = World::new().await;
    table(&world, "t", 1).await;
    let input = json!({"interval": 1, "events": ["ApiMetrics"]});
    let mut samples = watch(&world, "monitoring.metrics", input).await;
    let before = samples.event().await.data;
    let begun = Instant::now();
    for _ in 0..20 {
        call(&world, "database.count_rows", json!({"name": "t"})).await;
    }
    let (missing, admin) = (json!({"name": "none"}), world.credential("admin"));
    for _ in 0..7 {
        assert!(world.call("database.count_rows", &missing, &admin).await.is_err());
    }
    let took = begun.elapsed().as_secs_f64() * 1_000.0;
    let total = number(&before, "/total_requests");
    let after = until(&mut samples, "ApiMetrics", "27 calls", |sample| {
        number(sample, "/total_requests") >= total + 27.0
    })
    .await;
    let moved = |field: &str| number(&after, field) - number(&before, field);
    assert_eq!(moved("/total_requests"), 27.0);
    assert_eq!(moved("/successful_requests"), 20.0);
    assert_eq!(moved("/failed_requests"), 7.0);
    let spent = |sample: &Value| number(sample, "/avg_response_time_ms") * number(sample, "/total_requests");
    let spent = spent(&after) - spent(&before);
    assert!(spent > 0.0 && spent < took, "{spent} ms of {took} ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_samples_count_connections() {
    let world = World::new().await;
    let mut api = watch(
        &world,
        "monitoring.metrics",
        json!({"interval": 1, "events": ["ApiMetrics"]}),
    )
    .await;
    let mut system = machine(&world, "CONNECTIONS").await;
    let before = number(&system.event().await.data, "/active_connections");
    assert_eq!(number(&api.event().await.data, "/active_connections"), before);
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let admin = world.credential("admin");
        let opened = socket(world.server.address(), "/api/v1/ws", None, &admin).await;
        sockets.push(opened.unwrap());
    }
    for (samples, event) in [(&mut system, "SystemMetrics"), (&mut api, "ApiMetrics")] {
        until(samples, event, "three connections more", |sample| {
            number(sample, "/active_connections") == before + 3.0
        })
        .await;
    }
    drop(sockets);
    until(&mut system, "SystemMetrics", "three connections less", |sample| {
        number(sample, "/active_connections") == before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_samples_count_statements() {
    let world = World::new().await;
    table(&world, "t", 10).await;
    let mut api = watch(
        &world,
        "monitoring.metrics",
        json!({"interval": 1, "events": ["ApiMetrics"]}),
    )
    .await;
    let mut system = machine(&world, "QUERIES").await;
    assert_eq!(number(&system.event().await.data, "/active_queries"), 0.0);
    let joins: String = (1..30).map(|at| format!(" CROSS JOIN t a{at}")).collect();
    let endless = json!({"sql": format!("SELECT count(*) AS n FROM t a0{joins}")});
    let running = watch(&world, "query.results", endless).await;
    for (samples, event) in [(&mut system, "SystemMetrics"), (&mut api, "ApiMetrics")] {
        until(samples, event, "a statement runs", |sample| {
            number(sample, "/active_queries") == 1.0
        })
        .await;
    }
    drop(running);
    until(&mut system, "SystemMetrics", "it was given up", |sample| {
        number(sample, "/active_queries") == 0.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_processors_are_busy_while_something_computes() {
    let world = World::new().await;
    let mut samples = machine(&world, "CPU").await;
    let stop = AtomicBool::new(false);
    let threads = std::thread::available_parallelism().unwrap().get();
    let busy = std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop()
                }
            });
        }
        let sample = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(until(
                &mut samples,
                "SystemMetrics",
                "busy",
                |sample| number(sample, "/cpu_usage") > 90.0,
            ))
        });
        stop.store(true, Ordering::Relaxed);
        sample
    });
    assert!(number(&busy, "/cpu_usage") <= 100.0, "{busy}");
    until(&mut samples, "SystemMetrics", "less busy", |sample| {
        number(sample, "/cpu_usage") < number(&busy, "/cpu_usage")
    })
    .await;
}

/// A line of /proc/meminfo, in bytes.
fn meminfo(name: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1_024.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_memory_of_the_machine_is_what_the_kernel_says() {
    const HELD: usize = 512 * MIB;
    let world = World::new().await;
    let mut samples = machine(&world, "MEMORY").await;
    let before = samples.event().await.data;
    let total = number(&before, "/memory_total");
    assert_eq!(total, meminfo("MemTotal:"));
    let held = vec![1_u8; HELD];
    let least = number(&before, "/memory_usage") + HELD as f64 / 2.0;
    let after = until(&mut samples, "SystemMetrics", "512 MiB are held", |sample| {
        number(sample, "/memory_usage") > least
    })
    .await;
    drop(std::hint::black_box(held));
    let share = number(&after, "/memory_usage") / total * 100.0;
    assert!(
        (number(&after, "/memory_percent") - share).abs() < 1e-6,
        "{after}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_bytes_of_disks_are_told_as_they_move() {
    let world = World::new().await;
    let mut samples = machine(&world, "DISK").await;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("bytes");
    let stop = AtomicBool::new(false);
    let moved = |name: &'static str, work: &(dyn Fn() + Sync), samples: &mut Watcher| {
        stop.store(false, Ordering::Relaxed);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    work()
                }
            });
            let seen = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(until(samples, "SystemMetrics", name, |sample| {
                    number(sample, name) > (4 * MIB) as f64
                }))
            });
            stop.store(true, Ordering::Relaxed);
            seen
        })
    };
    let write = || {
        let mut file = File::create(&path).unwrap();
        file.write_all(&vec![7; 16 * MIB]).unwrap();
        file.sync_all().unwrap();
    };
    moved("/disk_write_bps", &write, &mut samples);
    // Past the cache, which would answer instead of the disk.
    let read = || {
        let source = format!("if={}", path.display());
        let done = Command::new("dd")
            .args([&source, "of=/dev/null", "bs=1M", "iflag=direct", "status=none"])
            .status();
        assert!(done.unwrap().success());
    };
    moved("/disk_read_bps", &read, &mut samples);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_bytes_of_networks_are_told_as_they_move() {
    let world = World::new().await;
    let mut samples = machine(&world, "NETWORK").await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut receiver, _) = listener.accept().unwrap();
    let reading = AtomicBool::new(true);
    let seen = std::thread::scope(|scope| {
        scope.spawn(move || {
            let bytes = vec![7; MIB];
            while sender.write_all(&bytes).is_ok() {}
        });
        let reading = &reading;
        scope.spawn(move || {
            let mut bytes = vec![0; MIB];
            while reading.load(Ordering::Relaxed) && receiver.read(&mut bytes).is_ok_and(|count| count > 0) {}
        });
        let seen = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(until(
                &mut samples,
                "SystemMetrics",
                "bytes over the loopback",
                |sample| number(sample, "/network_rx_bps") > (16 * MIB) as f64,
            ))
        });
        reading.store(false, Ordering::Relaxed);
        seen
    });
    assert!(number(&seen, "/network_tx_bps") > (16 * MIB) as f64, "{seen}");
}

/// Who asks for some metrics is told those alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_samples_hold_what_was_asked_for() {
    let world = World::new().await;
    for (metric, fields) in [
        ("CPU", vec!["cpu_usage"]),
        ("MEMORY", vec!["memory_percent", "memory_total", "memory_usage"]),
        ("DISK", vec!["disk_read_bps", "disk_write_bps"]),
        ("NETWORK", vec!["network_rx_bps", "network_tx_bps"]),
        ("QUERIES", vec!["active_queries"]),
        ("CONNECTIONS", vec!["active_connections"]),
    ] {
        let sample = machine(&world, metric).await.event().await.data;
        let mut names: Vec<&str> = sample.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, fields, "{metric}");
    }
}
