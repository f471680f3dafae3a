//! Views of streams: their WebSocket paths and what their events may hold.

use std::collections::BTreeMap;

use super::{At, Lint};
use crate::model::{Model, Shape, View};
use crate::resolve::{WS_ENTRY, WS_PREFIX};

/// What stands beside the data of an event on some transport.
const FRAME_FIELDS: &[&str] = &["control", "cursor", "event", "message_type", "timestamp"];

pub(super) fn check(lint: &mut Lint<'_>, model: &Model) {
    let mut paths: BTreeMap<&str, &str> = BTreeMap::new();
    for view in model.views() {
        if let Some(path) = &view.ws {
            path_form(lint, view, path);
            if let Some(other) = paths.insert(path, &view.open.id) {
                let message = format!("`{}` has the WebSocket path of `{other}`", view.open.id);
                let at = At::view(view).push("ws");
                lint.report(&at, "ws-path", message, "give each view a path of its own");
            }
        }
        event_fields(lint, model, view);
    }
}

fn path_form(lint: &mut Lint<'_>, view: &View, path: &str) {
    let segment = |segment: &str| {
        let bytes = segment.bytes();
        !segment.is_empty()
            && bytes
                .into_iter()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let sound = path
        .strip_prefix(WS_PREFIX)
        .is_some_and(|rest| rest.split('/').all(segment));
    if !sound {
        lint.report(
            &At::view(view).push("ws"),
            "ws-path",
            format!("`{path}`"),
            format!("begin with {WS_PREFIX} and write segments in lower case with hyphens; {WS_ENTRY} is the common entry"),
        );
    }
}

fn event_fields(lint: &mut Lint<'_>, model: &Model, view: &View) {
    for event in &view.events {
        let Shape::Object(object) = &model.ty(event).shape else {
            continue;
        };
        for field in object
            .fields
            .iter()
            .filter(|field| FRAME_FIELDS.contains(&field.name.as_str()))
        {
            lint.report_place(
                field.place.clone(),
                "stream-field",
                format!(
                    "`{}` of the event `{event}` stands in the frame already",
                    field.name
                ),
                "leave it out, or name it after what it says beside the frame's",
            );
        }
    }
}
