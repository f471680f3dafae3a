//! Fixtures: what came of the contract's examples, kept in test_data/fixtures.
//!
//! With `RUSTYDB_RECORD` set, a run writes them; without, it compares: what is kept is what the server does today, but
//! for what two runs cannot have in common.

use codegen::fixtures::{FOLDER, File, Fixtures, Recorded};
use codegen::model::Operation;
use serde_json::{Value, json};

use super::contract::root;
use crate::parity::Masked;

/// Members of outputs that another machine answers otherwise.
const OF_THE_MACHINE: &[(&str, &str)] = &[
    ("admin.get_server_info", "architecture"),
    ("admin.get_server_info", "cpus"),
    ("admin.get_server_info", "os"),
];

pub struct Recorder {
    is_of_views: bool,
    files: Vec<(&'static Operation, File)>,
}

impl Recorder {
    pub fn new(is_of_views: bool) -> Recorder {
        Recorder {
            is_of_views,
            files: Vec::new(),
        }
    }

    /// Examples come in the contract's order.
    pub fn note(&mut self, operation: &'static Operation, recorded: Recorded) {
        match self.files.last_mut() {
            Some((_, file)) if file.id == operation.id => file.examples.push(recorded),
            _ => self.files.push((
                operation,
                File {
                    id: operation.id.clone(),
                    examples: vec![recorded],
                },
            )),
        }
    }

    /// Writes the files, or says where those that are kept differ.
    pub fn finish(self) -> Vec<String> {
        if std::env::var_os("RUSTYDB_RECORD").is_some() {
            self.write();
            return Vec::new();
        }
        let kept = Fixtures::read(&root()).unwrap();
        let mut differences = Vec::new();
        for (operation, file) in &self.files {
            let path = file.path(self.is_of_views);
            let known = kept
                .get(&path)
                .map(|text| serde_json::from_str::<File>(text).unwrap());
            let known = known.map(|file| masked(operation, &file));
            if known != Some(masked(operation, file)) {
                differences.push(format!(
                    "{FOLDER}/{path}: not what the server answers; record it anew with RUSTYDB_RECORD=1"
                ));
            }
        }
        differences
    }

    fn write(&self) {
        for (_, file) in &self.files {
            let path = root().join(FOLDER).join(file.path(self.is_of_views));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = serde_json::to_string_pretty(file).unwrap();
            std::fs::write(path, text + "\n").unwrap();
        }
    }
}

/// The outcomes of a file without what belongs to one run.
fn masked(operation: &'static Operation, file: &File) -> Vec<Value> {
    let outcome = |recorded: &Recorded| {
        let output = recorded.output.as_ref().map(|output| {
            let mut output = match &operation.output {
                Some(name) => Masked::of(output, name).value,
                None => output.clone(),
            };
            for (_, member) in OF_THE_MACHINE.iter().filter(|(id, _)| *id == operation.id) {
                output[member] = Value::Null;
            }
            output
        });
        let events = recorded.events.iter().flatten();
        let events: Vec<Value> = events
            .map(|event| json!([event.event, Masked::of(&event.data, &event.event).value]))
            .collect();
        let error = recorded
            .error
            .as_ref()
            .map(|error| json!([error.code, error.status, error.details]));
        json!([recorded.example, recorded.role, output, events, error])
    };
    file.examples.iter().map(outcome).collect()
}
