//! Connect to a server: sign in with a user name and a password, see who one is, and do the same with an API key.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;

use rustydb_client::auth::{AuthCreateApiKeyInput, AuthRevokeApiKeyInput};
use rustydb_client::{Client, Credentials, ErrorCode};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env::var("RUSTYDB_URL").unwrap_or_else(|_| "http://127.0.0.1:8080".to_owned());
    let username = env::var("RUSTYDB_USERNAME").unwrap_or_else(|_| "admin".to_owned());
    let password = env::var("RUSTYDB_PASSWORD").map_err(|_| "RUSTYDB_PASSWORD is not set")?;

    // Nothing is sent yet. The first call that needs it signs in; the client renews its tokens by itself.
    let client = Client::builder(&url).password(username, password).build()?;
    let health = client.health().get_summary().await?;
    println!("the server at {url} is {}", health.status.as_str());

    let me = client.auth().validate().await?;
    println!("signed in as {} with the roles {:?}", me.username, me.roles);

    // An API key is for programs: it needs no password and lasts until it is revoked or expires.
    let key = client
        .auth()
        .create_api_key(&AuthCreateApiKeyInput {
            name: "example_rust_connect".to_owned(),
            expires_in_days: Some(1),
        })
        .await?;
    // Another identity on the same connection pool. `Client::builder(url).api_key(...)` begins with a key at once.
    let program = client.with_credentials(Credentials::ApiKey(key.api_key));
    let me = program.auth().validate().await?;
    println!("with the API key {:?} one is {}", key.name, me.username);

    client
        .auth()
        .revoke_api_key(&AuthRevokeApiKeyInput { id: key.id })
        .await?;
    match program.auth().validate().await {
        Err(error) if error.code() == Some(&ErrorCode::Unauthenticated) => {
            println!("once revoked, the key is refused");
        }
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("a revoked key was accepted".into()),
    }

    client.auth().logout().await?;
    println!("done");
    Ok(())
}
