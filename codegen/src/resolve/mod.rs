//! Turns parsed files into the immutable model: names looked up, inputs given their types, places decided.
//!
//! Whatever has no meaning is a diagnostic and resolution goes on, so that one run tells all there is to tell;
//! a model is answered only when nothing was found.

mod operations;
mod streams;
mod types;

use std::collections::{BTreeMap, BTreeSet};

pub use operations::path_parameters;
pub use streams::{CONTROL_TYPE, WS_ENTRY, WS_PREFIX};

use crate::diagnostics::{Diagnostic, Diagnostics, Place};
use crate::language::{ErrorDef as ErrorForm, Limits, Schema};
use crate::load::LoadedModule;
use crate::model::{ErrorDef, Model, Module, Permission, Role, Shape, Ty, TypeDef};
use crate::names;
use crate::source::pointer_push;

/// The module whose errors every call can answer and whose types every module may use.
pub const CORE: &str = "core";

/// Resolves the files of one contract.
pub fn resolve(loaded: &[LoadedModule]) -> Result<Model, Vec<Diagnostic>> {
    let mut resolver = Resolver::new(loaded);
    resolver.collect_names();
    resolver.resolve_all();
    let Resolver {
        diagnostics, model, ..
    } = resolver;
    let mut model = diagnostics.into_result(model)?;
    mark_use(&mut model);
    Ok(model)
}

struct Resolver<'a> {
    loaded: &'a [LoadedModule],
    diagnostics: Diagnostics,
    /// Type name to the module that declares it.
    type_homes: BTreeMap<String, String>,
    /// Error name, as `module.Name`, to its code.
    error_codes: BTreeMap<String, String>,
    model: Model,
    /// Modules that the module being resolved uses.
    uses: BTreeSet<String>,
}

/// Where a part of a file stands.
#[derive(Clone)]
struct At<'a> {
    module: &'a LoadedModule,
    pointer: String,
}

impl<'a> At<'a> {
    fn root(module: &'a LoadedModule) -> At<'a> {
        At {
            module,
            pointer: String::new(),
        }
    }

    fn push(&self, step: &str) -> At<'a> {
        At {
            module: self.module,
            pointer: pointer_push(&self.pointer, step),
        }
    }

    fn place(&self) -> Place {
        self.module.source.place(&self.pointer)
    }

    fn module_name(&self) -> &'a str {
        &self.module.file.module
    }
}

