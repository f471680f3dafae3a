//! The error table: codes, statuses, use.

use std::collections::{BTreeMap, BTreeSet};

use super::{At, Lint};
use crate::model::{ErrorDef, Model};
use crate::resolve::CORE;

/// Codes that JSON-RPC 2.0 defines itself.
const STANDARD_RPC: &[i32] = &[-32700, -32600, -32601, -32602, -32603];

pub(super) fn check(lint: &mut Lint<'_>, model: &Model) {
    let used: BTreeSet<&String> = model.routed().flat_map(|operation| &operation.errors).collect();
    let mut codes: BTreeMap<i32, &str> = BTreeMap::new();
    for error in model.errors.values() {
        let at = At::root(&error.module).push("errors").push(&error.name);
        check_codes(lint, &at, error);
        if let Some(other) = codes.insert(error.rpc, &error.code) {
            let message = format!(
                "{} and {other} both have the JSON-RPC code {}",
                error.code, error.rpc
            );
            lint.report(
                &at.push("rpc"),
                "rpc-clash",
                message,
                "give each error a code of its own",
            );
        }
        if error.module != CORE && !used.contains(&error.code) {
            lint.report(
                &at,
                "error-unused",
                format!("nothing answers {}", error.code),
                "list it under `errors` of the operations that do, or remove it",
            );
        }
    }
}

fn check_codes(lint: &mut Lint<'_>, at: &At<'_>, error: &ErrorDef) {
    if !(400..=599).contains(&error.status) {
        lint.report(
            &at.push("status"),
            "status",
            format!("{} is no status of an error", error.status),
            "use 400 to 499 for the caller's mistakes, 500 to 599 for the server's",
        );
    }
    let reserved = (-32768..=-32000).contains(&error.rpc)
        && !(-32099..=-32000).contains(&error.rpc)
        && !STANDARD_RPC.contains(&error.rpc);
    if reserved || error.rpc >= 0 {
        let message = format!("{} is not for applications to define", error.rpc);
        lint.report(
            &at.push("rpc"),
            "rpc-range",
            message,
            "use -32099 to -32000, or below -32768, or -31999 to -1",
        );
    }
}
