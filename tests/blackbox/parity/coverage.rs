//! Which operation succeeded which way: counted from what ran, and kept for `codegen coverage`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use codegen::model::{Interface, Model};
use serde_json::json;

#[derive(Default)]
pub struct Coverage(BTreeMap<String, BTreeSet<String>>);

impl Coverage {
    pub fn note(&mut self, way: &str, operation: &str) {
        self.0
            .entry(way.to_owned())
            .or_default()
            .insert(operation.to_owned());
    }

    pub fn count(&self, way: &str) -> usize {
        self.0.get(way).map_or(0, BTreeSet::len)
    }

    /// Operations that no call of a way succeeded with, but for the contract's reasoned exceptions.
    pub fn missing(&self, model: &Model, ways: &[&str]) -> Vec<String> {
        let mut missing = Vec::new();
        for way in ways {
            let interface = match *way {
                "rpc" => Interface::Rpc,
                "graphql" => Interface::Graphql,
                _ => Interface::Rest,
            };
            for operation in model.operations() {
                let ran = self.0.get(*way).is_some_and(|ran| ran.contains(&operation.id));
                if !ran && !operation.except.contains_key(&interface) {
                    missing.push(format!("{}: nothing succeeded through {way}", operation.id));
                }
            }
        }
        missing
    }

    /// Writes what ran beside the build.
    pub fn write(&self) {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("coverage.json");
        std::fs::write(path, json!({"ran": self.0}).to_string()).unwrap();
    }
}
