//! Starting and stopping.

use std::process::{Command, Output};

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::ENDLESS;
use crate::harness::credential::Credential;
use crate::harness::rest::{problem, send};
use crate::harness::rpc::Socket;
use crate::harness::server::{ADMIN_PASSWORD, Server, binary, data_dir, send_signal, serve};
use crate::harness::world::World;

/// Runs a server that must not start.
fn refused(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .env("RUSTYDB_ADMIN_PASSWORD", ADMIN_PASSWORD)
        .output()
        .unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert_eq!(
        String::from_utf8(stdout).unwrap(),
        "",
        "standard output is for the ready line"
    );
    assert!(
        stderr.lines().last().unwrap().starts_with("rustydb: "),
        "{stderr}"
    );
    stderr
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_is_ready_when_it_says_so_and_says_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let world = World::reopened(Server::start_in(folder.path(), &[])).await;
        let ready = world
            .call("health.check_readiness", &json!({}), &Credential::Nobody)
            .await
            .unwrap();
        assert_eq!(ready["ready"], true);
        let port: u16 = world
            .server
            .address()
            .strip_prefix("127.0.0.1:")
            .unwrap()
            .parse()
            .unwrap();
        assert_ne!(port, 0, "the real port is told");
        let (status, rest) = tokio::task::spawn_blocking(|| world.server.terminate())
            .await
            .unwrap();
        assert_eq!((status.code(), rest.as_str()), (Some(0), ""));
    }
}

#[test]
fn server_that_cannot_listen_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let running = Server::start();
    let mut command = binary();
    command
        .args(["serve", "--listen", running.address(), "--data-dir"])
        .arg(data_dir(folder.path()));
    let message = refused(&mut command);
    assert!(
        message.contains(running.address()) && message.contains("--listen"),
        "{message}"
    );
    for listen in ["nonsense", "127.0.0.1", "127.0.0.1:99999"] {
        let mut command = binary();
        command
            .args(["serve", "--listen", listen, "--data-dir"])
            .arg(data_dir(folder.path()));
        assert!(refused(&mut command).contains(listen), "{listen}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_listens_to_other_machines_only_when_told() {
    let folder = tempfile::tempdir().unwrap();
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let mut command = binary();
        command
            .args(["serve", "--listen", listen, "--data-dir"])
            .arg(data_dir(folder.path()));
        assert!(refused(&mut command).contains("--allow-remote"));
        assert!(
            !data_dir(folder.path()).exists(),
            "a refused server makes no data"
        );
    }
    let mut command = binary();
    command
        .args(["serve", "--allow-remote", "--listen", "0.0.0.0:0", "--data-dir"])
        .arg(data_dir(folder.path()))
        .env("RUSTYDB_ADMIN_PASSWORD", ADMIN_PASSWORD);
    let server = Server::spawn(command, folder.path());
    let port = server.address().rsplit_once(':').unwrap().1.to_owned();
    let answer =
        send(reqwest::Client::new().get(format!("http://127.0.0.1:{port}/api/v1/health/liveness"))).await;
    assert_eq!(answer.status, 200);
}

#[test]
fn server_keeps_a_data_directory_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Server::start_in(folder.path(), &[]);
    let message = refused(&mut serve(folder.path()));
    assert!(
        message.contains(&*data_dir(folder.path()).to_string_lossy()),
        "{message}"
    );
    assert!(running.is_alive());
}

/// The number is changed in the file itself, as another version would have written it (docs/format/kernel.md).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_refuses_data_of_another_format_naming_both() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_in(folder.path(), &[]);
    assert!(
        tokio::task::spawn_blocking(|| server.terminate())
            .await
            .unwrap()
            .0
            .success()
    );
    let file = data_dir(folder.path()).join("store/control");
    let replaced = |version: u32| {
        let mut bytes = std::fs::read(&file).unwrap();
        let before = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
        for slot in bytes
            .chunks_mut(4096)
            .filter(|slot| slot.starts_with(b"RDBCTRL\0"))
        {
            slot[8..12].copy_from_slice(&version.to_le_bytes());
            slot[12..16].fill(0);
            let sum = crc32c(slot);
            slot[12..16].copy_from_slice(&sum.to_le_bytes());
        }
        std::fs::write(&file, bytes).unwrap();
        before
    };
    let own = replaced(4711);
    let message = refused(&mut serve(folder.path()));
    assert!(
        message.contains("4711") && message.contains(&own.to_string()),
        "{message}"
    );
    let kept = replaced(own);
    assert_eq!(kept, 4711, "a refused server leaves the data as they are");
    World::reopened(Server::start_in(folder.path(), &[])).await;
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 {
                sum >> 1 ^ 0x82f6_3b78
            } else {
                sum >> 1
            };
        }
    }
    !sum
}

/// What a server left is whole; a byte that rots in a page is told by the page's number.
#[test]
fn server_leaves_data_that_check_finds_whole() {
    let folder = tempfile::tempdir().unwrap();
    let check = || {
        let output = binary()
            .args(["check", "--data-dir"])
            .arg(data_dir(folder.path()))
            .output()
            .unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(told).unwrap())
    };
    let (is_whole, told) = check();
    assert!(!is_whole && told.contains("there is no data directory"), "{told}");
    let server = Server::start_in(folder.path(), &[]);
    let (is_whole, told) = check();
    assert!(
        !is_whole && told.contains("another process has the store open"),
        "{told}"
    );
    assert!(server.terminate().0.success());
    let (is_whole, told) = check();
    assert!(is_whole && told.contains("nothing is wrong"), "{told}");
    let pages = data_dir(folder.path()).join("store/tablespaces/00000/0000.pages");
    let mut bytes = std::fs::read(&pages).unwrap();
    // Page 2 is the root of the directory, docs/format/kernel.md.
    bytes[2 * 8192 + 5000] ^= 1;
    std::fs::write(&pages, &bytes).unwrap();
    let (is_whole, told) = check();
    assert!(!is_whole && told.contains("page 0:2 is corrupt"), "{told}");
}

