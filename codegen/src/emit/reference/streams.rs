//! Views of streams, as the templates show them.

use super::snippets::{self, Snippet};
use super::tables::{ErrorRow, FieldRow, cell, code, error_row, field_row, operation_anchor, type_link};
use super::view::{Fact, example_text, fact, stability};
use crate::emit::examples;
use crate::emit::json_schema::schema::paragraphs;
use crate::emit::openapi::credentials;
use crate::model::{Model, Object, Shape, StreamClass, View};
use crate::resolve::WS_ENTRY;

pub struct StreamView {
    pub id: String,
    pub anchor: String,
    pub class: &'static str,
    pub sse: String,
    pub summary_cell: String,
    pub text: String,
    pub facts: Vec<Fact>,
    pub arguments: Vec<FieldRow>,
    pub events: Vec<EventView>,
    pub errors: Vec<ErrorRow>,
    pub example: Option<StreamExample>,
}

pub struct EventView {
    /// Its name as a link to its type.
    pub link: String,
    pub text: String,
    pub fields: Vec<FieldRow>,
}

pub struct StreamExample {
    pub text: String,
    pub snippets: Vec<Snippet>,
    /// What comes of it, an event a line.
    pub events: String,
}

pub fn view(model: &Model, view: &View) -> StreamView {
    let open = &view.open;
    let home = &open.module;
    let rows = |name: &str| -> Vec<FieldRow> {
        let none = Object::default();
        let object = match &model.ty(name).shape {
            Shape::Object(object) => object,
            _ => &none,
        };
        object
            .fields
            .iter()
            .map(|field| field_row(model, home, field))
            .collect()
    };
    StreamView {
        id: open.id.clone(),
        anchor: operation_anchor(&open.id),
        class: class(view),
        sse: sse(view),
        summary_cell: cell(&open.summary),
        text: paragraphs(&[&open.summary, &open.description]),
        facts: facts(view),
        arguments: rows(&open.input),
        events: view
            .events
            .iter()
            .map(|event| EventView {
                link: type_link(model, home, event),
                text: model.ty(event).description.clone(),
                fields: rows(event),
            })
            .collect(),
        errors: open
            .errors
            .iter()
            .filter_map(|code| model.errors.get(code))
            .map(|error| error_row(model, home, error))
            .collect(),
        example: example(model, view),
    }
}

pub fn class(view: &View) -> &'static str {
    match view.class {
        StreamClass::Changes => "changes",
        StreamClass::Telemetry => "telemetry",
        StreamClass::Results => "results",
    }
}

fn sse(view: &View) -> String {
    format!("{} {}", view.open.method.as_str(), view.open.path)
}

fn facts(view: &View) -> Vec<Fact> {
    let open = &view.open;
    let class = match view.class {
        StreamClass::Changes => "changes: lossless, goes on behind the `cursor` of any item",
        StreamClass::Telemetry => "telemetry: bounded, losses are told",
        StreamClass::Results => "results: complete, ends by itself; who leaves ends the work",
    };
    let own = view.ws.as_ref().map_or_else(
        || "none of its own".to_owned(),
        |path| format!("of its own: {}", code(path)),
    );
    vec![
        fact("stream", code(&view.stream)),
        fact("class", class),
        fact("access", credentials(&open.permission)),
        fact("SSE", code(&sse(view))),
        fact(
            "WebSocket",
            format!(
                "`subscribe` with the view {} on `{WS_ENTRY}`; {own}",
                code(&open.id)
            ),
        ),
        fact("GraphQL", code(&format!("Subscription.{}", open.graphql))),
        fact("since", format!("{}, {}", open.since, stability(open.stability))),
    ]
}

fn example(model: &Model, view: &View) -> Option<StreamExample> {
    let example = examples::succeeding(&view.open).next()?;
    let then: Vec<String> = example
        .then
        .iter()
        .map(|step| {
            let waits = if step.background { ", which waits" } else { "" };
            format!("{} {}{waits}", code(&step.call), code(&step.input.to_string()))
        })
        .collect();
    let then = if then.is_empty() {
        String::new()
    } else {
        format!("Then: {}.", then.join(", "))
    };
    let events: Vec<String> = example
        .events
        .iter()
        .map(|expected| format!("{} {}", expected.event, expected.data))
        .collect();
    Some(StreamExample {
        text: paragraphs(&[&example_text(example), &then]),
        snippets: snippets::of_view(model, view, example),
        events: events.join("\n"),
    })
}
