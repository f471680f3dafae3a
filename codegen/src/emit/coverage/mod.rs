//! docs/coverage.md: which interface carries which operation, under which name, and why where one does not.
//!
//! The matrix says what the contract declares. That it is so, the parity tests show by calling each cell.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::json_schema::NOTE;
use crate::model::{Interface, Kind, Model, Operation};
use crate::names;
use crate::names::{python as python_names, typescript as typescript_names};
use crate::output::{Emission, File};

/// The interfaces, in the order of the columns.
const INTERFACES: [(Interface, &str); 3] = [
    (Interface::Rest, "REST"),
    (Interface::Rpc, "JSON-RPC"),
    (Interface::Graphql, "GraphQL"),
];

/// The matrix with its sums.
#[derive(Debug, Clone, Serialize)]
pub struct Coverage {
    pub operations: Vec<Row>,
    /// Operations by interface.
    pub counts: BTreeMap<String, usize>,
    pub queries: usize,
    pub commands: usize,
    pub jobs: usize,
    /// Cells of the matrix that are carried, and all of them.
    pub carried: usize,
    pub cells: usize,
}

/// One operation: its name on each interface that carries it, and the reasons of those that do not.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub id: String,
    /// `query`, `command` or `job`.
    pub kind: &'static str,
    pub names: BTreeMap<String, String>,
    pub exceptions: BTreeMap<String, String>,
    /// The method of each client; clients speak REST.
    pub clients: BTreeMap<String, String>,
    /// Examples that succeed, and examples that show an error.
    pub examples: [usize; 2],
}

pub fn emit(model: &Model) -> Emission {
    let files = vec![File::new("docs/coverage.md", markdown(&report(model)))];
    Emission {
        files,
        folders: Vec::new(),
    }
}

/// The matrix of a contract.
pub fn report(model: &Model) -> Coverage {
    let typescript = typescript_names::Names::new(model);
    let python = python_names::Names::new(model);
    let operations: Vec<Row> = model
        .operations()
        .map(|operation| row(&typescript, &python, operation))
        .collect();
    let counts: BTreeMap<String, usize> = INTERFACES
        .iter()
        .map(|(_, name)| {
            let count = operations
                .iter()
                .filter(|row| row.names.contains_key(*name))
                .count();
            ((*name).to_owned(), count)
        })
        .collect();
    let of_kind = |kind| operations.iter().filter(|row| row.kind == kind).count();
    Coverage {
        queries: of_kind("query"),
        commands: of_kind("command"),
        jobs: of_kind("job"),
        carried: counts.values().sum(),
        cells: operations.len() * INTERFACES.len(),
        counts,
        operations,
    }
}

fn row(typescript: &typescript_names::Names, python: &python_names::Names, operation: &Operation) -> Row {
    let mut row = Row {
        id: operation.id.clone(),
        kind: match operation.kind {
            Kind::Query => "query",
            Kind::Command => "command",
            Kind::Job => "job",
            Kind::Stream => "stream",
        },
        names: BTreeMap::new(),
        exceptions: BTreeMap::new(),
        clients: BTreeMap::new(),
        examples: [
            operation
                .examples
                .iter()
                .filter(|example| example.error.is_none())
                .count(),
            operation
                .examples
                .iter()
                .filter(|example| example.error.is_some())
                .count(),
        ],
    };
    for (interface, name) in INTERFACES {
        match operation.except.get(&interface) {
            Some(reason) => {
                row.exceptions.insert(name.to_owned(), reason.clone());
            }
            None => {
                let carried = match interface {
                    Interface::Rest => format!("{} {}", operation.method.as_str(), operation.path),
                    Interface::Rpc => operation.id.clone(),
                    Interface::Graphql => operation.graphql.clone(),
                };
                row.names.insert(name.to_owned(), carried);
            }
        }
    }
    if !operation.except.contains_key(&Interface::Rest) {
        let (module, name) = (&operation.module, &operation.name);
        let property = typescript.property(module).unwrap_or(module);
        let typescript_method = format!("{property}.{}", typescript.method(&operation.id).unwrap_or(name));
        let attribute = python.modules.get(module).unwrap_or(module);
        let python_method = format!(
            "{attribute}.{}",
            python.methods.get(&operation.id).unwrap_or(name)
        );
        let clients = [
            ("TypeScript", typescript_method),
            ("Python", python_method),
            (
                "Rust",
                format!("{}().{}", names::rust::value(module), names::rust::value(name)),
            ),
        ];
        row.clients = clients.map(|(client, method)| (client.to_owned(), method)).into();
    }
    row
}

/// The matrix as a page.
pub fn markdown(coverage: &Coverage) -> String {
    let mut page = format!("<!-- {NOTE} -->\n\n# Coverage\n\n");
    page += "What each interface carries, as the contract declares it. The parity tests call every cell with the \
             operation's examples and compare the answers.\n\n";
    let _ = writeln!(
        page,
        "{} operations: {} queries, {} commands, {} jobs. {} of {} cells are carried.\n",
        coverage.operations.len(),
        coverage.queries,
        coverage.commands,
        coverage.jobs,
        coverage.carried,
        coverage.cells
    );
    page += "| interface | operations |\n|---|---|\n";
    for (_, name) in INTERFACES {
        let _ = writeln!(
            page,
            "| {name} | {} |",
            coverage.counts.get(name).copied().unwrap_or_default()
        );
    }
    page += "\n## Operations\n\n| operation | REST | JSON-RPC | GraphQL | TypeScript | Python | Rust | examples | of errors |\n\
             |---|---|---|---|---|---|---|---|---|\n";
    for row in &coverage.operations {
        let cell = |map: &BTreeMap<String, String>, key: &str| {
            map.get(key)
                .map_or_else(|| "no".to_owned(), |name| format!("`{name}`"))
        };
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            row.id,
            cell(&row.names, "REST"),
            cell(&row.names, "JSON-RPC"),
            cell(&row.names, "GraphQL"),
            cell(&row.clients, "TypeScript"),
            cell(&row.clients, "Python"),
            cell(&row.clients, "Rust"),
            row.examples[0],
            row.examples[1]
        );
    }
    page += "\n## Exceptions\n\n";
    let exceptions: Vec<(&str, &str, &str)> = coverage
        .operations
        .iter()
        .flat_map(|row| {
            row.exceptions
                .iter()
                .map(|(interface, reason)| (row.id.as_str(), interface.as_str(), reason.as_str()))
        })
        .collect();
    if exceptions.is_empty() {
        page += "None: every operation is on every interface.\n";
        return page;
    }
    page += "| operation | is not on | because |\n|---|---|---|\n";
    for (id, interface, reason) in exceptions {
        let _ = writeln!(
            page,
            "| {id} | {interface} | {} |",
            super::reference::cell(reason)
        );
    }
    page
}
