//! Types of one module.
//!
//! A type that only inputs reach is written for writing (closed enumerations, readonly lists), one that answers
//! reach for reading (open enumerations). One that both reach and that holds an enumeration is written twice.

use super::doc::{Doc, bounds, field_doc};
use crate::model::{Model, Module, Object, Shape, Ty, TypeDef, Union};
use crate::names::camel;
use crate::names::typescript::{Names, key, string};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Reading,
    Writing,
}

/// Texts of types as seen from one module's file, or from a file outside of all modules' types.
#[derive(Debug, Clone, Copy)]
pub struct Typing<'a> {
    pub model: &'a Model,
    pub names: &'a Names,
    /// Module whose types need no qualification.
    pub home: Option<&'a str>,
}

/// Name under which a file imports the types of a module.
pub fn alias(module: &str) -> String {
    format!("{}Types", camel(module))
}

impl Typing<'_> {
    /// The type's text.
    pub fn text(&self, ty: &Ty, direction: Direction) -> String {
        match ty {
            Ty::Boolean => "boolean".to_owned(),
            Ty::Integer(_) | Ty::Number { .. } => "number".to_owned(),
            Ty::Text(_) => "string".to_owned(),
            Ty::Id64 => "wire.Id64".to_owned(),
            Ty::Decimal => "wire.Decimal".to_owned(),
            Ty::Bytes { .. } => "wire.Bytes".to_owned(),
            Ty::Timestamp => "wire.Timestamp".to_owned(),
            Ty::Date => "wire.CalendarDate".to_owned(),
            Ty::Uuid => "wire.Uuid".to_owned(),
            Ty::Lsn => "wire.Lsn".to_owned(),
            Ty::Cursor => "wire.Cursor".to_owned(),
            Ty::Json => "wire.JsonValue".to_owned(),
            Ty::Array { items, .. } => {
                let items = self.text(items, direction);
                let items = if items.starts_with("readonly ") {
                    format!("({items})")
                } else {
                    items
                };
                format!("{}{items}[]", readonly(direction))
            }
            Ty::Map { values } => {
                format!(
                    "{{ {}[key: string]: {} }}",
                    readonly(direction),
                    self.text(values, direction)
                )
            }
            Ty::Ref(name) => self.reference(name, direction),
        }
    }

    /// The text of a named type.
    pub fn reference(&self, name: &str, direction: Direction) -> String {
        let bare = match direction {
            Direction::Reading => self.names.reading(name),
            Direction::Writing => self.names.writing(name),
        };
        let Some(found) = self.model.types.get(name) else {
            return bare.to_owned();
        };
        let qualified = if self.home == Some(found.module.as_str()) {
            bare.to_owned()
        } else {
            format!("{}.{bare}", alias(&found.module))
        };
        match (&found.shape, direction) {
            (Shape::Enum(_), Direction::Reading) => format!("wire.Open<{qualified}>"),
            _ => qualified,
        }
    }
}

/// The file of a module's types.
pub fn emit(model: &Model, names: &Names, module: &Module) -> String {
    let typing = Typing {
        model,
        names,
        home: Some(&module.name),
    };
    let mut body = String::new();
    for name in &module.types {
        let Some(found) = model.types.get(name) else {
            continue;
        };
        body.push('\n');
        body.push_str(&typing.declaration(found, own_direction(found), names.reading(name)));
        if names.is_split(name) {
            body.push('\n');
            body.push_str(&typing.declaration(found, Direction::Writing, names.writing(name)));
        }
    }
    let mut imports = String::new();
    for other in model.modules.keys().filter(|other| **other != module.name) {
        if mentions(&body, &alias(other)) {
            imports.push_str(&format!(
                "import type * as {} from \"./{other}.js\";\n",
                alias(other)
            ));
        }
    }
    if mentions(&body, "wire") {
        imports.push_str("import type * as wire from \"../../runtime/scalars.js\";\n");
    }
    format!("{imports}{body}")
}

fn own_direction(found: &TypeDef) -> Direction {
    if found.in_input && !found.in_output {
        Direction::Writing
    } else {
        Direction::Reading
    }
}

