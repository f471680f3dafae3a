//! Numbers about the process and the machine, against what the operating system says of them.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{call, number, table};
use crate::harness::credential::Credential;
use crate::harness::rest::send;
use crate::harness::server::{ADMIN_PASSWORD, Server, data_dir, send_signal, serve};
use crate::harness::tools;
use crate::harness::world::World;

async fn info(world: &World, field: &str) -> f64 {
    number(
        &call(world, "admin.get_server_info", json!({})).await,
        &format!("/{field}"),
    )
}

fn bytes_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let bytes = |entry: std::fs::DirEntry| match entry.metadata().unwrap() {
        found if found.is_dir() => bytes_of(&entry.path()),
        found => found.len(),
    };
    entries.map(bytes).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_the_process_is_told_as_the_system_knows_it() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::reopened(Server::start_in(folder.path(), &[])).await;
    assert_eq!(
        info(&world, "process_id").await,
        f64::from(world.server.process_id())
    );
    let other = World::new().await;
    assert_eq!(
        info(&other, "process_id").await,
        f64::from(other.server.process_id())
    );
    let usable = std::thread::available_parallelism().unwrap().get() as f64;
    assert_eq!(info(&world, "cpus").await, usable);
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .unwrap();
    let kibibytes: f64 = total.trim().trim_end_matches(" kB").parse().unwrap();
    assert_eq!(info(&world, "memory_total_bytes").await, kibibytes * 1024.0);

    // Bound to one processor, it may use one.
    let mut one = Command::new("taskset");
    let plain = serve(&folder.path().join("one"));
    std::fs::create_dir(folder.path().join("one")).unwrap();
    one.args(["-c", "0"])
        .arg(plain.get_program())
        .args(plain.get_args());
    one.env("RUSTYDB_ADMIN_PASSWORD", ADMIN_PASSWORD);
    let bound = World::reopened(Server::spawn(one, &folder.path().join("one"))).await;
    assert_eq!(info(&bound, "cpus").await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_memory_and_data_grow_with_what_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::reopened(Server::start_in(folder.path(), &[])).await;
    table(&world, "t", 1).await;
    assert_eq!(
        info(&world, "data_bytes").await,
        bytes_of(world.server.data_dir()) as f64
    );
    let (memory, data) = (
        info(&world, "memory_process_bytes").await,
        info(&world, "data_bytes").await,
    );
    let resident = std::fs::read_to_string(format!("/proc/{}/status", world.server.process_id())).unwrap();
    let resident = resident
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let resident = resident.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0;
    assert!(
        (memory / resident - 1.0).abs() < 0.2,
        "{memory} bytes told, {resident} by the system"
    );
    // An open transaction holds what it has written.
    let begun = call(&world, "transactions.begin", json!({})).await;
    let id = &begun["transaction_id"];
    let (mut rows, text) = (0, "x".repeat(2000));
    for part in 0..4 {
        let batch: Vec<Value> = (0..4000)
            .map(|n| json!({"id": 10 + part * 4000 + n, "name": text}))
            .collect();
        rows += batch.len();
        call(
            &world,
            "database.insert_rows",
            json!({"name": "t", "rows": batch, "transaction_id": id}),
        )
        .await;
    }
    let held = (rows * text.len()) as f64;
    let grown = info(&world, "memory_process_bytes").await - memory;
    assert!(
        grown > 0.8 * held,
        "{held} bytes are held and memory grew by {grown}"
    );
    call(&world, "transactions.commit", json!({"id": id})).await;
    let grown = info(&world, "data_bytes").await - data;
    assert!(
        grown > 0.8 * held,
        "{held} bytes were written and the data grew by {grown}"
    );
    assert_eq!(
        info(&world, "data_bytes").await,
        bytes_of(world.server.data_dir()) as f64
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_uptime_is_the_time_since_the_start() {
    let before = Instant::now();
    let world = World::reopened(Server::start()).await;
    let after = Instant::now();
    let forms = [
        ("admin.get_server_info", "/uptime_seconds"),
        ("health.check_liveness", "/uptime_seconds"),
        ("health.get_detail", "/liveness/uptime_seconds"),
    ];
    let begun = Instant::now();
    for (id, pointer) in forms {
        let first = number(&call(&world, id, json!({})).await, pointer);
        loop {
            let least = after.elapsed().as_secs_f64().floor() - 1.0;
            let told = number(&call(&world, id, json!({})).await, pointer);
            let most = before.elapsed().as_secs_f64();
            assert!(
                (least..=most).contains(&told),
                "{id}: {told} is not within {least} and {most}"
            );
            if told >= first + 2.0 {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{id} stands still");
        }
    }
}

/// The process is held still while it starts: that time is part of its start-up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_startup_takes_as_long_as_it_took() {
    const HELD: Duration = Duration::from_millis(700);
    let http = reqwest::Client::new();
    let started = async |server: &Server, path: &str, pointer: &str| {
        let answer = send(http.get(format!("{}{path}", server.base_url))).await;
        number(&answer.body, pointer)
    };
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let server = Server::start_in(folder.path(), &[]);
    let took = begun.elapsed().as_millis() as f64;
    let plain = started(&server, "/api/v1/health/startup", "/startup_ms").await;
    assert_eq!(
        plain,
        started(&server, "/api/v1/health/full", "/startup/startup_ms").await,
        "it does not change later"
    );
    assert!(plain > 0.0 && plain <= took, "{plain} ms of {took}");

    let folder = tempfile::tempdir().unwrap();
    let mut command = serve(folder.path());
    command.env("RUSTYDB_ADMIN_PASSWORD", ADMIN_PASSWORD);
    let file = data_dir(folder.path()).join("store/lock");
    let begun = Instant::now();
    let holder = std::thread::spawn(move || {
        // The store is made after the clock was read and before the server is ready.
        while !file.exists() {
            std::hint::spin_loop();
        }
        let process_id = process_of(file.parent().unwrap().parent().unwrap());
        send_signal(process_id, "STOP");
        std::thread::sleep(HELD);
        send_signal(process_id, "CONT");
    });
    let server = Server::spawn(command, folder.path());
    let took = begun.elapsed().as_millis() as f64;
    holder.join().unwrap();
    let held = started(&server, "/api/v1/health/startup", "/startup_ms").await;
    assert!(
        held >= HELD.as_millis() as f64 && held <= took,
        "{held} ms of {took}, {plain} otherwise"
    );
}

/// The process that has the folder among its arguments.
fn process_of(folder: &Path) -> u32 {
    let shown = folder.to_string_lossy().into_owned();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .find(|id: &u32| {
            let arguments = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&arguments).contains(&shown)
        })
        .unwrap()
}

/// A check takes part of the time of its call, and that of the catalog longer with more in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_checks_take_part_of_the_time_of_the_call() {
    let world = World::new().await;
    let catalog = async |id: &str| {
        let mut least = f64::INFINITY;
        for _ in 0..20 {
            let begun = Instant::now();
            let answer = world.call(id, &json!({}), &Credential::Nobody).await.unwrap();
            let outside = begun.elapsed().as_micros() as f64;
            let components = answer["components"].as_array().unwrap();
            let all: f64 = components
                .iter()
                .map(|component| number(component, "/check_us"))
                .sum();
            assert!(all <= outside, "{id}: checks of {all} us in {outside} us");
            let place = components
                .iter()
                .find(|component| component["name"] == "catalog")
                .unwrap();
            least = least.min(number(place, "/check_us"));
        }
        least
    };
    let few = [
        catalog("health.get_summary").await,
        catalog("health.get_detail").await,
    ];
    for n in 0..150 {
        call(&world, "database.create", json!({"name": format!("d{n}")})).await;
    }
    let many = [
        catalog("health.get_summary").await,
        catalog("health.get_detail").await,
    ];
    for (few, many) in few.into_iter().zip(many) {
        assert!(many > 2.0 * few, "{few} us with one database, {many} us with 151");
    }
}

