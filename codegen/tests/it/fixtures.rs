//! Recorded fixtures: those of the project are sound, and none of the ways to damage one goes unseen.

use std::path::Path;

use codegen::emit::json_schema;
use codegen::fixtures::{File, Fixtures, INDEX};
use codegen::model::Model;
use codegen::project::Project;
use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn sound() -> (Model, Fixtures) {
    let model = Project::new(root()).model().unwrap();
    let fixtures = Fixtures::read(root()).unwrap();
    assert_eq!(fixtures.check(&model), Vec::<String>::new());
    (model, fixtures)
}

/// Members that a value of the type must have.
fn required(model: &Model, type_name: &str) -> Vec<String> {
    let schema = json_schema::document(model, type_name);
    let names = schema["required"].as_array().cloned().unwrap_or_default();
    names
        .iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

/// A value that is damaged in one place.
fn damaged(model: &Model, type_name: &str, value: &Value) -> Vec<Value> {
    let mut mutants = vec![json!([value])];
    for name in required(model, type_name) {
        let mut without = value.clone();
        assert!(without.as_object_mut().unwrap().shift_remove(&name).is_some());
        mutants.push(without);
        let mut other = value.clone();
        other[name] = json!({"no": {"such": "form"}});
        if !takes_anything(&other, model, type_name) {
            mutants.push(other);
        }
    }
    mutants
}

/// Some members hold any JSON: no value damages them.
fn takes_anything(value: &Value, model: &Model, type_name: &str) -> bool {
    jsonschema::validator_for(&json_schema::document(model, type_name))
        .unwrap()
        .is_valid(value)
}

/// Files that are damaged in one place each.
fn mutants(model: &Model, path: &str, text: &str) -> Vec<String> {
    let file: File = serde_json::from_str(text).unwrap();
    let output = model.operations().find(|operation| operation.id == file.id);
    let output = output.and_then(|operation| operation.output.as_deref());
    let mut mutants = vec![text.replacen("\"id\"", "\"identity\"", 1), "{".to_owned()];
    let mut push = |file: &File| mutants.push(serde_json::to_string(file).unwrap());
    let other = File {
        id: "no.such".to_owned(),
        ..file.clone()
    };
    push(&other);
    for (at, recorded) in file.examples.iter().enumerate() {
        let mut without = file.clone();
        without.examples.remove(at);
        push(&without);
        let mut edit = |edit: &dyn Fn(&mut codegen::fixtures::Recorded)| {
            let mut edited = file.clone();
            edit(&mut edited.examples[at]);
            push(&edited);
        };
        edit(&|one| one.role = "somebody".to_owned());
        edit(&|one| one.example += "_changed");
        if let Some(value) = &recorded.output {
            edit(&|one| one.output = None);
            match output {
                Some(name) => {
                    for value in damaged(model, name, value) {
                        edit(&|one| one.output = Some(value.clone()));
                    }
                }
                None => edit(&|one| one.output = Some(json!({"more": 1}))),
            }
        }
        if recorded.error.is_some() {
            edit(&|one| one.error = None);
            edit(&|one| one.error.as_mut().unwrap().status += 1);
            edit(&|one| one.error.as_mut().unwrap().code += "_2");
            edit(&|one| one.error.as_mut().unwrap().message.clear());
            edit(&|one| one.output = Some(json!({})));
        } else {
            edit(&|one| one.input = json!([]));
        }
        for (nth, event) in recorded.events.iter().flatten().enumerate() {
            edit(&|one| drop(one.events.as_mut().unwrap().remove(nth)));
            edit(&|one| one.events.as_mut().unwrap()[nth].event += "2");
            for data in damaged(model, &event.event, &event.data) {
                edit(&|one| one.events.as_mut().unwrap()[nth].data = data.clone());
            }
        }
    }
    assert!(mutants.len() > 4, "{path} has examples");
    mutants
}

#[test]
fn fixtures_of_the_project_are_as_the_contract_has_them() {
    let (model, fixtures) = sound();
    let index: Value = serde_json::from_str(fixtures.get(INDEX).unwrap()).unwrap();
    assert_eq!(
        index["operations"].as_object().unwrap().len(),
        model.operations().count()
    );
    for view in model.views() {
        for event in &view.events {
            assert!(index["events"].get(event).is_some(), "{event} is recorded");
        }
    }
}

#[test]
fn fixtures_that_are_damaged_are_found() {
    let (model, fixtures) = sound();
    let paths: Vec<&str> = fixtures.paths().filter(|path| path.contains('/')).collect();
    let mut count = 0;
    for path in paths {
        for mutant in mutants(&model, path, fixtures.get(path).unwrap()) {
            let mut damaged = Fixtures::default();
            damaged.put(path, mutant.clone());
            let findings = damaged.check(&model);
            let found = findings
                .iter()
                .any(|finding| finding.starts_with(path) && !finding.ends_with("missing; record it"));
            assert!(found, "{path}: nobody saw that it became\n{mutant}");
            count += 1;
        }
    }
    eprintln!("{count} damaged files, all found");
    let mut more = fixtures.clone();
    more.put("operations/no.such.json", "{}".to_owned());
    assert_eq!(
        more.check(&model),
        ["operations/no.such.json: of nothing in the contract; remove it"]
    );
    let mut stale = fixtures;
    stale.put(INDEX, "{}".to_owned());
    assert_eq!(
        stale.check(&model),
        ["index.json: stale; run `cargo run -p codegen -- fixtures`"]
    );
}
