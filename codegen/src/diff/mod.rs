//! What changed between two contracts, and whom it breaks.
//!
//! Both models are walked from their operations and views, so that a type counts by the direction in which it travels: a
//! field more in an answer is ignored by every client, a field fewer is missed. A change is
//! *wire-breaking* when a client that works today can fail or get another meaning without being rebuilt, on
//! any interface (GraphQL checks a document's types, so a type is part of the wire); *source-breaking* when
//! only code built against a new client has to change; else *compatible*. Text (summaries, descriptions,
//! examples) is no change. A field more in an input is compatible: Rust's inputs are written with
//! `..Default::default()`.

mod acknowledged;
mod history;
mod operations;
mod table;
mod types;
mod views;

use serde::Serialize;

pub use acknowledged::{Acknowledgements, FILE as ACKNOWLEDGED_FILE};
pub use history::{base, model_at};

use crate::model::Model;

/// Whom a change breaks. Later ones are worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    Compatible,
    SourceBreaking,
    WireBreaking,
}

impl Class {
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Compatible => "compatible",
            Class::SourceBreaking => "source-breaking",
            Class::WireBreaking => "wire-breaking",
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    pub class: Class,
    /// What changed, such as `field Table.row_count`.
    pub path: String,
    /// Stable name of the kind of change, such as `removed`.
    pub change: &'static str,
    pub message: String,
}

/// Every change, worst first, then by path.
pub fn diff(old: &Model, new: &Model) -> Vec<Change> {
    let mut differ = Differ {
        old,
        new,
        changes: Vec::new(),
    };
    differ.table();
    differ.operations();
    differ.views();
    differ.type_names();
    let mut changes = differ.changes;
    changes.sort_by(|a, b| b.class.cmp(&a.class).then_with(|| a.cmp(b)));
    // A type that travels both ways is walked twice; the worse verdict stands.
    let mut seen = std::collections::BTreeSet::new();
    changes.retain(|change| seen.insert((change.path.clone(), change.change)));
    changes
}

struct Differ<'a> {
    old: &'a Model,
    new: &'a Model,
    changes: Vec<Change>,
}

impl Differ<'_> {
    fn push(
        &mut self,
        class: Class,
        path: impl Into<String>,
        change: &'static str,
        message: impl Into<String>,
    ) {
        self.changes.push(Change {
            class,
            path: path.into(),
            change,
            message: message.into(),
        });
    }
}
