//! JSON as YAML 1.2 in block style. Text is plain where no reader could take it for anything else, else quoted as
//! in JSON, which YAML reads alike.

use serde_json::Value;

/// Words that some reader takes for a boolean, null or a number.
const WORDS: &[&str] = &[
    "true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf",
];

pub fn text(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => members(value, 0, &mut out),
        Value::Array(items) if !items.is_empty() => members(value, 0, &mut out),
        _ => {
            out += &scalar(value);
            out.push('\n');
        }
    }
    out
}

fn members(value: &Value, indent: usize, out: &mut String) {
    let spaces = "  ".repeat(indent);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                out.push_str(&spaces);
                pair(key, value, indent, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                out.push_str(&spaces);
                out.push_str("- ");
                match item {
                    Value::Object(map) if !map.is_empty() => {
                        for (at, (key, value)) in map.iter().enumerate() {
                            if at > 0 {
                                out.push_str(&spaces);
                                out.push_str("  ");
                            }
                            pair(key, value, indent + 1, out);
                        }
                    }
                    Value::Array(inner) if !inner.is_empty() => {
                        out.push('\n');
                        members(item, indent + 1, out);
                    }
                    _ => {
                        out.push_str(&scalar(item));
                        out.push('\n');
                    }
                }
            }
        }
        _ => {}
    }
}

fn pair(key: &str, value: &Value, indent: usize, out: &mut String) {
    out.push_str(&word(key));
    out.push(':');
    let nested = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if nested {
        out.push('\n');
        members(value, indent + 1, out);
    } else {
        out.push(' ');
        out.push_str(&scalar(value));
        out.push('\n');
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => word(text),
        other => other.to_string(),
    }
}

fn word(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.ends_with(' ')
        && text.chars().all(|c| {
            c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.' | '/' | '(' | ')' | '+' | ';')
        })
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}
