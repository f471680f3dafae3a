//! What a restart keeps.

use serde_json::{Value, json};

use crate::harness::credential::Credential;
use crate::harness::server::{ADMIN_PASSWORD, Server, data_dir, serve};
use crate::harness::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_keeps_users_keys_sessions_and_rows_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::on(Server::start_in(folder.path(), &[])).await;
    let login = json!({"username": "role_developer", "password": ADMIN_PASSWORD});
    let tokens = world
        .call("auth.login", &login, &Credential::Nobody)
        .await
        .unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let access = Credential::Bearer(text(&tokens["access_token"]));
    let created = world
        .must("auth.create_api_key", &json!({"name": "kept"}), "analyst")
        .await;
    let key = Credential::ApiKey(text(&created["api_key"]));
    let revoked = world
        .must("auth.create_api_key", &json!({"name": "gone"}), "analyst")
        .await;
    world
        .must("auth.revoke_api_key", &json!({"id": revoked["id"]}), "analyst")
        .await;
    let table = json!({"name": "kept", "columns": [{"name": "id", "type": "bigint"}], "primary_key": ["id"]});
    world.must("database.create_table", &table, "admin").await;
    world
        .must(
            "database.insert_rows",
            &json!({"name": "kept", "rows": [{"id": 1}, {"id": 2}]}),
            "admin",
        )
        .await;
    let begun = world.must("transactions.begin", &json!({}), "admin").await;
    let rows = json!({"name": "kept", "rows": [{"id": 3}], "transaction_id": begun["transaction_id"]});
    world.must("database.insert_rows", &rows, "admin").await;
    let users = world.must("admin.list_users", &json!({}), "admin").await;
    let keys = world.must("auth.get_signing_keys", &json!({}), "admin").await;
    tokio::task::spawn_blocking(|| world.server.terminate())
        .await
        .unwrap();

    // A password given to a later start changes nothing.
    let mut command = serve(folder.path());
    command.env("RUSTYDB_ADMIN_PASSWORD", "another password altogether");
    let world = World::reopened(Server::spawn(command, folder.path())).await;
    assert_eq!(world.must("admin.list_users", &json!({}), "admin").await, users);
    assert_eq!(
        world.must("auth.get_signing_keys", &json!({}), "admin").await,
        keys
    );
    for credential in [&access, &key] {
        let valid = world.call("auth.validate", &json!({}), credential).await.unwrap();
        assert_eq!(valid["valid"], true);
    }
    let revoked = Credential::ApiKey(text(&revoked["api_key"]));
    assert_eq!(
        world
            .call("auth.validate", &json!({}), &revoked)
            .await
            .unwrap_err()
            .code,
        "UNAUTHENTICATED"
    );
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    world
        .call("auth.refresh", &refresh, &Credential::Nobody)
        .await
        .unwrap();
    let reused = world
        .call("auth.refresh", &refresh, &Credential::Nobody)
        .await
        .unwrap_err();
    assert_eq!(reused.code, "INVALID_REFRESH_TOKEN");
    let count = world
        .must("database.count_rows", &json!({"name": "kept"}), "admin")
        .await;
    assert_eq!(count["count"], 2, "what was not committed is gone");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_keeps_its_signing_key_to_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_in(folder.path(), &[]);
    let key = data_dir(folder.path()).join("signing.key");
    let mode = || std::fs::metadata(&key).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    tokio::task::spawn_blocking(|| server.terminate()).await.unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = serve(folder.path()).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("chmod 600") && message.contains("signing.key"),
        "{message}"
    );
}