/// A copy of a segment of the log that rots is told by its file and the place in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_leaves_an_archive_that_check_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::reopened(Server::start_in(folder.path(), &[])).await;
    for number in 1..=2 {
        let columns = json!([{"name": "id", "type": "bigint"}]);
        let input = json!({"name": format!("t{number}"), "columns": columns});
        world.must("database.create_table", &input, "admin").await;
        world
            .must("transactions.switch_wal_segment", &json!({}), "admin")
            .await;
    }
    let archived = world.must("transactions.archive_wal", &json!({}), "admin").await;
    assert_eq!(archived["segments"], json!([1, 2]));
    let ended = tokio::task::spawn_blocking(|| world.server.terminate());
    assert!(ended.await.unwrap().0.success());
    let check = || {
        let mut command = binary();
        let output = command
            .args(["check", "--data-dir"])
            .arg(data_dir(folder.path()))
            .output()
            .unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(told).unwrap())
    };
    let (is_whole, told) = check();
    assert!(
        is_whole && told.contains("2 finished segments of the log, 2 archived"),
        "{told}"
    );
    for (file, whole) in [("store/archive", "store/wal"), ("store/wal", "store/archive")] {
        let path = data_dir(folder.path()).join(file).join("0000000000000002.wal");
        let bytes = std::fs::read(&path).unwrap();
        let mut rotten = bytes.clone();
        // The first fragment is behind the header of 64 bytes, docs/format/log.md.
        rotten[64 + 50] ^= 1;
        std::fs::write(&path, &rotten).unwrap();
        let (is_whole, told) = check();
        let expected =
            format!("{file}/0000000000000002.wal is damaged at byte 64: the checksum of a fragment is wrong");
        assert!(!is_whole && told.contains(&expected), "{told}");
        assert!(!told.contains(&format!("{whole}/")), "{told}");
        std::fs::write(&path, &bytes).unwrap();
    }
    let (is_whole, told) = check();
    assert!(is_whole, "{told}");
}

/// A data directory of format version 2 has its store in one file of another engine.
#[test]
fn server_refuses_data_of_an_older_engine_naming_both() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(data_dir(folder.path())).unwrap();
    std::fs::write(data_dir(folder.path()).join("rustydb.redb"), b"redb").unwrap();
    let message = refused(&mut serve(folder.path()));
    assert!(
        message.contains("version 2") && message.contains("reads 3"),
        "{message}"
    );
}

/// The call is in a transaction, whose last use tells from outside that the call has begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_finishes_calls_under_way_when_it_is_asked_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::on(Server::start_in(folder.path(), &[])).await;
    let begun = world.must("transactions.begin", &json!({}), "admin").await;
    let id = &begun["transaction_id"];
    let mut socket = Socket::open(world.server.address(), &world.credential("admin"))
        .await
        .unwrap();
    let body = json!({"sql": ENDLESS, "timeout": 2000, "transaction_id": id});
    let request = world
        .http
        .post(format!("{}/api/v1/sql/query", world.base_url()))
        .json(&body);
    let slow = tokio::spawn(send(world.credential("admin").on(request)));
    loop {
        let open = world
            .must("transactions.list_active", &json!({}), "monitor")
            .await;
        if open["transactions"][0]["last_used_at"] != begun["last_used_at"] {
            break;
        }
    }
    send_signal(world.server.process_id(), "TERM");
    assert_eq!(socket.closed().await, Some(1001));
    let answer = slow.await.unwrap();
    assert_eq!(problem(&answer).code, "DEADLINE_EXCEEDED", "{answer:?}");
    let (status, rest) = tokio::task::spawn_blocking(|| world.server.terminate())
        .await
        .unwrap();
    assert_eq!((status.code(), rest.as_str()), (Some(0), ""));
}

/// One who never sends the rest of a body, and one who asks for megabytes and takes none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_stops_in_time_though_callers_do_not_go_on() {
    let world = World::with_keys().await;
    let mut half = TcpStream::connect(world.server.address()).await.unwrap();
    let head = "POST /api/v1/sql/query HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
        Content-Length: 1000\r\n\r\n{";
    half.write_all(head.as_bytes()).await.unwrap();
    let mut deaf = Socket::open(world.server.address(), &world.credential("admin"))
        .await
        .unwrap();
    let megabyte = "SELECT repeat('x', 60000) AS x FROM generate_series(1, 17)";
    for id in 0..100 {
        let call =
            json!({"jsonrpc": "2.0", "id": id, "method": "sql.execute_query", "params": {"sql": megabyte}});
        deaf.send_text(call.to_string()).await;
    }
    // Others are served meanwhile.
    world.must("database.list_tables", &json!({}), "admin").await;
    let (status, rest) = tokio::task::spawn_blocking(|| world.server.terminate())
        .await
        .unwrap();
    assert_eq!((status.code(), rest.as_str()), (Some(0), ""));
    drop((half, deaf));
}

#[test]
fn server_help_and_wrong_arguments_are_told() {
    let output = binary().arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.contains("serve") && text.contains("demo"),
        "{text}"
    );
    let output = binary().args(["serve", "--colour"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let mut command = binary();
    command.args(["serve", "--config", "/no/such/file.toml"]);
    assert!(refused(&mut command).contains("/no/such/file.toml"));
}
