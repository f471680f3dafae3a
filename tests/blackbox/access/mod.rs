//! Who may call what: every operation on every interface, by every role and by nobody, against the contract's table.
//!
//! What the table says is derived here from the roles and the operations' permissions, not asked of the server. A
//! denied call carries an input that would do something, and the state is compared around it.

mod statements;

use codegen::emit::examples;
use codegen::model::{Operation, PermissionRule};
use serde_json::Value;

use crate::harness::contract::model;
use crate::harness::error::Answer;
use crate::harness::wire::WIRES;
use crate::harness::world::World;

/// Callers; the last presents nothing.
const CALLERS: &[&str] = &["admin", "developer", "analyst", "monitor", "nobody"];

/// What the table says of a call.
#[derive(Debug, PartialEq)]
enum Verdict {
    Allowed,
    NoCredential,
    /// The permissions that are missing.
    Denied(Vec<String>),
}

fn verdict(caller: &str, needed: &[String]) -> Verdict {
    let Some(role) = model().roles.iter().find(|role| role.name == caller) else {
        return Verdict::NoCredential;
    };
    let missing: Vec<String> = needed
        .iter()
        .filter(|permission| !role.permissions.contains(permission))
        .cloned()
        .collect();
    if missing.is_empty() {
        Verdict::Allowed
    } else {
        Verdict::Denied(missing)
    }
}

/// What is wrong with an answer, by the table.
fn fault(verdict: &Verdict, answer: &Answer) -> Option<String> {
    let code = answer.as_ref().err().map(|error| error.code.as_str());
    let right = match (verdict, answer) {
        (Verdict::Allowed, _) => !matches!(code, Some("PERMISSION_DENIED" | "UNAUTHENTICATED")),
        (Verdict::NoCredential, Err(error)) => error.code == "UNAUTHENTICATED" && error.status == 401,
        (Verdict::Denied(missing), Err(error)) => {
            let named = missing.iter().all(|name| error.message.contains(name.as_str()));
            error.code == "PERMISSION_DENIED" && error.status == 403 && named
        }
        (_, Ok(_)) => false,
    };
    (!right).then(|| format!("{verdict:?}, but the answer is {answer:?}"))
}

/// Makes a call on every interface by everybody and notes what the table does not allow for.
async fn check(
    world: &World,
    operation: &'static Operation,
    input: &Value,
    verdict: impl Fn(&str) -> Verdict,
    faults: &mut Vec<String>,
) {
    let (allowed, denied): (Vec<&str>, Vec<&str>) = CALLERS
        .iter()
        .copied()
        .partition(|caller| verdict(caller) == Verdict::Allowed);
    let before = world.state().await;
    call(world, operation, input, &denied, &verdict, faults).await;
    let after = world.state().await;
    if before != after {
        faults.push(format!(
            "{} {input}: denied calls changed the state from\n{before}\nto\n{after}",
            operation.id
        ));
    }
    call(world, operation, input, &allowed, &verdict, faults).await;
}

async fn call(
    world: &World,
    operation: &'static Operation,
    input: &Value,
    callers: &[&str],
    verdict: &impl Fn(&str) -> Verdict,
    faults: &mut Vec<String>,
) {
    for caller in callers {
        for wire in WIRES {
            let answer = wire
                .call(world, operation, input, &world.credential(caller))
                .await;
            if let Some(fault) = fault(&verdict(caller), &answer) {
                faults.push(format!(
                    "{} {input} by {caller} over {wire:?}: {fault}",
                    operation.id
                ));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_every_operation_is_open_to_those_the_contract_names() {
    let world = World::with_keys().await;
    let mut faults = Vec::new();
    let mut calls = 0;
    for operation in model().operations() {
        let needed: Option<Vec<String>> = match &operation.permission {
            PermissionRule::Public => None,
            PermissionRule::Authenticated => Some(Vec::new()),
            PermissionRule::Permission(name) => Some(vec![name.clone()]),
            // Their permission is in the input: see `statements`.
            PermissionRule::Statement { .. } => continue,
        };
        let example = examples::succeeding(operation).next().unwrap();
        let input = world.prepare(operation, example).await;
        let of = |caller: &str| match &needed {
            None => Verdict::Allowed,
            Some(needed) => verdict(caller, needed),
        };
        check(&world, operation, &input, of, &mut faults).await;
        calls += CALLERS.len() * WIRES.len();
    }
    println!("{calls} calls");
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
