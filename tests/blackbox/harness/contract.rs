//! The contract, read once.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use codegen::model::{Field, Model, Operation, Shape, Ty, View};
use codegen::project::Project;

static MODEL: LazyLock<Model> = LazyLock::new(|| match Project::new(&root()).model() {
    Ok(model) => model,
    Err(diagnostics) => panic!("the contract is broken: {diagnostics:?}"),
});

/// Root of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

pub fn model() -> &'static Model {
    &MODEL
}

pub fn operation(id: &str) -> &'static Operation {
    model()
        .operation(id)
        .unwrap_or_else(|| panic!("the contract has no operation {id}"))
}

pub fn view(id: &str) -> &'static View {
    model()
        .view(id)
        .unwrap_or_else(|| panic!("the contract has no view {id}"))
}

/// The type behind aliases.
pub fn resolved(ty: &'static Ty) -> &'static Ty {
    match ty {
        Ty::Ref(name) => match &model().ty(name).shape {
            Shape::Alias(ty) => resolved(ty),
            _ => ty,
        },
        _ => ty,
    }
}

pub fn fields(type_name: &str) -> &'static [Field] {
    match &model().ty(type_name).shape {
        Shape::Object(object) => &object.fields,
        _ => &[],
    }
}
