//! docs/reference: a page per module and an index, with what a caller of any interface has to know.
//!
//! Pages are askama templates in codegen/templates/reference over the views made here; a call is shown by the
//! operation's first example that succeeds, on every interface and in every client ([`snippets`]). Views of streams
//! are shown after the operations ([`streams`]).

mod snippets;
mod streams;
mod tables;
mod view;

use askama::Template;

use super::json_schema::NOTE;
use crate::model::Model;
use crate::output::{Emission, File};

pub use tables::cell;

const FOLDER: &str = "docs/reference";

#[derive(Template)]
#[template(path = "reference/module.md", escape = "none")]
struct ModulePage {
    note: &'static str,
    module: view::Module,
}

#[derive(Template)]
#[template(path = "reference/index.md", escape = "none")]
struct IndexPage {
    note: &'static str,
    index: view::Index,
}

pub fn emit(model: &Model) -> Emission {
    let names = snippets::Names::new(model);
    let mut files: Vec<File> = model
        .modules
        .values()
        .map(|module| {
            let page = ModulePage {
                note: NOTE,
                module: view::module(model, &names, module),
            };
            File::new(format!("{FOLDER}/{}.md", module.name), text(&page))
        })
        .collect();
    let index = IndexPage {
        note: NOTE,
        index: view::index(model),
    };
    files.push(File::new(format!("{FOLDER}/README.md"), text(&index)));
    Emission {
        files,
        folders: vec![FOLDER.to_owned()],
    }
}

/// A page without trailing spaces, without runs of empty lines outside of code, with one newline at its end.
fn text(page: &impl Template) -> String {
    // Rendering to a String fails only when a value's Display does; those of the views do not.
    let rendered = page.render().unwrap_or_default();
    let mut text = String::new();
    let mut fenced = false;
    let mut empty = true;
    for line in rendered.lines() {
        let line = if fenced { line } else { line.trim_end() };
        if line.starts_with("```") {
            fenced = !fenced;
        }
        if line.is_empty() && empty && !fenced {
            continue;
        }
        empty = line.is_empty();
        text.push_str(line);
        text.push('\n');
    }
    while text.ends_with("\n\n") {
        text.pop();
    }
    text
}
