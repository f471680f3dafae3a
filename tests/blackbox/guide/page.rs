//! The guide as blocks of text with what is to be done with each; the page's first comment describes the forms.

use std::collections::BTreeMap;

/// A fenced block that says what it is for. Others are for people only.
#[derive(Debug, Clone)]
pub struct Block {
    /// Line of the page, to be told when it fails.
    pub line: usize,
    pub action: Action,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// At the end of the YAML mapping `key` of `file`.
    AppendUnder {
        file: String,
        key: String,
    },
    /// Before the closing brace of the first `impl name for` of `file`.
    AppendIn {
        file: String,
        name: String,
    },
    Create {
        file: String,
    },
    Run {
        folder: String,
        exit: i32,
    },
    Background,
    StderrContains,
    StdoutJson,
    StdoutJsonPart,
}

pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let text: String = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| *line != "```")
            .map(|line| format!("{line}\n"))
            .collect();
        let words: Vec<&str> = info.split_whitespace().skip(1).collect();
        if !words.is_empty() {
            let action = action(&words).unwrap_or_else(|| panic!("line {}: {info:?}", number + 1));
            blocks.push(Block {
                line: number + 1,
                action,
                text,
            });
        }
    }
    blocks
}

fn action(words: &[&str]) -> Option<Action> {
    let values: BTreeMap<&str, &str> = words.iter().filter_map(|word| word.split_once('=')).collect();
    let text = |key: &str| values.get(key).map(|value| (*value).to_owned());
    match words[0] {
        "run" if words.get(1) == Some(&"background") => Some(Action::Background),
        "run" => Some(Action::Run {
            folder: text("cwd").unwrap_or_else(|| ".".to_owned()),
            exit: text("exit").map_or(Some(0), |exit| exit.parse().ok())?,
        }),
        "stderr-contains" => Some(Action::StderrContains),
        "stdout-json" => Some(Action::StdoutJson),
        "stdout-json-part" => Some(Action::StdoutJsonPart),
        _ => {
            let file = text("file")?;
            match (text("append-under"), text("append-in")) {
                (Some(key), _) => Some(Action::AppendUnder { file, key }),
                (None, Some(name)) => Some(Action::AppendIn { file, name }),
                (None, None) => words.contains(&"create").then_some(Action::Create { file }),
            }
        }
    }
}

/// `text` with `lines` at the end of its top-level mapping `key`.
pub fn append_under(text: &str, key: &str, lines: &str) -> String {
    let heading = format!("{key}:");
    let mut end = None;
    let mut inside = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if inside && line.starts_with(|c: char| !c.is_whitespace() && c != '#') {
            break;
        }
        inside |= line.trim_end() == heading;
        at += line.len();
        if inside && !line.trim().is_empty() {
            end = Some(at);
        }
    }
    let end = end.unwrap_or_else(|| panic!("no mapping `{key}`"));
    format!("{}{lines}{}", &text[..end], &text[end..])
}

/// `text` with `lines` before the closing brace of its first implementation of `name`.
pub fn append_in(text: &str, name: &str, lines: &str) -> String {
    let start = text
        .find(&format!("impl {name} for "))
        .unwrap_or_else(|| panic!("no `impl {name} for`"));
    let end = start
        + text[start..]
            .find("\n}")
            .expect("an implementation ends at the margin")
        + 1;
    format!("{}{lines}{}", &text[..end], &text[end..])
}

#[test]
fn guide_edits_land_where_the_page_says() {
    let yaml = "types:\n  A: x\n\noperations:\n  b:\n    c: d\n";
    assert_eq!(
        append_under(yaml, "types", "  B: y\n"),
        "types:\n  A: x\n  B: y\n\noperations:\n  b:\n    c: d\n"
    );
    assert_eq!(
        append_under(yaml, "operations", "  e: f\n"),
        format!("{yaml}  e: f\n")
    );
    let rust = "impl A for X {\n    fn a() {}\n}\n\nimpl B for X {\n}\n";
    let wanted = "impl A for X {\n    fn a() {}\n    fn b() {}\n}\n\nimpl B for X {\n}\n";
    assert_eq!(append_in(rust, "A", "    fn b() {}\n"), wanted);
}