impl<'a> Resolver<'a> {
    fn new(loaded: &'a [LoadedModule]) -> Resolver<'a> {
        Resolver {
            loaded,
            diagnostics: Diagnostics::default(),
            type_homes: BTreeMap::new(),
            error_codes: BTreeMap::new(),
            model: Model {
                modules: BTreeMap::new(),
                types: BTreeMap::new(),
                errors: BTreeMap::new(),
                permissions: Vec::new(),
                roles: Vec::new(),
                limits: Limits {
                    request_bytes: 0,
                    json_depth: 0,
                    rpc_batch_calls: 0,
                    graphql_depth: 0,
                    graphql_complexity: 0,
                    page_default: 0,
                    page_max: 0,
                    timeout_ms: 0,
                    timeout_max_ms: 0,
                },
            },
            uses: BTreeSet::new(),
        }
    }

    fn report(&mut self, at: &At<'_>, rule: &'static str, message: String, hint: &str) {
        self.diagnostics.push(at.place(), rule, message, hint);
    }

    fn collect_names(&mut self) {
        for module in self.loaded {
            let at = At::root(module);
            let name = &module.file.module;
            let expected = format!("{}/{name}.yaml", crate::load::MODULES_FOLDER);
            if module.source.file != expected {
                self.report(
                    &at.push("module"),
                    "module-file",
                    format!("the file of module `{name}` is named {}", module.source.file),
                    "name the file after the module",
                );
            }
            for type_name in module.file.types.keys() {
                self.claim_type(type_name, &at.push("types").push(type_name));
            }
            for error in module.file.errors.keys() {
                self.error_codes
                    .insert(format!("{name}.{error}"), names::upper_snake(error));
            }
        }
        match self.loaded.iter().find(|module| module.file.module == CORE) {
            Some(core) => self.resolve_core(core),
            None => self.diagnostics.push(
                Place {
                    file: crate::load::MODULES_FOLDER.to_owned(),
                    line: 1,
                    column: 1,
                },
                "core-missing",
                "the contract has no module `core`",
                "add core.yaml with permissions, roles, limits and the errors of every call",
            ),
        }
    }

    fn claim_type(&mut self, name: &str, at: &At<'_>) {
        if let Some(home) = self.type_homes.get(name) {
            let message = format!("the type `{name}` is already declared in module `{home}`");
            self.report(
                at,
                "type-clash",
                message,
                "type names are unique over the contract; rename one",
            );
            return;
        }
        self.type_homes
            .insert(name.to_owned(), at.module_name().to_owned());
    }

    fn resolve_core(&mut self, core: &LoadedModule) {
        let at = At::root(core);
        for (name, form) in &core.file.permissions {
            self.model.permissions.push(Permission {
                name: name.clone(),
                summary: form.summary.clone(),
            });
        }
        for (name, form) in &core.file.roles {
            for (index, permission) in form.permissions.iter().enumerate() {
                if !core.file.permissions.contains_key(permission) {
                    let at = at
                        .push("roles")
                        .push(name)
                        .push("permissions")
                        .push(&index.to_string());
                    self.report(
                        &at,
                        "unknown-permission",
                        format!("there is no permission `{permission}`"),
                        "declare it under `permissions`",
                    );
                }
            }
            self.model.roles.push(Role {
                name: name.clone(),
                summary: form.summary.clone(),
                permissions: form.permissions.clone(),
            });
        }
        match &core.file.limits {
            Some(limits) => self.model.limits = limits.clone(),
            None => self.report(
                &at,
                "limits-missing",
                "`core` declares no limits".to_owned(),
                "add `limits`",
            ),
        }
    }

    /// Types and errors of every module come before any operation, which may use those of other modules.
    fn resolve_all(&mut self) {
        let mut uses: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for module in self.loaded {
            let at = At::root(module);
            let name = &module.file.module;
            if uses.contains_key(name.as_str()) {
                self.report(
                    &at.push("module"),
                    "module-clash",
                    format!("the module `{name}` is declared twice"),
                    "keep one file per module",
                );
                continue;
            }
            for (type_name, schema) in &module.file.types {
                self.resolve_named_type(type_name, schema, &at.push("types").push(type_name));
            }
            let errors = self.resolve_errors(module, &at.push("errors"));
            self.model.modules.insert(
                name.clone(),
                Module {
                    name: name.clone(),
                    summary: module.file.summary.clone(),
                    description: module.file.description.clone().unwrap_or_default(),
                    types: Vec::new(),
                    errors,
                    operations: BTreeMap::new(),
                    views: BTreeMap::new(),
                    depends_on: BTreeSet::new(),
                    place: at.push("module").place(),
                },
            );
            uses.insert(name, std::mem::take(&mut self.uses));
        }
        for module in self.loaded {
            let name = &module.file.module;
            let Some(uses) = uses.remove(name.as_str()) else {
                continue;
            };
            self.uses = uses;
            let operations = self.resolve_operations(module, &At::root(module).push("operations"));
            let views = self.resolve_streams(module, &At::root(module).push("streams"));
            self.uses.remove(name);
            let depends_on = std::mem::take(&mut self.uses);
            let types = self
                .type_homes
                .iter()
                .filter(|(_, home)| *home == name)
                .map(|(type_name, _)| type_name.clone())
                .collect();
            if let Some(resolved) = self.model.modules.get_mut(name) {
                resolved.types = types;
                resolved.operations = operations;
                resolved.views = views;
                resolved.depends_on = depends_on;
            }
        }
        self.check_module_cycles();
    }

    fn resolve_errors(&mut self, module: &'a LoadedModule, at: &At<'a>) -> Vec<String> {
        let mut codes = Vec::new();
        for (name, form) in &module.file.errors {
            let at = at.push(name);
            let code = names::upper_snake(name);
            if let Some(other) = self.model.errors.get(&code) {
                let message = format!(
                    "the error code {code} is already declared in module `{}`",
                    other.module
                );
                self.report(
                    &at,
                    "error-clash",
                    message,
                    "error codes are unique over the contract",
                );
                continue;
            }
            let error = self.resolve_error(name, &code, form, &at);
            self.model.errors.insert(code.clone(), error);
            codes.push(code);
        }
        codes.sort();
        codes
    }

    fn resolve_error(&mut self, name: &str, code: &str, form: &ErrorForm, at: &At<'a>) -> ErrorDef {
        let details = form
            .details
            .as_ref()
            .and_then(|schema| self.object_name(schema, &at.push("details")));
        ErrorDef {
            code: code.to_owned(),
            name: name.to_owned(),
            module: at.module_name().to_owned(),
            status: form.status,
            rpc: form.rpc,
            retry: form.retry,
            summary: form.summary.clone(),
            details,
            place: at.place(),
        }
    }

    /// The named object type a schema refers to.
    fn object_name(&mut self, schema: &Schema, at: &At<'a>) -> Option<String> {
        match self.resolve_type(schema, at) {
            Ty::Ref(name) => Some(name),
            _ => {
                self.report(
                    at,
                    "named-object",
                    "a named object type belongs here".to_owned(),
                    "declare it under `types` and name it here",
                );
                None
            }
        }
    }

    /// A module is a crate: crates that need each other do not build.
    fn check_module_cycles(&mut self) {
        let modules = &self.model.modules;
        let mut found = Vec::new();
        for start in modules.keys() {
            let mut seen = BTreeSet::new();
            let mut open: Vec<&String> = modules[start].depends_on.iter().collect();
            while let Some(next) = open.pop() {
                if seen.insert(next)
                    && let Some(module) = modules.get(next)
                {
                    open.extend(&module.depends_on);
                }
            }
            if seen.contains(start) {
                found.push((modules[start].place.clone(), start.clone()));
            }
        }
        for (place, name) in found {
            self.diagnostics.push(
                place,
                "module-cycle",
                format!("the module `{name}` depends on itself through the types or errors it uses"),
                "move what is shared to `core`",
            );
        }
    }
}

/// Notes which types inputs and outputs reach.
fn mark_use(model: &mut Model) {
    let mut inputs: Vec<String> = Vec::new();
    let mut outputs: Vec<String> = Vec::new();
    for operation in model.routed() {
        inputs.push(operation.input.clone());
        outputs.extend(operation.output.clone());
        outputs.extend(operation.result.clone());
    }
    for view in model.views() {
        outputs.push(view.event_type());
    }
    // A contract that has the type may have streams some day.
    outputs.push(streams::CONTROL_TYPE.to_owned());
    outputs.extend(model.errors.values().filter_map(|error| error.details.clone()));
    for name in reachable(&model.types, inputs) {
        if let Some(found) = model.types.get_mut(&name) {
            found.in_input = true;
        }
    }
    for name in reachable(&model.types, outputs) {
        if let Some(found) = model.types.get_mut(&name) {
            found.in_output = true;
        }
    }
}

fn reachable(types: &BTreeMap<String, TypeDef>, start: Vec<String>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = start;
    while let Some(name) = open.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let Some(found) = types.get(&name) else { continue };
        match &found.shape {
            Shape::Object(object) => object
                .fields
                .iter()
                .for_each(|field| push_refs(&field.ty, &mut open)),
            Shape::Union(union) => open.extend(union.variants.iter().map(|variant| variant.target.clone())),
            Shape::Alias(ty) => push_refs(ty, &mut open),
            Shape::Enum(_) => {}
        }
    }
    seen
}

fn push_refs(ty: &Ty, open: &mut Vec<String>) {
    match ty {
        Ty::Ref(name) => open.push(name.clone()),
        Ty::Array { items, .. } => push_refs(items, open),
        Ty::Map { values } => push_refs(values, open),
        _ => {}
    }
}
