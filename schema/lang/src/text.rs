//! Text of a path or query parameter to the JSON value it stands for.

use serde_json::Value;

use crate::descriptor::{FieldDesc, Shape, Ty, TypeDesc};
use crate::validate::Violation;

/// Whether the parameter holds JSON text rather than a plain value.
pub fn is_json_text(ty: &Ty) -> bool {
    match ty {
        Ty::Json | Ty::Map { .. } => true,
        Ty::Array { items, .. } => !is_scalar(items),
        Ty::Ref(TypeDesc {
            shape: Shape::Alias(ty),
            ..
        }) => is_json_text(ty),
        Ty::Ref(TypeDesc {
            shape: Shape::Enum(_),
            ..
        }) => false,
        Ty::Ref(_) => true,
        _ => false,
    }
}

/// Whether the parameter may be repeated: a list of scalars.
pub fn is_repeated(ty: &Ty) -> bool {
    match ty {
        Ty::Array { items, .. } => is_scalar(items),
        Ty::Ref(TypeDesc {
            shape: Shape::Alias(ty),
            ..
        }) => is_repeated(ty),
        _ => false,
    }
}

fn is_scalar(ty: &Ty) -> bool {
    !is_json_text(ty) && !matches!(ty, Ty::Array { .. })
}

/// The value of a parameter given once or, where it may be, several times.
pub fn parse(field: &FieldDesc, texts: &[String]) -> Result<Value, Violation> {
    if is_repeated(&field.ty) {
        let items = item_type(&field.ty);
        return texts
            .iter()
            .map(|text| scalar(items, text))
            .collect::<Option<Vec<_>>>()
            .map(Value::Array)
            .ok_or_else(|| refused(field, &texts.join(", ")));
    }
    let [text] = texts else {
        return Err(violation(
            field,
            format!("is given {} times; give it once", texts.len()),
        ));
    };
    if is_json_text(&field.ty) {
        return serde_json::from_str(text).map_err(|error| violation(field, format!("is not JSON: {error}")));
    }
    scalar(&field.ty, text).ok_or_else(|| refused(field, text))
}

fn item_type(ty: &Ty) -> &Ty {
    match ty {
        Ty::Array { items, .. } => items,
        Ty::Ref(TypeDesc {
            shape: Shape::Alias(ty),
            ..
        }) => item_type(ty),
        other => other,
    }
}

fn scalar(ty: &Ty, text: &str) -> Option<Value> {
    match ty {
        Ty::Boolean => text.parse().ok().map(Value::Bool),
        Ty::Integer { .. } => text.parse::<i64>().ok().map(Value::from),
        Ty::Number { .. } => {
            let number: f64 = text.parse().ok()?;
            serde_json::Number::from_f64(number).map(Value::Number)
        }
        Ty::Ref(TypeDesc {
            shape: Shape::Alias(ty),
            ..
        }) => scalar(ty, text),
        _ => Some(Value::String(text.to_owned())),
    }
}

fn refused(field: &FieldDesc, text: &str) -> Violation {
    let shown: String = text.chars().take(60).collect();
    violation(field, format!("{shown:?} is not of the parameter's type"))
}

fn violation(field: &FieldDesc, message: String) -> Violation {
    Violation {
        field: field.name.to_owned(),
        message: format!("{}: {message}", field.name),
    }
}