/// The formats are those of the file and of the pages that describe them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_formats_are_those_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::reopened(Server::start_in(folder.path(), &[])).await;
    let version = call(&world, "admin.get_version", json!({})).await;
    tokio::task::spawn_blocking(|| world.server.terminate())
        .await
        .unwrap();
    let store = data_dir(folder.path()).join("store");
    // docs/format/kernel.md: the format version is at offset 8 of the control file.
    let control = std::fs::read(store.join("control")).unwrap();
    let stored = u32::from_le_bytes(control[8..12].try_into().unwrap());
    assert_eq!(number(&version, "/data_format"), f64::from(stored));
    // docs/format/rows.md: 4 bytes big-endian behind the key, whose length and flags are before it in its cell.
    let pages = std::fs::read(store.join("tablespaces/00000/0000.pages")).unwrap();
    let cell = [&[13, 0, 0, 0][..], b"tables/format"].concat();
    let place = pages.windows(cell.len()).position(|bytes| bytes == cell).unwrap() + cell.len();
    let stored = u32::from_be_bytes(pages[place..place + 4].try_into().unwrap());
    assert_eq!(number(&version, "/row_format"), f64::from(stored));
}

/// A token is good for as long as is told: its claims say so too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_tokens_expire_when_they_say() {
    let world = World::new().await;
    let login = json!({"username": "admin", "password": ADMIN_PASSWORD});
    let tokens = world
        .call("auth.login", &login, &Credential::Nobody)
        .await
        .unwrap();
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    let refreshed = world
        .call("auth.refresh", &refresh, &Credential::Nobody)
        .await
        .unwrap();
    for pair in [tokens, refreshed] {
        let claims = claims(pair["access_token"].as_str().unwrap());
        let lifetime = number(&claims, "/exp") - number(&claims, "/iat");
        assert_eq!(number(&pair, "/expires_in"), lifetime);
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        assert!(
            (number(&claims, "/exp") - now - lifetime).abs() < 30.0,
            "{claims}"
        );
    }
}

/// Claims of a token, decoded by Python: nothing of the server is asked.
fn claims(token: &str) -> Value {
    let script = "import base64,sys\nbody=sys.argv[1].split('.')[1]\n\
        print(base64.urlsafe_b64decode(body+'='*(-len(body)%4)).decode())";
    let output = tools::python().args(["-c", script, token]).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}
