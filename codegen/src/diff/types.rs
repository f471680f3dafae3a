//! Types by the direction in which they travel.

use std::collections::BTreeSet;

use super::{Class, Differ};
use crate::model::{Field, Integer, Object, Shape, Text, Ty, TypeDef, Union};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    /// Callers write it: accepting less breaks them.
    Input,
    /// Callers read it: promising less breaks them.
    Output,
}

use Class::{Compatible, SourceBreaking, WireBreaking};
use Direction::{Input, Output};

/// Most aliases of aliases that are followed; an unlinted contract may hold cycles.
const ALIASES_MAX: usize = 64;

impl Differ<'_> {
    /// Compares what two names stand for, and all that is reached from there.
    pub(super) fn named_types(&mut self, old: &str, new: &str, direction: Direction) {
        let mut seen = BTreeSet::new();
        let mut open = vec![(old.to_owned(), new.to_owned())];
        while let Some((old, new)) = open.pop() {
            if seen.insert((old.clone(), new.clone())) {
                let (old_model, new_model) = (self.old, self.new);
                self.type_pair(old_model.ty(&old), new_model.ty(&new), direction, &mut open);
            }
        }
    }

    fn type_pair(
        &mut self,
        old: &TypeDef,
        new: &TypeDef,
        direction: Direction,
        open: &mut Vec<(String, String)>,
    ) {
        let name = &old.name;
        match (&old.shape, &new.shape) {
            (Shape::Object(old_object), Shape::Object(new_object)) => {
                self.objects(old, old_object, new_object, direction, open);
            }
            (Shape::Enum(old), Shape::Enum(new)) => self.enums(name, old, new, direction),
            (Shape::Union(old), Shape::Union(new)) => self.unions(name, old, new, direction, open),
            (Shape::Alias(old), Shape::Alias(new)) => {
                self.types(&format!("type {name}"), old, new, direction, open)
            }
            _ => self.push(
                WireBreaking,
                format!("type {name}"),
                "shape",
                "it is another kind of type",
            ),
        }
    }

    fn objects(
        &mut self,
        def: &TypeDef,
        old: &Object,
        new: &Object,
        direction: Direction,
        open: &mut Vec<(String, String)>,
    ) {
        let path = |field: &Field| match &def.input_of {
            Some(operation) => format!("input {operation}.{}", field.name),
            None => format!("field {}.{}", def.name, field.name),
        };
        for field in &old.fields {
            match new.fields.iter().find(|other| other.name == field.name) {
                Some(other) => self.fields(&path(field), field, other, direction, open),
                None => {
                    let message = if direction == Input {
                        "callers who give it are refused"
                    } else {
                        "callers who read it miss it"
                    };
                    self.push(WireBreaking, path(field), "removed", message);
                }
            }
        }
        for field in new
            .fields
            .iter()
            .filter(|field| !old.fields.iter().any(|other| other.name == field.name))
        {
            let (class, message) = match direction {
                Input if field.required => (WireBreaking, "callers must give it now"),
                _ => (Compatible, "a new field"),
            };
            self.push(class, path(field), "added", message);
        }
        let (old, new): (BTreeSet<_>, BTreeSet<_>) = (
            old.exactly_one_of.iter().collect(),
            new.exactly_one_of.iter().collect(),
        );
        if direction == Input && old != new {
            let class = if new.is_empty() || (!old.is_empty() && new.is_superset(&old)) {
                Compatible
            } else {
                WireBreaking
            };
            self.push(
                class,
                format!("type {}", def.name),
                "exactly-one-of",
                "the choice between fields changed",
            );
        }
    }

    fn fields(
        &mut self,
        path: &str,
        old: &Field,
        new: &Field,
        direction: Direction,
        open: &mut Vec<(String, String)>,
    ) {
        let presence = |required: bool| if required { "required" } else { "optional" };
        if old.required != new.required {
            // A caller may go on giving what is optional now, and reading what is always there now.
            let class = if new.required == (direction == Input) {
                WireBreaking
            } else {
                SourceBreaking
            };
            self.push(
                class,
                path,
                "required",
                format!("{} instead of {}", presence(new.required), presence(old.required)),
            );
        }
        if old.nullable != new.nullable {
            let class = if new.nullable == (direction == Output) {
                WireBreaking
            } else {
                SourceBreaking
            };
            let message = if new.nullable {
                "it may be null now"
            } else {
                "it is never null now"
            };
            self.push(class, path, "nullable", message);
        }
        if direction == Input && old.default != new.default {
            let shown = |default: &Option<serde_json::Value>| {
                default.as_ref().map_or("none".to_owned(), ToString::to_string)
            };
            let message = format!(
                "{} instead of {}: leaving it out means something else",
                shown(&new.default),
                shown(&old.default)
            );
            self.push(WireBreaking, path, "default", message);
        }
        if old.place_rest != new.place_rest {
            self.push(
                WireBreaking,
                path,
                "place",
                format!(
                    "REST carries it in the {:?} instead of the {:?}",
                    new.place_rest, old.place_rest
                ),
            );
        }
        if old.deprecated.is_none() && new.deprecated.is_some() {
            self.push(Compatible, path, "deprecated", "users are told to use another");
        }
        self.types(path, &old.ty, &new.ty, direction, open);
    }

    fn types(
        &mut self,
        path: &str,
        old: &Ty,
        new: &Ty,
        direction: Direction,
        open: &mut Vec<(String, String)>,
    ) {
        let (old_ty, new_ty) = (behind_aliases(self.old, old), behind_aliases(self.new, new));
        match (&old_ty, &new_ty) {
            (Ty::Ref(old), Ty::Ref(new)) => {
                if old != new {
                    self.push(
                        SourceBreaking,
                        path,
                        "type-renamed",
                        format!("`{new}` instead of `{old}`"),
                    );
                }
                open.push((old.clone(), new.clone()));
            }
            (
                Ty::Array {
                    items: old,
                    min: old_min,
                    max: old_max,
                },
                Ty::Array {
                    items: new,
                    min: new_min,
                    max: new_max,
                },
            ) => {
                let (low, high) = (
                    |bound: &Option<u32>| f64::from(bound.unwrap_or(0)),
                    |bound: &Option<u32>| bound.map_or(f64::INFINITY, f64::from),
                );
                self.range(
                    path,
                    (low(old_min), high(old_max)),
                    (low(new_min), high(new_max)),
                    direction,
                );
                self.types(path, old, new, direction, open);
            }
            (Ty::Map { values: old }, Ty::Map { values: new }) => self.types(path, old, new, direction, open),
            (Ty::Integer(old), Ty::Integer(new)) if old.width == new.width => {
                self.range(path, bounds(old), bounds(new), direction);
                if old.unit != new.unit {
                    self.push(
                        WireBreaking,
                        path,
                        "unit",
                        format!("{:?} instead of {:?}", new.unit, old.unit),
                    );
                }
            }
            (
                Ty::Number {
                    minimum: a,
                    maximum: b,
                },
                Ty::Number {
                    minimum: c,
                    maximum: d,
                },
            ) => {
                let range = |low: &Option<f64>, high: &Option<f64>| {
                    (low.unwrap_or(f64::NEG_INFINITY), high.unwrap_or(f64::INFINITY))
                };
                self.range(path, range(a, b), range(c, d), direction);
            }
            (Ty::Text(old), Ty::Text(new)) => self.texts(path, old, new, direction),
            (Ty::Bytes { max: old }, Ty::Bytes { max: new }) => {
                let high = |bound: &Option<u32>| bound.map_or(f64::INFINITY, f64::from);
                self.range(path, (0.0, high(old)), (0.0, high(new)), direction);
            }
            (old, new)
                if std::mem::discriminant(old) == std::mem::discriminant(new)
                    && !matches!(old, Ty::Integer(_)) => {}
            (old, new) => self.push(
                WireBreaking,
                path,
                "type",
                format!("{} instead of {}", word(new), word(old)),
            ),
        }
    }

    fn texts(&mut self, path: &str, old: &Text, new: &Text, direction: Direction) {
        let range = |text: &Text| {
            (
                f64::from(text.min_length.unwrap_or(0)),
                text.max_length.map_or(f64::INFINITY, f64::from),
            )
        };
        self.range(path, range(old), range(new), direction);
        if old.pattern != new.pattern {
            let looser = match direction {
                Input => new.pattern.is_none(),
                Output => true,
            };
            let class = if looser { Compatible } else { WireBreaking };
            self.push(
                class,
                path,
                "pattern",
                format!("{:?} instead of {:?}", new.pattern, old.pattern),
            );
        }
    }

    /// Answers may use a range differently; only what is accepted binds callers.
    fn range(&mut self, path: &str, old: (f64, f64), new: (f64, f64), direction: Direction) {
        if old != new {
            let narrower = new.0 > old.0 || new.1 < old.1;
            let class = if narrower && direction == Input {
                WireBreaking
            } else {
                Compatible
            };
            self.push(
                class,
                path,
                "range",
                format!("{} to {} instead of {} to {}", new.0, new.1, old.0, old.1),
            );
        }
    }

    fn enums(&mut self, name: &str, old: &[String], new: &[String], direction: Direction) {
        for value in old.iter().filter(|value| !new.contains(value)) {
            let class = if direction == Input {
                WireBreaking
            } else {
                SourceBreaking
            };
            self.push(
                class,
                format!("value {name}.{value}"),
                "removed",
                "the value is gone",
            );
        }
        for value in new.iter().filter(|value| !old.contains(value)) {
            self.push(
                Compatible,
                format!("value {name}.{value}"),
                "added",
                "a new value; clients read it as text",
            );
        }
    }

    fn unions(
        &mut self,
        name: &str,
        old: &Union,
        new: &Union,
        direction: Direction,
        open: &mut Vec<(String, String)>,
    ) {
        if old.tag != new.tag {
            self.push(
                WireBreaking,
                format!("type {name}"),
                "tag",
                format!("`{}` instead of `{}`", new.tag, old.tag),
            );
        }
        for variant in &old.variants {
            let path = format!("variant {name}.{}", variant.value);
            match new.variants.iter().find(|other| other.value == variant.value) {
                Some(other) => {
                    if other.target != variant.target {
                        self.push(
                            SourceBreaking,
                            &path,
                            "type-renamed",
                            format!("`{}` instead of `{}`", other.target, variant.target),
                        );
                    }
                    open.push((variant.target.clone(), other.target.clone()));
                }
                None => {
                    let class = if direction == Input {
                        WireBreaking
                    } else {
                        SourceBreaking
                    };
                    self.push(class, path, "removed", "the variant is gone");
                }
            }
        }
        for variant in new
            .variants
            .iter()
            .filter(|variant| !old.variants.iter().any(|other| other.value == variant.value))
        {
            // Readers do not know its form.
            let class = if direction == Output {
                WireBreaking
            } else {
                Compatible
            };
            self.push(
                class,
                format!("variant {name}.{}", variant.value),
                "added",
                "a new variant",
            );
        }
    }
}