/// Whether code, comments aside, uses a name imported as a namespace. What is imported and not used fails the check.
pub fn mentions(code: &str, namespace: &str) -> bool {
    let qualifier = format!("{namespace}.");
    code.lines()
        .filter(|line| !line.trim_start().starts_with(['*', '/']))
        .any(|line| {
            line.match_indices(&qualifier).any(|(at, _)| {
                !line[..at]
                    .ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '"' | '/' | '.'))
            })
        })
}

impl Typing<'_> {
    fn declaration(&self, found: &TypeDef, direction: Direction, name: &str) -> String {
        let mut doc = Doc::default().text(&found.description);
        if direction == Direction::Writing && self.names.is_split(&found.name) {
            doc = doc.text("As inputs take it: enumerations have the values of this contract only.");
        }
        if let Shape::Alias(ty) = &found.shape {
            doc = doc.text(&bounds(ty).join(" "));
        }
        let doc = doc.render("");
        match &found.shape {
            Shape::Object(object) => format!("{doc}{}", self.object(object, direction, name)),
            Shape::Enum(values) => {
                let constant = self.names.values(&found.name);
                let list: String = values
                    .iter()
                    .map(|value| format!("  {},\n", string(value)))
                    .collect();
                format!(
                    "/** Values of {{@link {name}}}. */\nexport const {constant} = [\n{list}] as const;\n\n\
                     {doc}export type {name} = (typeof {constant})[number];\n"
                )
            }
            Shape::Union(union) if self.holds_events(found) => {
                format!("{doc}{}", self.events(union, name))
            }
            Shape::Union(union) => format!("{doc}{}", self.union(union, direction, name)),
            Shape::Alias(ty) => format!("{doc}export type {name} = {};\n", self.text(ty, direction)),
        }
    }

    fn object(&self, object: &Object, direction: Direction, name: &str) -> String {
        if object.fields.is_empty() {
            return format!("export type {name} = {{ [key: string]: never }};\n");
        }
        let mut fields = String::new();
        for field in &object.fields {
            fields.push_str(&field_doc(field).render("  "));
            let optional = if field.required { "" } else { "?" };
            let null = if field.nullable { " | null" } else { "" };
            let ty = self.text(&field.ty, direction);
            fields.push_str(&format!("  {}{optional}: {ty}{null};\n", key(&field.name)));
        }
        if object.exactly_one_of.is_empty() {
            return format!("export interface {name} {{\n{fields}}}\n");
        }
        let one_of: Vec<String> = object.exactly_one_of.iter().map(|field| string(field)).collect();
        format!(
            "export type {name} = wire.ExactlyOneOf<{{\n{fields}}}, {}>;\n",
            one_of.join(" | ")
        )
    }

    /// Whether the type was made for the events of a view.
    fn holds_events(&self, found: &TypeDef) -> bool {
        self.model
            .views()
            .any(|view| !view.is_record && view.event_type() == found.name)
    }

    /// Events in the form of SSE, where the data stands in a member of its own.
    fn events(&self, union: &Union, name: &str) -> String {
        let variants: String = union
            .variants
            .iter()
            .map(|variant| {
                let data = self.reference(&variant.target, Direction::Reading);
                format!("\n  | wire.StreamEvent<{}, {data}>", string(&variant.value))
            })
            .collect();
        format!("export type {name} ={variants};\n")
    }

    fn union(&self, union: &Union, direction: Direction, name: &str) -> String {
        let mut variants = String::new();
        for variant in &union.variants {
            let tag = format!("{{ {}: {} }}", key(&union.tag), string(&variant.value));
            let bare = self.model.types.get(&variant.target).is_some_and(
                |target| matches!(&target.shape, Shape::Object(object) if object.fields.is_empty()),
            );
            if bare {
                variants.push_str(&format!("\n  | {tag}"));
            } else {
                variants.push_str(&format!(
                    "\n  | ({tag} & {})",
                    self.reference(&variant.target, direction)
                ));
            }
        }
        let variants = if variants.is_empty() {
            " never".to_owned()
        } else {
            variants
        };
        format!("export type {name} ={variants};\n")
    }
}

fn readonly(direction: Direction) -> &'static str {
    match direction {
        Direction::Reading => "",
        Direction::Writing => "readonly ",
    }
}
