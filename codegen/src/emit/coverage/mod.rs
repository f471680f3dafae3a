//! docs/coverage.md: which interface carries which operation and which view, under which name, and why where one does
//! not.
//!
//! The matrices say what the contract declares. That it is so, the parity tests show by calling each cell.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::json_schema::NOTE;
use crate::model::{Interface, Kind, Model, Operation, StreamClass, View};
use crate::names;
use crate::names::{python as python_names, typescript as typescript_names};
use crate::output::{Emission, File};

/// The interfaces, in the order of the columns.
const INTERFACES: [(Interface, &str); 3] = [
    (Interface::Rest, "REST"),
    (Interface::Rpc, "JSON-RPC"),
    (Interface::Graphql, "GraphQL"),
];

/// What views are carried by, in the order of the columns. All but a WebSocket path of its own carry every view.
const TRANSPORTS: [&str; 4] = ["WebSocket", "SSE", "its own WebSocket", "GraphQL"];

/// The matrices with their sums.
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
    pub views: Vec<ViewRow>,
    /// Views by transport.
    pub view_counts: BTreeMap<String, usize>,
    /// Views by class.
    pub changes: usize,
    pub telemetry: usize,
    pub results: usize,
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

/// One view: its name on each transport that carries it.
#[derive(Debug, Clone, Serialize)]
pub struct ViewRow {
    pub id: String,
    /// `changes`, `telemetry` or `results`.
    pub class: &'static str,
    pub names: BTreeMap<String, String>,
    /// Examples that yield events, and examples that show an error.
    pub examples: [usize; 2],
}

pub fn emit(model: &Model) -> Emission {
    let files = vec![File::new("docs/coverage.md", markdown(&report(model)))];
    Emission {
        files,
        folders: Vec::new(),
    }
}

/// The matrices of a contract.
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
    let views: Vec<ViewRow> = model.views().map(view_row).collect();
    let on_transport = |name: &&str| views.iter().filter(|row| row.names.contains_key(*name)).count();
    let of_class = |class| views.iter().filter(|row| row.class == class).count();
    Coverage {
        view_counts: TRANSPORTS
            .iter()
            .map(|name| ((*name).to_owned(), on_transport(name)))
            .collect(),
        changes: of_class("changes"),
        telemetry: of_class("telemetry"),
        results: of_class("results"),
        queries: of_kind("query"),
        commands: of_kind("command"),
        jobs: of_kind("job"),
        carried: counts.values().sum(),
        cells: operations.len() * INTERFACES.len(),
        counts,
        operations,
        views,
    }
}

fn view_row(view: &View) -> ViewRow {
    let names = [
        Some(view.open.id.clone()),
        Some(format!("{} {}", view.open.method.as_str(), view.open.path)),
        view.ws.clone(),
        Some(view.open.graphql.clone()),
    ];
    let names = TRANSPORTS.iter().zip(names);
    ViewRow {
        id: view.open.id.clone(),
        class: match view.class {
            StreamClass::Changes => "changes",
            StreamClass::Telemetry => "telemetry",
            StreamClass::Results => "results",
        },
        names: names
            .filter_map(|(transport, name)| Some(((*transport).to_owned(), name?)))
            .collect(),
        examples: examples(&view.open),
    }
}

/// How many examples succeed, and how many show an error.
fn examples(operation: &Operation) -> [usize; 2] {
    let errors = operation
        .examples
        .iter()
        .filter(|example| example.error.is_some())
        .count();
    [operation.examples.len() - errors, errors]
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
        examples: examples(operation),
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

/// The matrices as a page.
pub fn markdown(coverage: &Coverage) -> String {
    let mut page = format!("<!-- {NOTE} -->\n\n# Coverage\n\n");
    page += "What each interface carries, as the contract declares it. The parity tests call every cell of an \
             operation with its examples and compare the answers.\n\n";
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
    let _ = writeln!(
        page,
        "{} views of streams: {} of changes, {} of telemetry, {} of results.\n",
        coverage.views.len(),
        coverage.changes,
        coverage.telemetry,
        coverage.results
    );
    counts(
        &mut page,
        "interface | operations",
        INTERFACES.map(|(_, name)| name),
        &coverage.counts,
    );
    page.push('\n');
    counts(&mut page, "transport | views", TRANSPORTS, &coverage.view_counts);
    operations(&mut page, coverage);
    views(&mut page, coverage);
    exceptions(&mut page, coverage);
    page
}

fn counts<const N: usize>(page: &mut String, head: &str, names: [&str; N], counts: &BTreeMap<String, usize>) {
    let _ = writeln!(page, "| {head} |\n|---|---|");
    for name in names {
        let count = counts.get(name).copied().unwrap_or_default();
        let _ = writeln!(page, "| {name} | {count} |");
    }
}

fn cell(names: &BTreeMap<String, String>, key: &str) -> String {
    names
        .get(key)
        .map_or_else(|| "no".to_owned(), |name| format!("`{name}`"))
}

fn operations(page: &mut String, coverage: &Coverage) {
    *page += "\n## Operations\n\n| operation | REST | JSON-RPC | GraphQL | TypeScript | Python | Rust | examples | of errors |\n\
             |---|---|---|---|---|---|---|---|---|\n";
    for row in &coverage.operations {
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
}

fn views(page: &mut String, coverage: &Coverage) {
    let columns = TRANSPORTS.join(" | ");
    let _ = writeln!(
        page,
        "\n## Views\n\nOn a WebSocket of its own a view is opened by the path, on the common one by `subscribe`.\n\n\
         | view | class | {columns} | examples | of errors |\n|---|---|{}---|---|",
        "---|".repeat(TRANSPORTS.len())
    );
    for row in &coverage.views {
        let cells = TRANSPORTS
            .map(|transport| cell(&row.names, transport))
            .join(" | ");
        let [succeeding, failing] = row.examples;
        let _ = writeln!(
            page,
            "| {} | {} | {cells} | {succeeding} | {failing} |",
            row.id, row.class
        );
    }
}

fn exceptions(page: &mut String, coverage: &Coverage) {
    *page += "\n## Exceptions\n\n";
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
        *page += "None: every operation is on every interface.\n";
        return;
    }
    *page += "| operation | is not on | because |\n|---|---|---|\n";
    for (id, interface, reason) in exceptions {
        let _ = writeln!(
            page,
            "| {id} | {interface} | {} |",
            super::reference::cell(reason)
        );
    }
}
