//! `generated/errors.py`: a class per error of the contract.

use super::text::{self, HEADER};
use super::types::{Home, reference};
use crate::language::Retry;
use crate::model::{ErrorDef, Model};
use crate::names::python::Names;
use crate::output::File;

pub fn emit(model: &Model, names: &Names) -> File {
    let mut body = String::new();
    for (code, error) in &model.errors {
        body.push_str(&class(model, names, code, error));
    }
    body.push_str("\n_ERRORS: _Mapping[str, type[_errors.ApiError]] = {\n");
    for code in model.errors.keys() {
        body.push_str(&format!("    {}: {},\n", text::literal(code), names.errors[code]));
    }
    body.push_str("}\n\n");
    let mut classes: Vec<String> = names.errors.values().map(|class| text::literal(class)).collect();
    classes.sort();
    body.push_str("__all__ = [\n");
    for class in classes {
        body.push_str(&format!("    {class},\n"));
    }
    body.push_str("]\n");
    let mut written = format!("{HEADER}\n");
    written.push_str(&text::docstring(0, "Errors of the contract, a class each."));
    written.push_str("\nfrom __future__ import annotations\n\n");
    written.push_str(&super::standard_imports(&body));
    written.push_str("from ..runtime import errors as _errors\n");
    written.push_str(&text::imports(
        &body,
        &[("_types", "from . import types as _types")],
    ));
    written.push_str(&body);
    File::new(format!("{}/errors.py", super::FOLDER), written)
}

fn class(model: &Model, names: &Names, code: &str, error: &ErrorDef) -> String {
    let mut written = format!("\n\nclass {}(_errors.ApiError):\n", names.errors[code]);
    let retry = match error.retry {
        Retry::Never => "never",
        Retry::Safe => "safe",
        Retry::Transaction => "transaction",
    };
    let about = format!("{}\n\n`{code}`, status {}.", error.summary.trim(), error.status);
    written.push_str(&text::docstring(4, &about));
    written.push_str(&format!(
        "\n    retry: _ClassVar[_errors.Retry] = {}\n",
        text::literal(retry)
    ));
    if let Some(details) = &error.details {
        let details = reference(model, names, details, Home::Elsewhere);
        written.push_str(&format!(
            "\n    @property\n    def typed_details(self) -> {details} | None:\n"
        ));
        written.push_str(&text::docstring(
            8,
            "`details` as the contract has them; `None` when they are absent or of another form.",
        ));
        written.push_str(&format!("        typed: {details} | None = _errors.convert_details(self.details, {details})\n        return typed\n"));
    }
    written
}
