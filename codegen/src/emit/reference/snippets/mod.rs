//! One call, written for every interface and client.

mod python;
mod rust;
mod typescript;
mod wire;

use serde_json::Value;

use crate::model::{Example, Interface, Model, Operation, View};
use crate::names::{python as python_names, typescript as typescript_names};

/// What the clients call the contract's parts.
pub struct Names {
    typescript: typescript_names::Names,
    python: python_names::Names,
}

impl Names {
    pub fn new(model: &Model) -> Names {
        Names {
            typescript: typescript_names::Names::new(model),
            python: python_names::Names::new(model),
        }
    }
}

pub struct Snippet {
    pub title: &'static str,
    /// Info string of the fence.
    pub language: &'static str,
    pub code: String,
}

/// The example's call on every interface that carries the operation.
pub fn all(model: &Model, names: &Names, operation: &Operation, example: &Example) -> Vec<Snippet> {
    let plain = &Example {
        input: shown(&example.input),
        ..example.clone()
    };
    let carries = |interface| !operation.except.contains_key(&interface);
    let mut snippets = Vec::new();
    if carries(Interface::Rest) {
        snippets.push(Snippet {
            title: "curl",
            language: "sh",
            code: wire::curl(model, operation, plain),
        });
    }
    if carries(Interface::Rpc) {
        snippets.push(Snippet {
            title: "JSON-RPC",
            language: "json",
            code: wire::rpc(operation, plain),
        });
    }
    if carries(Interface::Graphql) {
        let (document, variables) = wire::graphql(model, operation, plain);
        snippets.push(Snippet {
            title: "GraphQL",
            language: "graphql",
            code: document,
        });
        if let Some(code) = variables {
            snippets.push(Snippet {
                title: "with the variables",
                language: "json",
                code,
            });
        }
    }
    if carries(Interface::Rest) {
        let typescript = typescript::call(&names.typescript, operation, example);
        snippets.push(Snippet {
            title: "TypeScript",
            language: "ts",
            code: typescript,
        });
        snippets.push(Snippet {
            title: "Python",
            language: "python",
            code: python::call(model, &names.python, operation, example),
        });
        snippets.push(Snippet {
            title: "Rust",
            language: "rust",
            code: rust::call(model, operation, example),
        });
    }
    snippets
}

/// The example's subscription on every transport.
pub fn of_view(model: &Model, view: &View, example: &Example) -> Vec<Snippet> {
    let plain = &Example {
        input: shown(&example.input),
        ..example.clone()
    };
    let (document, variables) = wire::subscription(model, view, plain);
    let mut snippets = vec![
        Snippet {
            title: "curl",
            language: "sh",
            code: wire::curl(model, &view.open, plain).replacen("curl ", "curl -N ", 1),
        },
        Snippet {
            title: "JSON-RPC",
            language: "json",
            code: wire::subscribe(view, plain),
        },
        Snippet {
            title: "GraphQL",
            language: "graphql",
            code: document,
        },
    ];
    snippets.extend(variables.map(|code| Snippet {
        title: "with the variables",
        language: "json",
        code,
    }));
    snippets
}

/// A text that is wholly `${saved.field}` as an expression of the clients' languages: the answer has that name
/// there, and positions in lists are in brackets.
fn saved(text: &str) -> Option<String> {
    let path = text.strip_prefix("${")?.strip_suffix('}')?;
    let sound = |step: &str| !step.is_empty() && step.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let mut steps = path.split('.');
    let mut expression = steps.next().filter(|name| sound(name))?.to_owned();
    for step in steps {
        if !sound(step) {
            return None;
        }
        match step.parse::<usize>() {
            Ok(index) => expression += &format!("[{index}]"),
            Err(_) => expression += &format!(".{step}"),
        }
    }
    Some(expression)
}

/// The value with `${saved.field}` as `<saved.field>`, which no shell expands.
fn shown(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(show_text(text)),
        Value::Array(items) => items.iter().map(shown).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), shown(value)))
            .collect(),
        other => other.clone(),
    }
}

fn show_text(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        match after.split_once('}') {
            Some((name, after)) => {
                out.push_str(&format!("<{name}>"));
                rest = after;
            }
            None => {
                out.push_str("${");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// JSON over several lines where it is long.
fn json_text(value: &Value) -> String {
    const LINE_MAX: usize = 100;
    let line = value.to_string();
    if line.chars().count() <= LINE_MAX {
        line
    } else {
        serde_json::to_string_pretty(value).unwrap_or(line)
    }
}
