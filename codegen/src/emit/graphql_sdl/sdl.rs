//! The schema's text.

use std::collections::{BTreeMap, BTreeSet};

use super::root_operations;
use super::types::{self, PayloadTexts, SCALARS, Use, Way};
use crate::emit::json_schema::NOTE;
use crate::emit::json_schema::schema::paragraphs;
use crate::model::{Deprecated, Field, Model, Object, Operation, Shape, StreamClass, Union, View};
use crate::names;

/// Longest description that stands on one line.
const LINE_MAX: usize = 100;

pub fn text(model: &Model) -> String {
    let mut writer = Writer {
        model,
        uses: BTreeSet::new(),
    };
    let mut roots = String::new();
    for (root, query) in [("Query", true), ("Mutation", false)] {
        let operations = root_operations(model, query);
        if operations.is_empty() {
            continue;
        }
        let fields: Vec<String> = operations
            .iter()
            .map(|operation| writer.root_field(operation))
            .collect();
        roots += &format!("\ntype {root} {{\n{}}}\n", fields.join("\n"));
    }
    let mut views: Vec<&View> = model.views().collect();
    views.sort_by(|a, b| a.open.graphql.cmp(&b.open.graphql));
    let mut definitions = BTreeMap::new();
    if !views.is_empty() {
        let fields: Vec<String> = views.iter().map(|view| writer.subscription_field(view)).collect();
        roots += &format!("\ntype Subscription {{\n{}}}\n", fields.join("\n"));
        definitions.extend(views.iter().map(|view| writer.payload(view)));
    }
    let mut done = BTreeSet::new();
    while let Some(next) = writer.uses.difference(&done).next().cloned() {
        done.insert(next.clone());
        if let Some((name, text)) = writer.definition(&next) {
            definitions.insert(name, text);
        }
    }
    let definitions: Vec<String> = definitions
        .into_values()
        .map(|text| format!("\n{text}"))
        .collect();
    format!("# {NOTE}\n{roots}{}", definitions.concat())
}

struct Writer<'a> {
    model: &'a Model,
    uses: BTreeSet<Use>,
}

