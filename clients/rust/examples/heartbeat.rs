//! Signs of life: receive the server's heartbeats, and notice when none comes.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;
use std::time::Duration;

use rustydb_client::protocol::ProtocolHeartbeatInput;
use rustydb_client::{Client, Error, Interruption, Item, ReconnectPolicy};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env::var("RUSTYDB_URL").unwrap_or_else(|_| "http://127.0.0.1:8080".to_owned());
    let username = env::var("RUSTYDB_USERNAME").unwrap_or_else(|_| "admin".to_owned());
    let password = env::var("RUSTYDB_PASSWORD").map_err(|_| "RUSTYDB_PASSWORD is not set")?;
    let client = Client::builder(url).password(username, password).build()?;

    // The first comes at once, the others in the interval.
    let input = ProtocolHeartbeatInput {
        interval_ms: Some(200),
        ..Default::default()
    };
    let mut heartbeats = client.protocol().heartbeat(&input).open().await?;
    let mut beats = 0;
    while beats < 3 {
        match heartbeats.next().await.ok_or("the heartbeats ended")?? {
            Item::Event(event) => {
                println!("heartbeat {}", event.data.sequence);
                beats += 1;
            }
            Item::Notice(notice) => println!("notice: {}", notice.control.kind.as_str()),
        }
    }
    drop(heartbeats);

    // Every subscription notices silence: by default a connection on which nothing came for 45 s is given up and made
    // anew. Here one that is silent for half a second is an error, and the heartbeats are an hour apart, so that the
    // server looks as if it had died behind the first.
    let input = ProtocolHeartbeatInput {
        interval_ms: Some(3_600_000),
        ..Default::default()
    };
    let impatient = ReconnectPolicy {
        silence_max: Duration::from_millis(500),
        ..ReconnectPolicy::never()
    };
    let mut heartbeats = client
        .protocol()
        .heartbeat(&input)
        .with_reconnect(impatient)
        .with_timeout(Duration::from_secs(10))
        .open()
        .await?;
    loop {
        match heartbeats.next().await.ok_or("the heartbeats ended")? {
            Ok(Item::Event(event)) => println!("heartbeat {}", event.data.sequence),
            Ok(Item::Notice(_)) => {}
            Err(Error::Interrupted {
                cause: Interruption::Silent(silence),
                ..
            }) => {
                println!("no sign of life for {} ms", silence.as_millis());
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    println!("done");
    Ok(())
}
