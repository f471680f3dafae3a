//! /metrics: who may read it, and that it counts.

use std::collections::BTreeMap;

use serde_json::json;

use crate::harness::contract;
use crate::harness::credential::Credential;
use crate::harness::rest::{RawAnswer, problem, send};
use crate::harness::wire::WIRES;
use crate::harness::world::World;

async fn page(world: &World, credential: &Credential) -> RawAnswer {
    send(credential.on(world.http.get(format!("{}/metrics", world.base_url())))).await
}

/// Series to value.
fn series(page: &RawAnswer) -> BTreeMap<String, f64> {
    assert_eq!(page.status, 200, "{page:?}");
    let text = page.body.as_str().unwrap();
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_metrics_need_the_permission() {
    let world = World::with_keys().await;
    for (role, expected) in [
        ("admin", None),
        ("monitor", None),
        ("developer", Some("PERMISSION_DENIED")),
        ("analyst", Some("PERMISSION_DENIED")),
        ("nobody", Some("UNAUTHENTICATED")),
    ] {
        let page = page(&world, &world.credential(role)).await;
        match expected {
            None => {
                assert!(
                    page.headers["content-type"]
                        .to_str()
                        .unwrap()
                        .starts_with("text/plain"),
                    "{role}"
                );
                let text = page.body.as_str().unwrap();
                for line in [
                    "# HELP rustydb_calls_total ",
                    "# TYPE rustydb_calls_total counter",
                ] {
                    assert!(text.contains(line), "{line}");
                }
            }
            Some(code) => {
                let error = problem(&page);
                assert_eq!(error.code, code, "{role}");
                assert!(
                    code == "UNAUTHENTICATED" || error.message.contains("system:read"),
                    "{error:?}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_metrics_count_calls_by_operation_interface_and_code() {
    let world = World::with_keys().await;
    let admin = world.credential("admin");
    let before = series(&page(&world, &admin).await);
    let operation = contract::operation("database.get_table");
    let table = json!({"name": "counted", "columns": [{"name": "id", "type": "bigint"}]});
    world.must("database.create_table", &table, "admin").await;
    let calls = [
        ("counted", 3, "OK"),
        ("none", 2, "TABLE_NOT_FOUND"),
        ("", 1, "INVALID_ARGUMENT"),
    ];
    for wire in WIRES {
        for (name, count, _) in calls {
            for _ in 0..count {
                // A path can't hold an empty name: a query that is refused stands in for it.
                let input = if name.is_empty() {
                    json!({"name": "t", "database": ""})
                } else {
                    json!({"name": name})
                };
                drop(wire.call(&world, operation, &input, &admin).await);
            }
        }
        drop(
            wire.call(&world, operation, &json!({"name": "t"}), &Credential::Nobody)
                .await,
        );
        drop(
            wire.call(
                &world,
                operation,
                &json!({"name": "t"}),
                &world.credential("monitor"),
            )
            .await,
        );
    }
    let after = series(&page(&world, &admin).await);
    let moved = |name: &str| after.get(name).unwrap_or(&0.0) - before.get(name).unwrap_or(&0.0);
    for interface in ["rest", "rpc", "graphql"] {
        let denied = [("", 1, "UNAUTHENTICATED"), ("", 1, "PERMISSION_DENIED")];
        for (_, count, code) in calls.into_iter().chain(denied) {
            let name = format!(
                "rustydb_calls_total{{operation=\"database.get_table\",interface=\"{interface}\",code=\"{code}\"}}"
            );
            assert_eq!(moved(&name), f64::from(count), "{name}\n{after:?}");
        }
        let name = format!(
            "rustydb_call_duration_seconds_count{{operation=\"database.get_table\",interface=\"{interface}\"}}"
        );
        assert_eq!(moved(&name), 8.0, "{name}");
    }
    let undeclared: Vec<_> = after
        .keys()
        .filter(|name| name.starts_with("rustydb_undeclared"))
        .collect();
    assert!(undeclared.is_empty(), "{undeclared:?}");
}