impl Writer<'_> {
    fn subscription_field(&mut self, view: &View) -> String {
        let text = paragraphs(&[&view.open.summary, &view.open.description]);
        let arguments = self.arguments(&view.open);
        let (field, payload) = (
            &view.open.graphql,
            names::graphql::payload_type(&view.open.graphql),
        );
        format!("{}  {field}{arguments}: {payload}!\n", description(&text, 1))
    }

    /// Name and text of a view's payload.
    fn payload(&mut self, view: &View) -> (String, String) {
        let model = self.model;
        let name = names::graphql::payload_type(&view.open.graphql);
        let mut fields = match &model.ty(&view.events[0]).shape {
            Shape::Object(object) if view.is_record => {
                let optional = |field: &Field| Field {
                    required: false,
                    ..field.clone()
                };
                let fields: Vec<Field> = object.fields.iter().map(optional).collect();
                fields
                    .iter()
                    .map(|field| self.field(field, Way::Out, 1))
                    .collect()
            }
            _ => {
                let union = view.event_type();
                let text = format!(
                    "{}  event: String\n{}  data: {union}\n",
                    description(PayloadTexts::EVENT, 1),
                    description(PayloadTexts::DATA, 1)
                );
                self.uses.insert(Use::Type(union, Way::Out));
                text
            }
        };
        fields += &format!(
            "{}  timestamp: Timestamp!\n",
            description(PayloadTexts::TIMESTAMP, 1)
        );
        self.uses.insert(Use::Scalar("Timestamp"));
        if view.class == StreamClass::Changes {
            fields += &format!("{}  cursor: Cursor\n", description(PayloadTexts::CURSOR, 1));
            self.uses.insert(Use::Scalar("Cursor"));
        }
        fields += &format!(
            "{}  control: StreamControl\n",
            description(PayloadTexts::CONTROL, 1)
        );
        self.uses.insert(Use::Type("StreamControl".to_owned(), Way::Out));
        let text = format!("One item of `{}`.", view.open.id);
        let text = format!("{}type {name} {{\n{fields}}}\n", description(&text, 0));
        (name, text)
    }

    fn arguments(&mut self, operation: &Operation) -> String {
        let fields = self.model.input_fields(operation);
        let arguments: String = fields.iter().map(|field| self.field(field, Way::In, 2)).collect();
        if fields.is_empty() {
            String::new()
        } else {
            format!("(\n{arguments}  )")
        }
    }

    fn root_field(&mut self, operation: &Operation) -> String {
        let text = paragraphs(&[&operation.summary, &operation.description]);
        let arguments = self.arguments(operation);
        let output = match &operation.output {
            Some(name) => {
                let written = types::of(self.model, &crate::model::Ty::Ref(name.clone()), Way::Out);
                self.uses.insert(written.uses);
                let mark = if written.takes_null { "" } else { "!" };
                format!("{}{mark}", written.text)
            }
            None => {
                self.uses.insert(Use::Scalar("Empty"));
                "Empty!".to_owned()
            }
        };
        let deprecated = deprecated(operation.deprecated.as_ref());
        format!(
            "{}  {}{arguments}: {output}{deprecated}\n",
            description(&text, 1),
            operation.graphql
        )
    }

    fn field(&mut self, field: &Field, way: Way, indent: usize) -> String {
        let default = field
            .default
            .as_ref()
            .map_or_else(String::new, |default| format!("Default: {default}."));
        let text = format!("{} {default}", field.description);
        let (ty, uses) = types::of_field(self.model, field, way);
        self.uses.insert(uses);
        // GraphQL forbids to deprecate an argument that must be given; so none is.
        let deprecated = deprecated(field.deprecated.as_ref().filter(|_| way == Way::Out));
        let name = names::graphql::field(&field.name);
        format!(
            "{}{}{name}: {ty}{deprecated}\n",
            description(&text, indent),
            "  ".repeat(indent)
        )
    }

    /// Name and text of a definition; GraphQL's own scalars have none.
    fn definition(&mut self, uses: &Use) -> Option<(String, String)> {
        match uses {
            Use::Scalar(name) => {
                let (_, text) = SCALARS.iter().find(|(scalar, _)| scalar == name)?;
                Some((
                    (*name).to_owned(),
                    format!("{}scalar {name}\n", description(text, 0)),
                ))
            }
            Use::Type(name, way) => {
                let def = self.model.ty(name);
                let body = match &def.shape {
                    Shape::Object(object) => self.object(name, object, *way),
                    Shape::Enum(values) => {
                        let values = values
                            .iter()
                            .map(|value| format!("  {}\n", names::graphql::enum_value(value)));
                        format!("enum {name} {{\n{}}}\n", values.collect::<String>())
                    }
                    Shape::Union(union) => self.union(name, union, *way),
                    Shape::Alias(_) => return None,
                };
                Some((
                    types::type_name(name, *way),
                    format!("{}{body}", description(&def.description, 0)),
                ))
            }
        }
    }

    fn object(&mut self, name: &str, object: &Object, way: Way) -> String {
        let word = if way == Way::In { "input" } else { "type" };
        let mut fields: String = object
            .fields
            .iter()
            .map(|field| self.field(field, way, 1))
            .collect();
        if fields.is_empty() {
            self.uses.insert(Use::Scalar("Empty"));
            fields = "  empty: Empty\n".to_owned();
        }
        format!("{word} {} {{\n{fields}}}\n", types::type_name(name, way))
    }

    fn union(&mut self, name: &str, union: &Union, way: Way) -> String {
        match way {
            Way::Out => {
                let targets: Vec<&str> = union
                    .variants
                    .iter()
                    .map(|variant| variant.target.as_str())
                    .collect();
                let uses = targets
                    .iter()
                    .map(|target| Use::Type((*target).to_owned(), Way::Out));
                self.uses.extend(uses);
                format!("union {name} = {}\n", targets.join(" | "))
            }
            Way::In => {
                let fields: String = union
                    .variants
                    .iter()
                    .map(|variant| {
                        let ty = crate::model::Ty::Ref(variant.target.clone());
                        let written = types::of(self.model, &ty, Way::In);
                        self.uses.insert(written.uses);
                        format!("  {}: {}\n", names::graphql::field(&variant.value), written.text)
                    })
                    .collect();
                format!("input {} @oneOf {{\n{fields}}}\n", types::type_name(name, way))
            }
        }
    }
}

fn deprecated(deprecated: Option<&Deprecated>) -> String {
    deprecated.map_or_else(String::new, |deprecated| {
        let reason = serde_json::Value::from(format!("use {}", deprecated.instead));
        format!(" @deprecated(reason: {reason})")
    })
}

/// A block string, on one line where it is short.
fn description(text: &str, indent: usize) -> String {
    let text = text.trim().replace("\"\"\"", "\\\"\"\"");
    let spaces = "  ".repeat(indent);
    if text.is_empty() {
        return String::new();
    }
    let short = !text.contains('\n') && text.chars().count() <= LINE_MAX && !text.ends_with(['"', '\\']);
    if short && !text.starts_with('"') {
        return format!("{spaces}\"\"\"{text}\"\"\"\n");
    }
    let lines: String = text
        .lines()
        .map(|line| {
            if line.trim().is_empty() {
                "\n".to_owned()
            } else {
                format!("{spaces}{line}\n")
            }
        })
        .collect();
    format!("{spaces}\"\"\"\n{lines}{spaces}\"\"\"\n")
}
