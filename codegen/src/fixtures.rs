//! Fixtures: calls and subscriptions recorded from the running server, one file for each operation and each view.
//!
//! The tests record them (test_data/fixtures/README.md says how); here they are checked against the contract, by a
//! validator of JSON Schema that is not ours, and listed in an index.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use jsonschema::Validator;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::emit::json_schema;
use crate::model::{ErrorDef, Example, Model, Operation};

/// Where the files lie, below the project's root.
pub const FOLDER: &str = "test_data/fixtures";

/// The list of what is there, in [`FOLDER`].
pub const INDEX: &str = "index.json";

const OPERATIONS: &str = "operations";
const VIEWS: &str = "views";
const README: &str = "README.md";

/// One file: the examples of an operation or a view, in the contract's order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Of the operation or the view.
    pub id: String,
    pub examples: Vec<Recorded>,
}

/// What came of one example: an output, events, or an error.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    pub example: String,
    /// Of the caller; `nobody` sent no credential.
    pub role: String,
    pub input: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<RecordedEvent>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RecordedError>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedEvent {
    pub event: String,
    pub data: Value,
    pub timestamp: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedError {
    pub code: String,
    pub status: u64,
    pub message: String,
    pub request_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

impl File {
    /// Its path in [`FOLDER`].
    pub fn path(&self, is_view: bool) -> String {
        let folder = if is_view { VIEWS } else { OPERATIONS };
        format!("{folder}/{}.json", self.id)
    }
}

/// What lies in the folder.
#[derive(Debug, Clone, Default)]
pub struct Fixtures {
    /// By path in [`FOLDER`].
    files: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Index<'a> {
    operations: BTreeMap<&'a str, Listed>,
    views: BTreeMap<&'a str, Listed>,
    /// Files in which an event occurs.
    events: BTreeMap<String, BTreeSet<String>>,
    /// Files in which an error is answered.
    errors: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Serialize)]
struct Listed {
    file: String,
    examples: usize,
}

impl Fixtures {
    /// Reads the folder below a root; a missing one holds nothing.
    pub fn read(root: &Path) -> io::Result<Fixtures> {
        let mut fixtures = Fixtures::default();
        let folder = root.join(FOLDER);
        if folder.exists() {
            fixtures.read_folder(&folder, "")?;
        }
        Ok(fixtures)
    }

    /// Puts a file in the place of the one of its path.
    pub fn put(&mut self, path: &str, text: String) {
        self.files.insert(path.to_owned(), text);
    }

    pub fn get(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                self.read_folder(&entry.path(), &format!("{path}/"))?;
            } else {
                self.files.insert(path, fs::read_to_string(entry.path())?);
            }
        }
        Ok(())
    }

    /// The index as it should be. Files that cannot be read are left out: [`Fixtures::check`] names them.
    pub fn index(&self, model: &Model) -> String {
        let mut index = Index {
            operations: BTreeMap::new(),
            views: BTreeMap::new(),
            events: BTreeMap::new(),
            errors: BTreeMap::new(),
        };
        for (operation, is_view) in subjects(model) {
            let path = path_of(operation, is_view);
            let file = self
                .files
                .get(&path)
                .and_then(|text| serde_json::from_str::<File>(text).ok());
            let Some(file) = file else { continue };
            for recorded in &file.examples {
                for event in recorded.events.iter().flatten() {
                    index
                        .events
                        .entry(event.event.clone())
                        .or_default()
                        .insert(path.clone());
                }
                if let Some(error) = &recorded.error {
                    index
                        .errors
                        .entry(error.code.clone())
                        .or_default()
                        .insert(path.clone());
                }
            }
            let listed = Listed {
                file: path,
                examples: file.examples.len(),
            };
            let list = if is_view {
                &mut index.views
            } else {
                &mut index.operations
            };
            list.insert(&operation.id, listed);
        }
        // The index holds nothing that JSON could not.
        serde_json::to_value(index).map_or_else(|_| String::new(), |value| json_schema::pretty(&value))
    }

    /// What is wrong: `FILE: EXAMPLE: what`. Empty when each operation and view has its examples, all of them as the
    /// contract has them, and the index lists them.
    pub fn check(&self, model: &Model) -> Vec<String> {
        let mut check = Check {
            model,
            validators: BTreeMap::new(),
            findings: Vec::new(),
        };
        let mut known = BTreeSet::from([INDEX.to_owned(), README.to_owned()]);
        for (operation, is_view) in subjects(model) {
            let path = path_of(operation, is_view);
            match self.files.get(&path).map(|text| serde_json::from_str(text)) {
                None => check.findings.push(format!("{path}: missing; record it")),
                Some(Err(error)) => check.findings.push(format!("{path}: {error}")),
                Some(Ok(file)) => check.file(&path, operation, &file),
            }
            known.insert(path);
        }
        let mut findings = check.findings;
        for path in self.files.keys().filter(|path| !known.contains(*path)) {
            findings.push(format!("{path}: of nothing in the contract; remove it"));
        }
        if self.get(INDEX) != Some(&self.index(model)) {
            findings.push(format!("{INDEX}: stale; run `cargo run -p codegen -- fixtures`"));
        }
        findings
    }
}

