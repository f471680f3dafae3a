//! The call in TypeScript. Inputs are in the form of the wire there, so an example is a literal as it stands.

use serde_json::Value;

use super::{saved, show_text};
use crate::model::{Example, Operation};
use crate::names::typescript::{Names, key};

const LINE_MAX: usize = 100;

pub fn call(names: &Names, operation: &Operation, example: &Example) -> String {
    let module = names.property(&operation.module).unwrap_or(&operation.module);
    let name = names.method(&operation.id).unwrap_or(&operation.name);
    let none = example.input.as_object().is_none_or(serde_json::Map::is_empty);
    let input = if none {
        String::new()
    } else {
        literal(&example.input, 0)
    };
    let call = format!("await db.{module}.{name}({input});");
    if operation.output.is_none() {
        call
    } else {
        format!("const answer = {call}\nconsole.log(answer);")
    }
}

fn literal(value: &Value, indent: usize) -> String {
    let line = one_line(value);
    if line.len() + indent * 2 <= LINE_MAX - 40 {
        return line;
    }
    let (outer, inner) = ("  ".repeat(indent), "  ".repeat(indent + 1));
    let wrap = |open: char, close: char, lines: Vec<String>| {
        let lines: String = lines.iter().map(|line| format!("{inner}{line},\n")).collect();
        format!("{open}\n{lines}{outer}{close}")
    };
    match value {
        Value::Array(items) if !items.is_empty() => wrap(
            '[',
            ']',
            items.iter().map(|item| literal(item, indent + 1)).collect(),
        ),
        Value::Object(map) if !map.is_empty() => {
            let members = map
                .iter()
                .map(|(name, value)| format!("{}: {}", key(name), literal(value, indent + 1)));
            wrap('{', '}', members.collect())
        }
        _ => line,
    }
}

fn one_line(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(one_line).collect::<Vec<_>>().join(", ")),
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let members: Vec<String> = map
                .iter()
                .map(|(name, value)| format!("{}: {}", key(name), one_line(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::String(text) => saved(text).unwrap_or_else(|| Value::from(show_text(text)).to_string()),
        other => other.to_string(),
    }
}
