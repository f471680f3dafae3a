//! What probes find, and each change of it told once, on probes that a test sets.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::time::Instant;

use parking_lot::Mutex;
use rustydb_contract::Interface;
use rustydb_contract::stream::Body;
use rustydb_contract_health::views::STATUS_CHANGES;
use rustydb_runtime::ManualClock;

use super::*;

/// What the probe of one part finds, and how long it takes.
#[derive(Clone)]
struct Part(Arc<Mutex<(Result<(), &'static str>, u64)>>);

impl Part {
    fn set(&self, finds: Result<(), &'static str>, takes_us: u64) {
        *self.0.lock() = (finds, takes_us);
    }
}

struct World {
    health: Health,
    parts: [Part; 2],
    /// How often the first part was asked.
    looks: Arc<AtomicU64>,
}

fn world() -> World {
    let clock = Arc::new(ManualClock::new(0));
    let parts = [(); 2].map(|()| Part(Arc::new(Mutex::new((Ok(()), 100)))));
    let looks = Arc::new(AtomicU64::new(0));
    let component = |name, part: &Part, looks: Arc<AtomicU64>| {
        let (part, clock) = (part.clone(), Arc::clone(&clock));
        let probe = move || {
            looks.fetch_add(1, Ordering::Relaxed);
            let (finds, takes_us) = *part.0.lock();
            clock.advance_us(takes_us);
            match finds {
                Err("panic") => panic!("the probe is broken"),
                finds => finds.map_err(str::to_owned),
            }
        };
        Component {
            name,
            probe: Box::new(probe),
        }
    };
    let components = vec![
        component("left", &parts[0], Arc::clone(&looks)),
        component("right", &parts[1], Arc::default()),
    ];
    let health = Health::new(clock);
    health.opened(components);
    health.started();
    World { health, parts, looks }
}

fn context() -> CallContext {
    CallContext {
        operation: &STATUS_CHANGES.open,
        interface: Interface::Rest,
        request_id: "test".into(),
        principal: None,
        credential: Default::default(),
        peer: None,
        connection: None,
        deadline: Instant::now() + std::time::Duration::from_secs(30),
    }
}

async fn watch(world: &World) -> Subscription<HealthStatusChange> {
    let input = HealthStatusChangesInput {
        interval_seconds: Some(1),
        ..HealthStatusChangesInput::default()
    };
    world.health.status_changes(&context(), input).await.unwrap()
}

/// Status, names of the changed parts, errors and warnings of the next event.
async fn next(
    changes: &mut Subscription<HealthStatusChange>,
) -> (HealthStatus, Vec<String>, Vec<String>, Vec<String>) {
    match changes.next().await.unwrap().unwrap().body {
        Body::Event(change) => (
            change.status,
            change
                .changed_components
                .into_iter()
                .map(|part| part.name)
                .collect(),
            change.errors,
            change.warnings,
        ),
        other => panic!("{other:?}"),
    }
}

fn told(
    status: HealthStatus,
    changed: &[&str],
    errors: &[&str],
    warnings: &[&str],
) -> (HealthStatus, Vec<String>, Vec<String>, Vec<String>) {
    let owned = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
    (status, owned(changed), owned(errors), owned(warnings))
}

/// Waits until the task has looked so often again.
async fn looked(world: &World, times: u64) {
    let until = world.looks.load(Ordering::Relaxed) + times;
    while world.looks.load(Ordering::Relaxed) < until {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn each_change_is_told_once_in_both_directions() {
    let world = world();
    let [left, right] = &world.parts;
    let mut changes = watch(&world).await;
    let all = told(HealthStatus::Healthy, &["left", "right"], &[], &[]);
    assert_eq!(next(&mut changes).await, all);
    // Nothing changes, and nothing is told of it: the next event is that of the change.
    looked(&world, 2).await;
    left.set(Err("the disk is gone"), 100);
    let gone = "left: the disk is gone";
    assert_eq!(
        next(&mut changes).await,
        told(HealthStatus::Unhealthy, &["left"], &[gone], &[])
    );
    right.set(Ok(()), CHECK_US_MAX + 1_000);
    let slow = "right: the check took 5001 ms";
    assert_eq!(
        next(&mut changes).await,
        told(HealthStatus::Unhealthy, &["right"], &[gone], &[slow])
    );
    // A part that is still wrong, for another reason, has not changed.
    left.set(Err("the disk is full"), 100);
    looked(&world, 2).await;
    left.set(Ok(()), 100);
    assert_eq!(
        next(&mut changes).await,
        told(HealthStatus::Degraded, &["left"], &[], &[slow])
    );
    right.set(Ok(()), CHECK_US_MAX);
    assert_eq!(
        next(&mut changes).await,
        told(HealthStatus::Healthy, &["right"], &[], &[])
    );
}

#[tokio::test]
async fn who_comes_later_is_told_what_is_now_and_then_the_same_as_the_others() {
    let world = world();
    let mut early = watch(&world).await;
    next(&mut early).await;
    world.parts[1].set(Err("no users"), 100);
    let unhealthy = |changed: &[&str]| told(HealthStatus::Unhealthy, changed, &["right: no users"], &[]);
    let mut late = watch(&world).await;
    assert_eq!(next(&mut late).await, unhealthy(&["left", "right"]));
    assert_eq!(next(&mut early).await, unhealthy(&["right"]));
    world.parts[1].set(Ok(()), 100);
    for changes in [&mut early, &mut late] {
        assert_eq!(
            next(changes).await,
            told(HealthStatus::Healthy, &["right"], &[], &[])
        );
    }
}

#[tokio::test]
async fn subscribers_of_an_interval_share_the_looks_and_the_last_ends_them() {
    let world = world();
    let mut subscribers = [watch(&world).await, watch(&world).await, watch(&world).await];
    assert_eq!(world.looks.load(Ordering::Relaxed), 3, "one for each beginning");
    for changes in &mut subscribers {
        next(changes).await;
    }
    let begun = Instant::now();
    for finds in [Err("no users"), Ok(()), Err("no users")] {
        world.parts[1].set(finds, 100);
        for changes in &mut subscribers {
            assert_eq!(next(changes).await.1, ["right"]);
        }
    }
    // The second that had begun with the subscriptions, and those since.
    let seconds = begun.elapsed().as_secs() + 1;
    let looks = world.looks.load(Ordering::Relaxed) - 3;
    assert!((3..=seconds).contains(&looks), "{looks} looks in {seconds} s");
    drop(subscribers);
    while world.health.looks.is_looking() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_probe_that_panics_is_a_part_that_is_unhealthy() {
    let world = world();
    world.parts[0].set(Err("panic"), 100);
    let context = context();
    let summary = world
        .health
        .get_summary(&context, HealthGetSummaryInput::default());
    let summary = summary.await.unwrap();
    assert_eq!(summary.status, HealthStatus::Unhealthy);
    let problem = summary.components[0].message.as_deref().unwrap();
    assert!(
        problem.starts_with("left: ") && problem.contains("the log"),
        "{problem}"
    );
    assert_eq!(summary.components[1].status, HealthStatus::Healthy);
}

#[tokio::test]
async fn a_slow_part_serves_and_an_unhealthy_one_does_not() {
    let world = world();
    let ready = async || {
        let input = HealthCheckReadinessInput::default();
        world.health.check_readiness(&context(), input).await
    };
    world.parts[0].set(Ok(()), CHECK_US_MAX * 2);
    assert_eq!(ready().await.unwrap(), Readiness { ready: true });
    world.parts[1].set(Err("no users"), 100);
    assert_eq!(ready().await.unwrap_err().message(), "right: no users");
}

#[tokio::test]
async fn a_server_that_starts_lives_and_says_how_far_it_is() {
    let clock = Arc::new(ManualClock::new(0));
    let health = Health::new(Arc::clone(&clock) as _);
    clock.advance_us(2_500_000);
    let context = &context();
    let alive = health.check_liveness(context, HealthCheckLivenessInput::default());
    let alive = alive.await.unwrap();
    assert_eq!((alive.alive, alive.uptime_seconds), (true, 2));
    let startup = || health.check_startup(context, HealthCheckStartupInput::default());
    let refused = startup().await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.retry_after_seconds()),
        ("SERVER_STARTING", Some(1))
    );
    let expected =
        serde_json::json!({"phase": "opening", "replayed_bytes": 0, "total_bytes": 0, "percent": 0.0});
    assert_eq!(refused.details(), Some(&expected));
    for refused in [
        health
            .check_readiness(context, HealthCheckReadinessInput::default())
            .await
            .map(drop),
        health
            .get_summary(context, HealthGetSummaryInput::default())
            .await
            .map(drop),
        health
            .get_detail(context, HealthGetDetailInput::default())
            .await
            .map(drop),
    ] {
        assert_eq!(refused.unwrap_err().code(), "SERVER_STARTING");
    }
    health.opened(Vec::new());
    assert_eq!(startup().await.unwrap_err().code(), "SERVER_STARTING");
    health.started();
    assert_eq!(startup().await.unwrap().startup_ms, 2_500);
    health
        .check_readiness(context, HealthCheckReadinessInput::default())
        .await
        .unwrap();
}
