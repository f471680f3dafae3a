//! Streams: their views as openings with events.

use std::collections::BTreeMap;

use super::operations::{InputForm, added_field, object, resolve_step, role};
use super::{At, CORE, Resolver};
use crate::language::{StreamDef, ViewDef, ViewExample};
use crate::load::LoadedModule;
use crate::model::{
    Example, ExpectedEvent, Field, Kind, Method, Operation, Shape, StreamClass, Text, Ty, Union, Variant,
    View,
};
use crate::names;

/// The WebSocket path on which every view can be had.
pub const WS_ENTRY: &str = "/api/v1/ws";
/// Below it lie the WebSocket paths of views.
pub const WS_PREFIX: &str = "/api/v1/ws/";
/// Below it lie their SSE paths.
const SSE_PREFIX: &str = "/api/v1/sse/";
/// What subscribers are told beside events.
pub const CONTROL_TYPE: &str = "StreamControl";
/// Most names in a list that the generator adds to an input.
const NAMES_MAX: u32 = 64;

impl<'a> Resolver<'a> {
    pub(super) fn resolve_streams(
        &mut self,
        module: &'a LoadedModule,
        at: &At<'a>,
    ) -> BTreeMap<String, View> {
        let mut views: BTreeMap<String, View> = BTreeMap::new();
        if !module.file.streams.is_empty()
            && self.type_homes.get(CONTROL_TYPE).map(String::as_str) != Some(CORE)
        {
            self.report(
                at,
                "stream-control",
                format!("there are streams and no type `{CORE}.{CONTROL_TYPE}`"),
                "declare it: what subscribers are told beside events",
            );
        }
        for (stream, form) in &module.file.streams {
            for (name, view) in &form.views {
                let at = at.push(stream).push("views").push(name);
                if module.file.operations.contains_key(name) || views.contains_key(name) {
                    let message = format!("`{}.{name}` is there twice", at.module_name());
                    self.report(
                        &at,
                        "view-clash",
                        message,
                        "views and operations of a module share one space of names",
                    );
                    continue;
                }
                let resolved = self.resolve_view(stream, form, name, view, &at);
                views.extend(resolved.map(|view| (name.clone(), view)));
            }
        }
        views
    }

    fn resolve_view(
        &mut self,
        stream: &str,
        source: &StreamDef,
        name: &str,
        form: &ViewDef,
        at: &At<'a>,
    ) -> Option<View> {
        let module = at.module_name();
        let events = self.resolve_events(form, at)?;
        let is_record = form.record.is_some();
        // What a statement does is an effect, which no GET may have.
        let method = match &source.permission {
            crate::language::PermissionRef::By(_) => Method::Post,
            crate::language::PermissionRef::Name(_) => Method::Get,
        };
        let path = sse_path(module, name, form.ws.as_deref());
        let input_form = InputForm {
            schema: form.args.as_ref(),
            key: "args",
            added: added_fields(source.class, is_record, at),
        };
        let input = self.resolve_input(name, input_form, method, &path, at);
        let permission = self.resolve_permission(&source.permission, &input, &at.push("permission"));
        let errors = self.resolve_error_names(&form.errors, &at.push("errors"));
        let graphql = form
            .graphql
            .clone()
            .unwrap_or_else(|| names::graphql::root_field(module, name));
        let open = Operation {
            id: format!("{module}.{name}"),
            name: name.to_owned(),
            module: module.to_owned(),
            kind: Kind::Stream,
            method,
            path,
            permission,
            summary: form.summary.clone(),
            description: form.description.clone().unwrap_or_default(),
            input,
            output: is_record.then(|| events[0].clone()),
            result: None,
            status: 200,
            errors,
            paginated: None,
            timeout_ms: self.model.limits.timeout_ms,
            retry_safe: method == Method::Get,
            since: source.since.clone(),
            stability: source.stability,
            deprecated: None,
            graphql,
            except: BTreeMap::new(),
            examples: form
                .examples
                .iter()
                .map(|example| resolve_example(example, &events))
                .collect(),
            place: at.place(),
        };
        let view = View {
            open,
            stream: stream.to_owned(),
            class: source.class,
            ws: form.ws.clone(),
            ws_message: form.ws_message.clone(),
            events,
            is_record,
        };
        if !is_record {
            self.add_event_type(&view, at);
        }
        Some(view)
    }

