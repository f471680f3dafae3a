//! `generated/client.py`: both clients with a property per module, and the version.

use super::methods::{Flavour, class_name};
use super::text::{self, HEADER};
use crate::model::{Model, Module};
use crate::names::python::Names;
use crate::output::File;
use crate::project::VERSION;

pub fn emit(model: &Model, names: &Names) -> File {
    let modules: Vec<&Module> = model
        .modules
        .values()
        .filter(|module| module.has_service())
        .collect();
    let mut written = format!("{HEADER}\n");
    written.push_str(&text::docstring(
        0,
        "The clients: a property per module of the contract.",
    ));
    written.push_str("\nfrom __future__ import annotations\n\n");
    written.push_str("from ..runtime.client import AsyncBaseClient as _AsyncBaseClient\n");
    written.push_str("from ..runtime.client import BaseClient as _BaseClient\n");
    written.push_str("from ..runtime.operation import Contract as _Contract\n");
    for flavour in [Flavour::Async, Flavour::Sync] {
        let folder = flavour.folder();
        for module in &modules {
            let attribute = &names.modules[&module.name];
            written.push_str(&format!(
                "from .{folder} import {attribute} as _{folder}_{attribute}\n"
            ));
        }
    }
    written.push_str("from .errors import _ERRORS\n");
    let tokens = token_operations(model, names);
    if tokens.is_some() {
        written.push_str("from .operations import auth as _auth\n");
    }
    written.push_str("from .version import VERSION as _VERSION\n");
    written.push_str("\n_CONTRACT = _Contract(\n    version=_VERSION,\n    errors=_ERRORS,\n");
    written.push_str(&format!("    timeout_max_ms={},\n", model.limits.timeout_max_ms));
    written.push_str(&tokens.unwrap_or_default());
    written.push_str(")\n");
    for flavour in [Flavour::Sync, Flavour::Async] {
        written.push_str(&class(names, &modules, flavour));
    }
    File::new(format!("{}/client.py", super::FOLDER), written)
}

/// The operations that exchange a user name and password for tokens, in a contract that has both.
fn token_operations(model: &Model, names: &Names) -> Option<String> {
    let [login, refresh] = ["auth.login", "auth.refresh"].map(|id| model.operation(id));
    let constant = |operation| super::operations::constant(names, operation);
    Some(format!(
        "    login=_auth.{},\n    refresh=_auth.{},\n",
        constant(login?),
        constant(refresh?)
    ))
}

fn class(names: &Names, modules: &[&Module], flavour: Flavour) -> String {
    let folder = flavour.folder();
    let (class, base, about) = match flavour {
        Flavour::Sync => (
            "Client",
            "_BaseClient",
            "Calls that block. Safe to share between threads.",
        ),
        Flavour::Async => (
            "AsyncClient",
            "_AsyncBaseClient",
            "Calls that are awaited, on one asyncio event loop.",
        ),
    };
    let mut written = format!("\n\nclass {class}({base}):\n");
    written.push_str(&text::docstring(4, about));
    written.push_str("\n    _contract = _CONTRACT\n");
    for module in modules {
        let attribute = &names.modules[&module.name];
        let methods = format!("_{folder}_{attribute}.{}", class_name(module));
        written.push_str(&format!(
            "\n    @property\n    def {attribute}(self) -> {methods}:\n"
        ));
        written.push_str(&text::docstring(8, &module.summary));
        written.push_str(&format!("        return {methods}(self._caller)\n"));
    }
    written
}

/// `generated/version.py`, which the package's metadata reads too.
pub fn version() -> File {
    let doc = text::docstring(
        0,
        "The client's version: the contract's, which all of RustyDB shares.",
    );
    let text = format!("{HEADER}\n{doc}\nVERSION = {}\n", text::literal(VERSION));
    File::new(format!("{}/version.py", super::FOLDER), text)
}