fn behind_aliases(model: &crate::model::Model, ty: &Ty) -> Ty {
    let mut ty = ty;
    for _ in 0..ALIASES_MAX {
        match ty {
            Ty::Ref(name) => match &model.ty(name).shape {
                Shape::Alias(inner) => ty = inner,
                _ => break,
            },
            _ => break,
        }
    }
    ty.clone()
}

#[allow(
    clippy::cast_precision_loss,
    reason = "the bounds of integers are within 2^53"
)]
fn bounds(integer: &Integer) -> (f64, f64) {
    (integer.minimum as f64, integer.maximum as f64)
}

fn word(ty: &Ty) -> String {
    match ty {
        Ty::Boolean => "boolean".to_owned(),
        Ty::Integer(integer) => format!("{:?}", integer.width).to_lowercase(),
        Ty::Number { .. } => "number".to_owned(),
        Ty::Text(_) => "text".to_owned(),
        Ty::Id64 => "id64".to_owned(),
        Ty::Decimal => "decimal".to_owned(),
        Ty::Bytes { .. } => "bytes".to_owned(),
        Ty::Timestamp => "timestamp".to_owned(),
        Ty::Date => "date".to_owned(),
        Ty::Uuid => "uuid".to_owned(),
        Ty::Lsn => "lsn".to_owned(),
        Ty::Cursor => "cursor".to_owned(),
        Ty::Json => "json".to_owned(),
        Ty::Array { items, .. } => format!("list of {}", word(items)),
        Ty::Map { values } => format!("map of {}", word(values)),
        Ty::Ref(name) => name.clone(),
    }
}
