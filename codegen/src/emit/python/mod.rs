//! The Python client (clients/python): types, errors, operations, and a blocking and an asynchronous class per
//! module, from one list of operations; and the dispatch table of its test driver.
//!
//! The text is written in its final form: no formatter runs over it. What the files import has a leading
//! underscore, which no name of a contract has.

mod client;
mod dispatch;
mod errors;
mod methods;
mod operations;
#[cfg(test)]
mod tests;
mod text;
mod types;
pub mod usage;

use methods::Flavour;
use text::HEADER;

use crate::model::{Model, Module};
use crate::names::python::{Names, VariantClass};
use crate::output::{Emission, File};

/// Where the generated part of the package lies.
const FOLDER: &str = "clients/python/src/rustydb/generated";

pub fn emit(model: &Model) -> Emission {
    let names = Names::new(model);
    let mut files = vec![
        package("", "What the generator makes of the contract."),
        package("operations/", "What the runtime must know of each operation."),
        package("sync/", "Methods that block."),
        package("aio/", "Methods that are awaited."),
        client::version(),
        client::emit(model, &names),
        errors::emit(model, &names),
        type_index(model, &names),
    ];
    for module in model.modules.values() {
        files.extend(types::emit(model, &names, module));
        if module.has_service() {
            files.push(operations::emit(model, &names, module));
            files.push(methods::emit(model, &names, module, Flavour::Sync));
            files.push(methods::emit(model, &names, module, Flavour::Async));
        }
    }
    files.extend(dispatch::emit(model, &names));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Emission {
        files,
        folders: vec![FOLDER.to_owned(), dispatch::FOLDER.to_owned()],
    }
}

fn package(folder: &str, about: &str) -> File {
    File::new(
        format!("{FOLDER}/{folder}__init__.py"),
        format!("{HEADER}\n{}", text::docstring(0, about)),
    )
}

/// `generated/types/__init__.py`: the types of all modules, whose names are unique over the contract.
fn type_index(model: &Model, names: &Names) -> File {
    let mut written = format!(
        "{HEADER}\n{}",
        text::docstring(0, "Types of the contract, of all modules.")
    );
    let mut all = Vec::new();
    let mut imports = String::new();
    for module in model.modules.values() {
        let mut public = public_types(model, names, module);
        if public.is_empty() {
            continue;
        }
        public.sort();
        imports.push_str(&format!("from .{} import (\n", names.modules[&module.name]));
        for name in &public {
            imports.push_str(&format!("    {name},\n"));
        }
        imports.push_str(")\n");
        all.extend(public);
    }
    all.sort();
    if !imports.is_empty() {
        written.push_str(&format!("\n{imports}"));
    }
    if all.is_empty() {
        written.push_str("\n__all__: list[str] = []\n");
    } else {
        written.push_str("\n__all__ = [\n");
        for name in all {
            written.push_str(&format!("    {},\n", text::literal(&name)));
        }
        written.push_str("]\n");
    }
    File::new(format!("{FOLDER}/types/__init__.py"), written)
}

fn public_types(model: &Model, names: &Names, module: &Module) -> Vec<String> {
    let mut public = Vec::new();
    for name in module
        .types
        .iter()
        .filter(|name| model.ty(name).input_of.is_none())
    {
        public.push(names.types[name].clone());
        if let crate::model::Shape::Union(union) = &model.ty(name).shape {
            for variant in &union.variants {
                if let VariantClass::Derived(class) = &names.variants[&format!("{name}.{}", variant.value)] {
                    public.push(class.clone());
                }
            }
        }
    }
    public
}

/// Imports of the standard library and of msgspec that the body uses, each group followed by an empty line.
fn standard_imports(body: &str) -> String {
    let standard = text::imports(
        body,
        &[
            ("_dt", "import datetime as _dt"),
            ("_decimal", "import decimal as _decimal"),
            ("_uuid", "import uuid as _uuid"),
            (
                "_AsyncIterator",
                "from collections.abc import AsyncIterator as _AsyncIterator",
            ),
            ("_Iterator", "from collections.abc import Iterator as _Iterator"),
            ("_Mapping", "from collections.abc import Mapping as _Mapping"),
            ("_Sequence", "from collections.abc import Sequence as _Sequence"),
            ("_ClassVar", "from typing import ClassVar as _ClassVar"),
        ],
    );
    let foreign = text::imports(
        body,
        &[
            ("_UNSET", "from msgspec import UNSET as _UNSET"),
            ("_UnsetType", "from msgspec import UnsetType as _UnsetType"),
        ],
    );
    [standard, foreign]
        .iter()
        .filter(|group| !group.is_empty())
        .map(|group| format!("{group}\n"))
        .collect()
}
