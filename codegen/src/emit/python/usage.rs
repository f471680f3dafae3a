//! Questions about where types are used.

use std::collections::BTreeSet;

use crate::model::{Model, Shape, Ty};

/// Aliases of aliases that are followed; lint refuses cycles, an emitter never hangs on one.
const ALIAS_DEPTH_MAX: u32 = 32;

/// Whether a value of the type may hold an enumeration's.
pub fn holds_enum(model: &Model, ty: &Ty) -> bool {
    holds(model, ty, &mut BTreeSet::new())
}

fn holds(model: &Model, ty: &Ty, seen: &mut BTreeSet<String>) -> bool {
    match ty {
        Ty::Array { items, .. } => holds(model, items, seen),
        Ty::Map { values } => holds(model, values, seen),
        Ty::Ref(name) => {
            if !seen.insert(name.clone()) {
                return false;
            }
            match &model.ty(name).shape {
                Shape::Enum(_) => true,
                Shape::Alias(ty) => holds(model, ty, seen),
                Shape::Object(object) => object.fields.iter().any(|field| holds(model, &field.ty, seen)),
                Shape::Union(union) => union
                    .variants
                    .iter()
                    .any(|variant| holds(model, &Ty::Ref(variant.target.clone()), seen)),
            }
        }
        _ => false,
    }
}

/// Whether a URL carries the value as plain text.
pub fn is_text(model: &Model, ty: &Ty) -> bool {
    match behind(model, ty) {
        Ty::Array { .. } | Ty::Map { .. } | Ty::Json => false,
        Ty::Ref(name) => matches!(model.ty(name).shape, Shape::Enum(_)),
        _ => true,
    }
}

/// The item type when the type is an array, through aliases.
pub fn items<'a>(model: &'a Model, ty: &'a Ty) -> Option<&'a Ty> {
    match behind(model, ty) {
        Ty::Array { items, .. } => Some(items),
        _ => None,
    }
}

/// The type behind aliases.
fn behind<'a>(model: &'a Model, ty: &'a Ty) -> &'a Ty {
    let mut found = ty;
    for _ in 0..ALIAS_DEPTH_MAX {
        match found {
            Ty::Ref(name) => match &model.ty(name).shape {
                Shape::Alias(inner) => found = inner,
                _ => return found,
            },
            _ => return found,
        }
    }
    found
}