fn subjects(model: &Model) -> impl Iterator<Item = (&Operation, bool)> {
    let operations = model.operations().map(|operation| (operation, false));
    operations.chain(model.views().map(|view| (&view.open, true)))
}

fn path_of(operation: &Operation, is_view: bool) -> String {
    let folder = if is_view { VIEWS } else { OPERATIONS };
    format!("{folder}/{}.json", operation.id)
}

struct Check<'a> {
    model: &'a Model,
    /// By the type's name.
    validators: BTreeMap<String, Result<Validator, String>>,
    findings: Vec<String>,
}

impl Check<'_> {
    fn file(&mut self, path: &str, operation: &Operation, file: &File) {
        if file.id != operation.id {
            self.findings.push(format!(
                "{path}: `{}` is not the id of this file's place",
                file.id
            ));
        }
        let recorded: Vec<&str> = file.examples.iter().map(|one| one.example.as_str()).collect();
        let wanted: Vec<&str> = operation.examples.iter().map(|one| one.name.as_str()).collect();
        if recorded != wanted {
            let list = wanted.join(", ");
            self.findings.push(format!(
                "{path}: its examples are not those of the contract: {list}; record it anew"
            ));
            return;
        }
        for (recorded, example) in file.examples.iter().zip(&operation.examples) {
            self.recorded(&format!("{path}: {}", example.name), operation, example, recorded);
        }
    }

    fn recorded(&mut self, title: &str, operation: &Operation, example: &Example, recorded: &Recorded) {
        if recorded.role != example.role {
            self.findings.push(format!(
                "{title}: called as {}, not as {}",
                recorded.role, example.role
            ));
        }
        let view = self.model.views().find(|view| view.open.id == operation.id);
        let is_of_its_kind = match (&example.error, view) {
            (Some(_), _) => recorded.output.is_none() && recorded.events.is_none(),
            (None, Some(_)) => recorded.output.is_none() && recorded.error.is_none(),
            (None, None) => recorded.events.is_none() && recorded.error.is_none(),
        };
        if !is_of_its_kind {
            self.findings
                .push(format!("{title}: output, events and error exclude each other"));
        }
        match (&example.error, view) {
            (Some(code), _) => match &recorded.error {
                Some(error) => self.error(title, operation, code, error),
                None => self.findings.push(format!(
                    "{title}: has no error, and the contract's example has {code}"
                )),
            },
            (None, view) => {
                self.value(&format!("{title}: input"), &operation.input, &recorded.input);
                match view {
                    Some(_) => self.events(title, example, recorded.events.as_deref().unwrap_or_default()),
                    None => self.output(title, operation, recorded.output.as_ref()),
                }
            }
        }
    }

    fn output(&mut self, title: &str, operation: &Operation, output: Option<&Value>) {
        match (output, &operation.output) {
            (None, _) => self.findings.push(format!("{title}: has no output")),
            (Some(output), Some(name)) => self.value(&format!("{title}: output"), name, output),
            (Some(Value::Object(map)), None) if map.is_empty() => {}
            (Some(output), None) => self
                .findings
                .push(format!("{title}: output: {output} is not {{}}")),
        }
    }

    fn events(&mut self, title: &str, example: &Example, events: &[RecordedEvent]) {
        let told: Vec<&str> = events.iter().map(|event| event.event.as_str()).collect();
        let wanted: Vec<&str> = example.events.iter().map(|event| event.event.as_str()).collect();
        if told != wanted {
            self.findings
                .push(format!("{title}: its events are {told:?}, not {wanted:?}"));
            return;
        }
        for event in events {
            self.value(&format!("{title}: {}", event.event), &event.event, &event.data);
        }
    }

    fn error(&mut self, title: &str, operation: &Operation, code: &str, error: &RecordedError) {
        let known: Vec<&ErrorDef> = self.model.errors_of(operation);
        let declared = known.into_iter().find(|known| known.code == code);
        if error.code != code {
            self.findings
                .push(format!("{title}: answered {}, not {code}", error.code));
            return;
        }
        let Some(declared) = declared else {
            self.findings.push(format!("{title}: {code} is not declared"));
            return;
        };
        if u64::from(declared.status) != error.status {
            self.findings.push(format!(
                "{title}: {code} has status {}, not {}",
                declared.status, error.status
            ));
        }
        if error.message.is_empty() {
            self.findings.push(format!("{title}: {code} says nothing"));
        }
        if let (Some(name), Some(details)) = (declared.details.clone(), &error.details) {
            self.value(&format!("{title}: details"), &name, details);
        }
    }

    fn value(&mut self, title: &str, type_name: &str, value: &Value) {
        let model = self.model;
        let validator = self.validators.entry(type_name.to_owned()).or_insert_with(|| {
            let options = jsonschema::options().should_validate_formats(true);
            let schema = json_schema::document(model, type_name);
            options.build(&schema).map_err(|error| error.to_string())
        });
        match validator {
            Ok(validator) => self.findings.extend(validator.iter_errors(value).map(|error| {
                format!(
                    "{title}: not a {type_name}: {error} at `{}`",
                    error.instance_path()
                )
            })),
            Err(error) => self
                .findings
                .push(format!("{title}: the schema of {type_name}: {error}")),
        }
    }
}