    /// The union of a view's events, told apart by `event`.
    fn add_event_type(&mut self, view: &View, at: &At<'a>) {
        let name = view.event_type();
        self.claim_type(&name, at);
        let variants = view.events.iter().map(|event| Variant {
            value: event.clone(),
            target: event.clone(),
        });
        let union = Union {
            tag: "event".to_owned(),
            variants: variants.collect(),
        };
        let description = format!("Any event of `{}`.", view.open.id);
        self.add_type(&name, description, Shape::Union(union), None, at);
    }

    /// Names of the types of the events: objects of the module itself.
    fn resolve_events(&mut self, form: &ViewDef, at: &At<'a>) -> Option<Vec<String>> {
        let named: Vec<(&String, At<'a>)> = match (&form.record, form.events.as_slice()) {
            (Some(record), []) => vec![(record, at.push("record"))],
            (None, events @ [_, ..]) => events
                .iter()
                .enumerate()
                .map(|(index, name)| (name, at.push("events").push(&index.to_string())))
                .collect(),
            _ => {
                self.report(
                    at,
                    "view-payload",
                    "a view has either a record or events".to_owned(),
                    "write `record: Type`, or `events: [Type, ...]`",
                );
                return None;
            }
        };
        let mut events: Vec<String> = Vec::new();
        for (name, at) in named {
            let is_object = self
                .type_homes
                .get(name)
                .is_some_and(|home| home == at.module_name())
                && matches!(
                    self.model.types.get(name).map(|found| &found.shape),
                    Some(Shape::Object(_))
                );
            if !is_object || events.contains(name) {
                self.report(
                    &at,
                    "view-payload",
                    format!("`{name}` is no object type of this module, or is there twice"),
                    "declare it under `types`; the event has its name",
                );
                return None;
            }
            events.push(name.clone());
        }
        Some(events)
    }
}

/// The SSE path follows the WebSocket path where there is one.
fn sse_path(module: &str, name: &str, ws: Option<&str>) -> String {
    match ws.and_then(|path| path.strip_prefix(WS_PREFIX)) {
        Some(rest) => format!("{SSE_PREFIX}{rest}"),
        None => format!("{SSE_PREFIX}{}/{}", module, name).replace('_', "-"),
    }
}

/// What every view takes beside its own arguments.
fn added_fields(class: StreamClass, is_record: bool, at: &At<'_>) -> Vec<Field> {
    let names = || Ty::Array {
        items: Box::new(Ty::Text(Text::default())),
        min: Some(1),
        max: Some(NAMES_MAX),
    };
    let mut fields = Vec::new();
    if class == StreamClass::Changes {
        fields.push(added_field(
            "cursor",
            "Go on behind the item that had this cursor.",
            Ty::Cursor,
            None,
            at,
        ));
    }
    if !is_record {
        fields.push(added_field(
            "events",
            "Names of the events to send; all when left out.",
            names(),
            None,
            at,
        ));
    }
    fields.push(added_field(
        "filter",
        "Field of the data to the value it must have, or to a list of values of which it must have one.",
        Ty::Map {
            values: Box::new(Ty::Json),
        },
        None,
        at,
    ));
    fields.push(added_field(
        "fields",
        "Fields of the data to send; all when left out.",
        names(),
        None,
        at,
    ));
    fields
}

fn resolve_example(form: &ViewExample, events: &[String]) -> Example {
    Example {
        name: form.name.clone(),
        summary: form.summary.clone().unwrap_or_default(),
        given: form.given.iter().map(resolve_step).collect(),
        role: role(form.role.as_deref()),
        input: object(form.input.as_ref()),
        output: None,
        error: form.error.clone(),
        then: form.then.iter().map(resolve_step).collect(),
        events: form
            .events
            .iter()
            .map(|expected| ExpectedEvent {
                event: expected.event.clone().unwrap_or_else(|| events[0].clone()),
                data: object(expected.data.as_ref()),
            })
            .collect(),
    }
}
