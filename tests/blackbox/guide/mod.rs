//! docs/guides/add-an-operation.md, followed on a copy of the project by what the page itself says.
//!
//! Declare, generate, see the compiler ask for the method, implement it, build the server, call the operation in the six
//! ways of the page.

mod copy;
mod page;
mod shell;

use std::process::Output;
use std::time::Instant;

use serde_json::Value;

use self::copy::Copy;
use self::page::{Action, Block};
use self::shell::Shell;
use crate::harness::contract::root;

const PAGE: &str = "docs/guides/add-an-operation.md";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Does what a block says; answers what its command wrote.
fn follow(copy: &Copy, shell: &mut Shell<'_>, block: &Block, last: Option<Output>) -> Option<Output> {
    let place = format!("{PAGE}:{}", block.line);
    let written = |last: &Option<Output>| {
        last.clone()
            .unwrap_or_else(|| panic!("{place}: nothing ran before"))
    };
    match &block.action {
        Action::AppendUnder { file, key } => {
            copy.write(file, &page::append_under(&copy.read(file), key, &block.text));
        }
        Action::AppendIn { file, name } => {
            copy.write(file, &page::append_in(&copy.read(file), name, &block.text));
        }
        Action::Create { file } => copy.write(file, &block.text),
        Action::Run { folder, exit } => {
            let begun = Instant::now();
            let output = shell.run(folder, &block.text);
            println!(
                "{place}: {:.1} s: {}",
                begun.elapsed().as_secs_f64(),
                block.text.trim_end()
            );
            let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
            assert_eq!(
                output.status.code(),
                Some(*exit),
                "{place}: {}{stdout}{stderr}",
                block.text
            );
            return Some(output);
        }
        Action::Background => {
            let begun = Instant::now();
            shell.start(&block.text);
            println!(
                "{place}: {:.1} s: {}",
                begun.elapsed().as_secs_f64(),
                block.text.trim_end()
            );
        }
        Action::StderrContains => {
            let stderr = text(&written(&last).stderr);
            let mut found = stderr.lines();
            for line in block.text.lines() {
                assert!(
                    found.any(|other| other == line),
                    "{place}: no {line:?} in\n{stderr}"
                );
            }
        }
        Action::StdoutJson => assert_eq!(json(&written(&last), &place), wanted(block, &place), "{place}"),
        Action::StdoutJsonPart => {
            let (found, part) = (json(&written(&last), &place), wanted(block, &place));
            assert!(is_part(&part, &found), "{place}: {part} is no part of {found}");
        }
    }
    last
}

fn json(output: &Output, place: &str) -> Value {
    let stdout = text(&output.stdout);
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{place}: {error}: {stdout:?}"))
}

fn wanted(block: &Block, place: &str) -> Value {
    serde_json::from_str(&block.text).unwrap_or_else(|error| panic!("{place}: {error}"))
}

/// Whether `whole` has every member of `part`.
fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part
            .iter()
            .all(|(key, value)| whole.get(key).is_some_and(|other| is_part(value, other))),
        _ => part == whole,
    }
}

#[test]
fn guide_leads_from_one_yaml_block_to_every_interface_and_client() {
    let copy = Copy::of(&root());
    let blocks = page::blocks(&copy.read(PAGE));
    // The page shows each step: a declaration, its generation, the compiler's demand, its fulfilment, six calls.
    let count = |wanted: fn(&Action) -> bool| blocks.iter().filter(|block| wanted(&block.action)).count();
    assert_eq!(count(|action| matches!(action, Action::AppendUnder { .. })), 2);
    assert_eq!(count(|action| matches!(action, Action::AppendIn { .. })), 1);
    assert_eq!(count(|action| *action == Action::StdoutJson), 6);

    let mut shell = Shell::new(&copy);
    let mut last = None;
    for block in &blocks {
        last = follow(&copy, &mut shell, block, last);
    }
}
