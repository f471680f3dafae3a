//! Durable transactions through the server against PostgreSQL 15, on the same disk.
//!
//! `cargo bench -p rustydb --bench postgres [-- OPTIONS]`. Needs Debian's `postgresql-15`; a server of its own is started in
//! a new folder, as the user `postgres` when run by root, and ended. The server is called over REST and PostgreSQL over its
//! wire protocol with prepared statements, both over TCP on this machine, on connections that stay open, with as many
//! calls for the same work. Both answer a commit after its sync, at the isolation level of a snapshot, with 256 MiB of cache.
//!
//! | option | |
//! |---|---|
//! | `--only insert,transaction,hot,scan` | single-row inserts; transactions of a read, an update and an insert; updates of four rows; sums of 1,000 rows while as many clients update rows |
//! | `--clients 1,8,32` | |
//! | `--rounds 5`, `--sample-ms 1500` | |

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark says what it finds"
)]

#[path = "support/server.rs"]
mod server;
mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::{Client, IsolationLevel, NoTls, Statement};
use serde_json::{Value, json};
use server::{Connection, Server, api_key};
use support::{Args, Random, Samples, print_machine};

/// Where Debian puts the programs; `PG_BIN` names another place.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
const ROWS: u64 = 10_000;
const ROWS_A_CALL: u64 = 1_000;
const HOT_ROWS: u64 = 4;
const SCAN_ROWS: u64 = 1_000;
const READY: Duration = Duration::from_secs(60);

