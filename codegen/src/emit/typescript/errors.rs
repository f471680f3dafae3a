//! A class per error code, the table the runtime finds them in, and the guard.

use super::doc::Doc;
use super::types::{Direction, Typing, alias, mentions};
use crate::model::{ErrorDef, Model, Retry};
use crate::names::typescript::{Names, string};

pub fn emit(model: &Model, names: &Names) -> String {
    let typing = Typing {
        model,
        names,
        home: None,
    };
    let mut classes = String::new();
    let mut entries = String::new();
    let mut by_code = String::new();
    for error in model.errors.values() {
        let class = names.error(&error.code);
        let code = string(&error.code);
        classes.push_str(&class_text(&typing, error, class));
        entries.push_str(&format!(
            "  [{code}, {{ type: {class}, retry: {} }}],\n",
            string(retry_word(error.retry))
        ));
        by_code.push_str(&format!("  {code}: {class};\n"));
    }
    let mut imports = String::from("import * as runtime from \"../runtime/index.js\";\n");
    for module in model.modules.keys() {
        if mentions(&classes, &alias(module)) {
            imports.push_str(&format!(
                "import type * as {} from \"./types/{module}.js\";\n",
                alias(module)
            ));
        }
    }
    format!(
        "{imports}{classes}
/** What the runtime knows of each code. */
export const errorTable: runtime.ErrorTable = new Map<string, runtime.ErrorEntry>([
{entries}]);

/** Class of each error of the contract. */
export interface ErrorsByCode {{
{by_code}}}

/** Code of an error of the contract. */
export type ErrorCode = keyof ErrorsByCode;

/** Whether a call failed, and with that code where one is given. */
export function isRustyDBError(error: unknown): error is runtime.RustyDBError;
export function isRustyDBError<Code extends ErrorCode>(error: unknown, code: Code): error is ErrorsByCode[Code];
export function isRustyDBError(error: unknown, code?: ErrorCode): boolean {{
  return error instanceof runtime.RustyDBError && (code === undefined || error.code === code);
}}
"
    )
}

fn class_text(typing: &Typing<'_>, error: &ErrorDef, class: &str) -> String {
    let retry = match error.retry {
        Retry::Never => "The same call would fail again.",
        Retry::Safe => "Nothing was done; the client sends the call again by itself.",
        Retry::Transaction => "The whole transaction may be run again from its beginning.",
    };
    let doc = Doc::default()
        .text(&error.summary)
        .text(&format!(
            "`{}`, HTTP status {}. {retry}",
            error.code, error.status
        ))
        .render("");
    let details = error.details.as_ref().map_or_else(String::new, |details| {
        let ty = typing.reference(details, Direction::Reading);
        format!("  declare readonly details: {ty} | undefined;\n")
    });
    format!(
        "\n{doc}export class {class} extends runtime.RustyDBError {{\n  declare readonly code: {};\n{details}}}\n",
        string(&error.code)
    )
}

fn retry_word(retry: Retry) -> &'static str {
    match retry {
        Retry::Never => "never",
        Retry::Safe => "safe",
        Retry::Transaction => "transaction",
    }
}
