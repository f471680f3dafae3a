//! The client's root, what the package exports of the contract, and the dispatch table of its test driver.

use super::types::{alias, mentions};
use crate::model::{Model, Operation};
use crate::names::camel;
use crate::names::typescript::{Names, is_carried, string};

/// `RustyDB` with a property per module.
pub fn emit_root(model: &Model, names: &Names) -> String {
    let mut imports = String::new();
    let mut properties = String::new();
    let mut assignments = String::new();
    for module in model.modules.values() {
        let Some(property) = names.property(&module.name) else {
            continue;
        };
        let class = format!("{}.{}", module_alias(&module.name), names.class(&module.name));
        imports.push_str(&format!(
            "import * as {} from \"./modules/{}.js\";\n",
            module_alias(&module.name),
            module.name
        ));
        properties.push_str(&super::doc::Doc::default().text(&module.summary).render("  "));
        properties.push_str(&format!("  readonly {property}: {class};\n"));
        assignments.push_str(&format!("    this.{property} = new {class}(caller);\n"));
    }
    let auth = match (
        auth_operation(model, names, "login"),
        auth_operation(model, names, "refresh"),
    ) {
        (Some(login), Some(refresh)) => format!("{{ login: {login}, refresh: {refresh} }}"),
        _ => "undefined".to_owned(),
    };
    format!(
        "import * as runtime from \"../runtime/index.js\";
import {{ errorTable }} from \"./errors.js\";
{imports}
/**
 * A server, as one caller sees it. Keeps no connection of its own: nothing needs to be closed, save subscriptions that
 * are open.
 */
export class RustyDB {{
{properties}
  constructor(options: runtime.ClientOptions) {{
    const caller = new runtime.Caller(options, errorTable, {auth});
{assignments}  }}
}}
"
    )
}

/// The descriptor of `auth.<name>`, where the contract has it.
fn auth_operation(model: &Model, names: &Names, name: &str) -> Option<String> {
    let operation = model.operation(&format!("auth.{name}"))?;
    let method = names.method(&operation.id)?;
    Some(format!("{}.operations.{method}", module_alias(&operation.module)))
}

fn module_alias(module: &str) -> String {
    format!("{}Module", camel(module))
}

/// Everything the contract adds to the package.
pub fn emit_index(model: &Model, names: &Names) -> String {
    let mut out = String::from("export { RustyDB } from \"./client.js\";\nexport * from \"./errors.js\";\n");
    for module in model.modules.values() {
        if names.property(&module.name).is_some() {
            let class = names.class(&module.name);
            out.push_str(&format!(
                "export {{ {class} }} from \"./modules/{}.js\";\n",
                module.name
            ));
        }
    }
    for module in model.modules.values().filter(|module| !module.types.is_empty()) {
        out.push_str(&format!("export * from \"./types/{}.js\";\n", module.name));
    }
    out
}

/// Operation or view id to a call of its typed method.
pub fn emit_dispatch(model: &Model, names: &Names) -> String {
    let mut calls = String::new();
    let mut iterators = String::new();
    let mut watches = String::new();
    for module in model.modules.values() {
        let Some(property) = names.property(&module.name) else {
            continue;
        };
        for operation in module
            .operations
            .values()
            .filter(|operation| is_carried(operation))
        {
            let Some(method) = names.method(&operation.id) else {
                continue;
            };
            let id = string(&operation.id);
            let call = format!("db.{property}.{method}({})", input_of(names, operation));
            if operation.output.is_some() {
                calls.push_str(&format!("  [{id}, (db, input) => {call}],\n"));
            } else {
                calls.push_str(&format!("  [{id}, (db, input) => {call}.then(() => ({{}}))],\n"));
            }
            if let Some(iterator) = names.iterator(&operation.id) {
                let call = call.replacen(&format!(".{method}("), &format!(".{iterator}("), 1);
                iterators.push_str(&format!("  [{id}, (db, input) => {call}],\n"));
            }
        }
        for view in module.views.values() {
            if let Some(method) = names.method(&view.open.id) {
                watches.push_str(&format!(
                    "  [{}, (db, input, options) => db.{property}.{method}({}, options)],\n",
                    string(&view.open.id),
                    input_of(names, &view.open)
                ));
            }
        }
    }
    let mut imports = String::from(
        "import type { RustyDB, Subscription, SubscriptionOptions } from \"../../src/index.js\";\n",
    );
    for module in model.modules.keys() {
        if mentions(&calls, &alias(module)) || mentions(&watches, &alias(module)) {
            imports.push_str(&format!(
                "import type * as {} from \"../../src/generated/types/{module}.js\";\n",
                alias(module)
            ));
        }
    }
    format!(
        "{imports}
export type Call = (db: RustyDB, input: unknown) => Promise<unknown>;

export type Iterate = (db: RustyDB, input: unknown) => AsyncIterable<unknown>;

export type Watch = (db: RustyDB, input: unknown, options: SubscriptionOptions) => Subscription<object, object>;

/** Typed method of each operation; one without output answers an empty object, as the wire does. */
export const calls: ReadonlyMap<string, Call> = new Map<string, Call>([
{calls}]);

/** Iterating method of each paginated operation. */
export const iterators: ReadonlyMap<string, Iterate> = new Map<string, Iterate>([
{iterators}]);

/** Typed method of each view. */
export const watches: ReadonlyMap<string, Watch> = new Map<string, Watch>([
{watches}]);
"
    )
}

/// The input that a line gave, as the method takes it.
fn input_of(names: &Names, operation: &Operation) -> String {
    let input = names.writing(&operation.input);
    format!("input as {}.{input}", alias(&operation.module))
}