/// A PostgreSQL that ends with it.
struct Postgres {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Postgres {
    fn start() -> Postgres {
        // Beside the build and not in /tmp, which may be memory.
        let folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let user = user();
        if let Some((uid, gid)) = user {
            chown(&data, Some(uid), Some(gid)).unwrap();
        }
        let made = program("initdb", user)
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = port.local_addr().unwrap().port();
        let child = program("postgres", user)
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", data.display()))
            .args(["-c", "shared_buffers=256MB", "-c", "fsync=on"])
            .args(["-c", "synchronous_commit=on", "-c", "max_connections=100"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Postgres {
            child,
            port,
            _folder: folder,
        }
    }

    fn connect(&self) -> Client {
        let address = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", self.port);
        let begun = Instant::now();
        loop {
            match Client::connect(&address, NoTls) {
                Ok(client) => return client,
                Err(error) if begun.elapsed() > READY => panic!("PostgreSQL does not get ready: {error}"),
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A fast shutdown: it ends its processes and its memory.
        let pid = self.child.id().to_string();
        drop(Command::new("kill").args(["-INT", &pid]).status());
        drop(self.child.wait());
    }
}

/// PostgreSQL does not run as root: the user that its package made.
fn user() -> Option<(u32, u32)> {
    let id = |flag: &str, name: &str| -> u32 {
        let found = Command::new("id").args([flag, name]).output().unwrap();
        let found = String::from_utf8(found.stdout).unwrap();
        found
            .trim()
            .parse()
            .expect("there is a user `postgres`: apt-get install postgresql-15")
    };
    let own = Command::new("id").arg("-u").output().unwrap();
    (own.stdout == b"0\n").then(|| (id("-u", "postgres"), id("-g", "postgres")))
}

fn program(name: &str, user: Option<(u32, u32)>) -> Command {
    let folder = std::env::var("PG_BIN").unwrap_or_else(|_| PROGRAMS.to_owned());
    let path = PathBuf::from(folder).join(name);
    assert!(
        path.exists(),
        "{} is missing: apt-get install postgresql-15",
        path.display()
    );
    let mut command = Command::new(path);
    command.current_dir("/");
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// What one client does again and again. Each gives whether it was committed; a conflict is none.
trait Caller: Send {
    fn insert(&mut self, id: u64) -> bool;

    /// Reads the row `id`, changes it and inserts the row `new`, in five calls.
    fn transaction(&mut self, id: u64, new: u64) -> bool;

    /// Adds to the row.
    fn update(&mut self, id: u64) -> bool;

    /// The sum of some rows from `id` on.
    fn scan(&mut self, id: u64) -> bool;
}

fn name(id: u64) -> String {
    format!("name of row {id}")
}

const UPDATE: &str = "UPDATE bench SET score = score + 1 WHERE id = $1";
const SCAN: &str = "SELECT count(*), sum(score) FROM bench WHERE id >= $1 AND id < $2";

struct Rest(Connection);

impl Rest {
    fn sql(&mut self, sql: &str, params: &[u64]) -> bool {
        let body = json!({"sql": sql, "params": params}).to_string();
        self.committed("POST", "/api/v1/sql/query", &body)
    }

    /// Whether the call was done; anything else than a conflict is a mistake of the benchmark.
    fn committed(&mut self, method: &str, path: &str, body: &str) -> bool {
        let status = self.0.send(method, path, body);
        let done = (200..300).contains(&status);
        assert!(
            done || status == 409,
            "{method} {path}: {}",
            String::from_utf8_lossy(self.0.answer())
        );
        done
    }
}

impl Caller for Rest {
    fn insert(&mut self, id: u64) -> bool {
        let rows = json!({"rows": [{"id": id, "name": name(id), "score": 0.0}]}).to_string();
        self.committed("POST", "/api/v1/tables/bench/rows", &rows)
    }

    fn transaction(&mut self, id: u64, new: u64) -> bool {
        let begun = self.0.call("POST", "/api/v1/transactions", "{}", 201);
        let begun: Value = serde_json::from_slice(begun).unwrap();
        let transaction = begun["transaction_id"].as_str().unwrap();
        let row = format!("/api/v1/tables/bench/rows/{id}?transaction_id={transaction}");
        let found: Value = serde_json::from_slice(self.0.call("GET", &row, "", 200)).unwrap();
        let score = found["data"]["score"].as_f64().unwrap() + 1.0;
        let update = json!({"values": {"score": score}}).to_string();
        let rows = format!("/api/v1/tables/bench/rows?transaction_id={transaction}");
        let insert = json!({"rows": [{"id": new, "name": name(new), "score": score}]}).to_string();
        let done = self.committed("PUT", &row, &update) && self.committed("POST", &rows, &insert);
        let end = match done {
            true => "commit",
            false => "rollback",
        };
        let ended = self.committed("POST", &format!("/api/v1/transactions/{transaction}/{end}"), "");
        done && ended
    }

    fn update(&mut self, id: u64) -> bool {
        self.sql(UPDATE, &[id])
    }

    fn scan(&mut self, id: u64) -> bool {
        self.sql(SCAN, &[id, id + SCAN_ROWS])
    }
}

struct Wire {
    client: Client,
    insert: Statement,
    get: Statement,
    set: Statement,
    update: Statement,
    scan: Statement,
}

impl Wire {
    fn new(mut client: Client) -> Wire {
        let mut prepare = |sql: &str| client.prepare(sql).unwrap();
        let insert = prepare("INSERT INTO bench (id, name, score) VALUES ($1, $2, $3)");
        let get = prepare("SELECT id, name, score FROM bench WHERE id = $1");
        let set = prepare("UPDATE bench SET score = $2 WHERE id = $1");
        let (update, scan) = (prepare(UPDATE), prepare(SCAN));
        Wire {
            client,
            insert,
            get,
            set,
            update,
            scan,
        }
    }
}

/// Whether it was done; anything else than a conflict is a mistake of the benchmark.
fn committed<T>(done: Result<T, postgres::Error>) -> bool {
    match done {
        Ok(_) => true,
        Err(error) if error.code() == Some(&SqlState::T_R_SERIALIZATION_FAILURE) => false,
        Err(error) => panic!("PostgreSQL: {error}"),
    }
}

impl Caller for Wire {
    fn insert(&mut self, id: u64) -> bool {
        let done = self
            .client
            .execute(&self.insert, &[&(id as i64), &name(id), &0.0_f64]);
        committed(done)
    }

    fn transaction(&mut self, id: u64, new: u64) -> bool {
        let (id, new_id) = (id as i64, new as i64);
        let builder = self.client.build_transaction();
        let mut transaction = builder
            .isolation_level(IsolationLevel::RepeatableRead)
            .start()
            .unwrap();
        let found = transaction.query_one(&self.get, &[&id]).unwrap();
        let score: f64 = found.get::<_, f64>(2) + 1.0;
        let done = transaction
            .execute(&self.set, &[&id, &score])
            .and_then(|_| transaction.execute(&self.insert, &[&new_id, &name(new), &score]));
        match committed(done) {
            true => committed(transaction.commit()),
            false => {
                transaction.rollback().unwrap();
                false
            }
        }
    }

    fn update(&mut self, id: u64) -> bool {
        committed(self.client.execute(&self.update, &[&(id as i64)]))
    }

    fn scan(&mut self, id: u64) -> bool {
        let range = (id as i64, (id + SCAN_ROWS) as i64);
        committed(self.client.query(&self.scan, &[&range.0, &range.1]))
    }
}

#[derive(Clone, Copy)]
enum Work {
    Insert,
    Transaction,
    Hot,
    Scan,
}

/// Ids of rows that are inserted while it is measured.
static NEXT_ID: AtomicU64 = AtomicU64::new(ROWS);

impl Work {
    fn named(name: &str) -> Work {
        match name {
            "insert" => Work::Insert,
            "transaction" => Work::Transaction,
            "hot" => Work::Hot,
            "scan" => Work::Scan,
            other => panic!("{other}: there are insert, transaction, hot, scan"),
        }
    }

    fn what(self) -> &'static str {
        match self {
            Work::Insert => "durable inserts of one row",
            Work::Transaction => "transactions of a read, an update and an insert",
            Work::Hot => "updates of four rows",
            Work::Scan => "sums of 1,000 rows while as many clients update rows",
        }
    }

    fn call(self, caller: &mut dyn Caller, random: &mut Random) -> bool {
        let new = || NEXT_ID.fetch_add(1, Ordering::Relaxed);
        match self {
            Work::Insert => caller.insert(new()),
            Work::Transaction => caller.transaction(random.below(ROWS), new()),
            Work::Hot => caller.update(random.below(HOT_ROWS)),
            Work::Scan => caller.scan(random.below(ROWS - SCAN_ROWS)),
        }
    }

    /// Calls a second of the callers together; those in `beside` update rows meanwhile and don't count.
    fn rate(
        self,
        callers: &mut [Box<dyn Caller>],
        beside: &mut [Box<dyn Caller>],
        sample: Duration,
        seed: u64,
    ) -> f64 {
        let (begun, ended) = (Instant::now(), AtomicBool::new(false));
        let done: u64 = thread::scope(|scope| {
            for (caller, number) in beside.iter_mut().zip(0..) {
                let ended = &ended;
                scope.spawn(move || {
                    let mut random = Random::new(seed * 2000 + number + 1000);
                    while !ended.load(Ordering::Relaxed) {
                        caller.update(random.below(ROWS));
                    }
                });
            }
            let workers: Vec<_> = callers
                .iter_mut()
                .zip(0..)
                .map(|(caller, number)| {
                    scope.spawn(move || {
                        let (mut random, mut done) = (Random::new(seed * 2000 + number + 1), 0);
                        while begun.elapsed() < sample {
                            done += u64::from(self.call(caller.as_mut(), &mut random));
                        }
                        done
                    })
                })
                .collect();
            let done = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
            ended.store(true, Ordering::Relaxed);
            done
        });
        done as f64 / begun.elapsed().as_secs_f64()
    }
}

fn fill(rest: &mut Connection, wire: &mut Client) {
    let columns = json!([
        {"name": "id", "type": "bigint"},
        {"name": "name", "type": "text"},
        {"name": "score", "type": "double precision"},
    ]);
    let definition = json!({"columns": columns, "primary_key": ["id"]}).to_string();
    rest.call("POST", "/api/v1/tables/bench", &definition, 201);
    wire.batch_execute("CREATE TABLE bench (id bigint PRIMARY KEY, name text, score double precision)")
        .unwrap();
    for first in (0..ROWS).step_by(ROWS_A_CALL as usize) {
        let ids = first..first + ROWS_A_CALL;
        let rows: Vec<Value> = ids
            .clone()
            .map(|id| json!({"id": id, "name": name(id), "score": 0.0}))
            .collect();
        let rows = json!({"rows": rows}).to_string();
        rest.call("POST", "/api/v1/tables/bench/rows", &rows, 201);
        let values: Vec<String> = ids.map(|id| format!("({id}, '{}', 0)", name(id))).collect();
        wire.batch_execute(&format!("INSERT INTO bench VALUES {}", values.join(",")))
            .unwrap();
    }
    wire.batch_execute("VACUUM ANALYZE bench").unwrap();
}

fn main() {
    let args = Args::parse(&["only", "clients", "rounds", "sample-ms"]);
    let works = args.list("only", &["insert", "transaction", "hot", "scan"]);
    let works: Vec<Work> = works.iter().map(|name| Work::named(name)).collect();
    let counts = args.list("clients", &["1", "8", "32"]);
    let rounds = args.number("rounds", 5);
    let sample = Duration::from_millis(args.number("sample-ms", 1500));
    print_machine();
    let (server, postgres) = (Server::start(), Postgres::start());
    let key = api_key(&server.address);
    let rest = || -> Box<dyn Caller> { Box::new(Rest(Connection::open(&server.address, key.clone()))) };
    let wire = || -> Box<dyn Caller> { Box::new(Wire::new(postgres.connect())) };
    fill(
        &mut Connection::open(&server.address, key.clone()),
        &mut postgres.connect(),
    );
    println!(
        "{rounds} rounds of {} ms each, interleaved; {ROWS} rows at the start",
        sample.as_millis()
    );
    for count in counts {
        let count: usize = count.parse().expect("--clients takes numbers");
        let callers = |made: &dyn Fn() -> Box<dyn Caller>| -> Vec<_> { (0..count).map(|_| made()).collect() };
        let (mut ours, mut theirs) = (callers(&rest), callers(&wire));
        let (mut ours_beside, mut theirs_beside) = (callers(&rest), callers(&wire));
        for &work in &works {
            let beside = match work {
                Work::Scan => count,
                _ => 0,
            };
            let mut ours_rate = |seed| work.rate(&mut ours, &mut ours_beside[..beside], sample, seed);
            let mut theirs_rate = |seed| work.rate(&mut theirs, &mut theirs_beside[..beside], sample, seed);
            ours_rate(0);
            theirs_rate(0);
            let [mut our_rates, mut their_rates] = [const { Samples::new() }; 2];
            for round in 1..=rounds {
                our_rates.push(ours_rate(round));
                their_rates.push(theirs_rate(round));
            }
            println!(
                "\n{}, {count} clients, a second: median (min to max)",
                work.what()
            );
            println!("  server              {}", our_rates.spread(0));
            println!("  PostgreSQL          {}", their_rates.spread(0));
            println!("  server / PostgreSQL {}", our_rates.over(&their_rates).spread(2));
        }
    }
}
