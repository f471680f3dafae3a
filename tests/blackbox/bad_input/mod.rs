//! What is wrong answers the contract's error: the same code on every interface, and nothing is half-done.
//!
//! `generated` derives wrong inputs from the contract's types; the others are written by hand, each for one way of
//! being wrong.

mod derive;
mod generated;
mod references;
mod requests;
mod statements;
mod tokens;

use serde_json::{Value, json};

use crate::harness::credential::Credential;
use crate::harness::world::World;

/// The server has survived what it was sent.
async fn assert_answers(world: &World) {
    let alive = world
        .call("health.check_liveness", &json!({}), &Credential::Nobody)
        .await;
    assert_eq!(alive.unwrap()["alive"], Value::Bool(true));
    let summary = world
        .call("health.get_summary", &json!({}), &Credential::Nobody)
        .await;
    assert_eq!(summary.unwrap()["status"], "healthy");
}

/// Fails with all that was found.
fn assert_none(faults: &[String]) {
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
