//! Secrets: shown once where they must be, and never in the log.

use serde_json::{Value, json};

use crate::harness::credential::Credential;
use crate::harness::rpc::Socket;
use crate::harness::server::{ADMIN_PASSWORD, Server, serve};
use crate::harness::wire::WIRES;
use crate::harness::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_makes_a_password_on_the_first_start_and_tells_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = serve(folder.path());
        command.env_remove("RUSTYDB_ADMIN_PASSWORD");
        Server::spawn(command, folder.path())
    };
    let server = start();
    let log = server.log();
    let (_, after) = log
        .split_once("`admin` with the password ")
        .expect("the password is told");
    let password = after.split_whitespace().next().unwrap().to_owned();
    assert!(password.len() >= 24, "{} characters", password.len());
    let login = json!({"username": "admin", "password": password});
    let http = reqwest::Client::new();
    let answer = http
        .post(format!("{}/api/v1/auth/login", server.base_url))
        .json(&login)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    tokio::task::spawn_blocking(|| server.terminate()).await.unwrap();
    let server = start();
    let answer = http
        .post(format!("{}/api/v1/auth/login", server.base_url))
        .json(&login)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        server.log().matches(&password).count(),
        1,
        "told once, not on the second start"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_refuses_a_first_password_that_is_too_short() {
    let folder = tempfile::tempdir().unwrap();
    let output = serve(folder.path())
        .env("RUSTYDB_ADMIN_PASSWORD", "short")
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("12"), "the least length is told: {message}");
    assert!(!message.contains("`short`"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_never_logs_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::on(Server::start_in(folder.path(), &["--log", "debug"])).await;
    let mut secrets = vec![
        ADMIN_PASSWORD.to_owned(),
        "a changed password".to_owned(),
        "a wrong password".to_owned(),
    ];
    let nobody = Credential::Nobody;
    for wire in WIRES {
        let call = |id: &'static str, input: Value, credential: Credential| {
            let world = &world;
            async move {
                let operation = crate::harness::contract::operation(id);
                wire.call(world, operation, &input, &credential).await
            }
        };
        let login = json!({"username": "role_developer", "password": ADMIN_PASSWORD});
        let tokens = call("auth.login", login, nobody.clone()).await.unwrap();
        let wrong = json!({"username": "role_developer", "password": "a wrong password"});
        call("auth.login", wrong, nobody.clone()).await.unwrap_err();
        let refreshed = call(
            "auth.refresh",
            json!({"refresh_token": tokens["refresh_token"]}),
            nobody.clone(),
        )
        .await;
        let refreshed = refreshed.unwrap();
        for pair in [&tokens, &refreshed] {
            secrets.push(pair["access_token"].as_str().unwrap().to_owned());
            secrets.push(pair["refresh_token"].as_str().unwrap().to_owned());
        }
        let bearer = Credential::Bearer(refreshed["access_token"].as_str().unwrap().to_owned());
        let key = call("auth.create_api_key", json!({"name": "logged"}), bearer.clone())
            .await
            .unwrap();
        let key = key["api_key"].as_str().unwrap().to_owned();
        secrets.push(key.clone());
        call("auth.validate", json!({}), Credential::ApiKey(key))
            .await
            .unwrap();
        let change = json!({"id": "role_monitor", "password": "a changed password"});
        call("admin.update_user", change, world.credential("admin"))
            .await
            .unwrap();
        // Refused: the value is in the input and not in the message.
        let short = json!({"id": "role_monitor", "password": "tooshort"});
        let refused = call("admin.update_user", short, world.credential("admin"))
            .await
            .unwrap_err();
        assert!(!format!("{refused:?}").contains("tooshort"), "{refused:?}");
        secrets.push("tooshort".to_owned());
        let damaged = Credential::Bearer(format!("{}x", refreshed["access_token"].as_str().unwrap()));
        call("auth.validate", json!({}), damaged).await.unwrap_err();
    }
    let Credential::Bearer(token) = world.credential("analyst") else {
        panic!("tokens were asked for")
    };
    let offered = format!("rustydb.json, bearer.{token}");
    let headers = [("sec-websocket-protocol", offered.as_str())];
    let mut socket = Socket::open_with(world.server.address(), &nobody, &headers)
        .await
        .unwrap();
    socket.call("auth", &json!({"token": token})).await.unwrap();
    secrets.push(token);
    let log = world.server.log();
    assert!(
        log.contains("auth.login") && log.contains("DEBUG"),
        "the log is at the level that was asked for"
    );
    for secret in &secrets {
        assert!(!log.contains(secret.as_str()), "{secret} is in the log");
    }
}
