//! `tests/generated/dispatch.py`: operation id to typed method, for the driver of the parity tests.

use super::text::{self, HEADER};
use super::types::{Home, Position, annotation, held};
use crate::model::{Model, Operation};
use crate::names::python::Names;
use crate::output::File;

pub const FOLDER: &str = "clients/python/tests/generated";

pub fn emit(model: &Model, names: &Names) -> Vec<File> {
    let mut body = String::from(ENTRY);
    for operation in model.routed() {
        body.push_str(&input(model, names, operation));
    }
    body.push_str("\n\nOPERATIONS: dict[str, Entry] = {\n");
    for operation in model.operations() {
        let module = &names.modules[&operation.module];
        let method = format!("client.{module}.{}", names.methods[&operation.id]);
        body.push_str(&format!("    {}: Entry(\n", text::literal(&operation.id)));
        body.push_str(&format!("        input={},\n", names.types[&operation.input]));
        body.push_str(&format!("        call=lambda client: {method},\n"));
        body.push_str(&format!("        call_async=lambda client: {method},\n"));
        if let Some(items) = names.iterators.get(&operation.id) {
            body.push_str(&format!(
                "        items=lambda client: client.{module}.{items},\n"
            ));
            body.push_str(&format!(
                "        items_async=lambda client: client.{module}.{items},\n"
            ));
        }
        body.push_str("    ),\n");
    }
    body.push_str("}\n");
    body.push_str(&views(model, names));
    let mut written = format!("{HEADER}\n");
    written.push_str(&text::docstring(
        0,
        "Inputs on the wire and the typed method of each operation and view.",
    ));
    written.push_str("\nfrom __future__ import annotations\n\n");
    written.push_str(&text::imports(
        &body,
        &[
            ("_dt", "import datetime as _dt"),
            ("_decimal", "import decimal as _decimal"),
            ("_uuid", "import uuid as _uuid"),
        ],
    ));
    written.push_str(IMPORTS);
    written.push_str(&text::imports(
        &body,
        &[
            ("_types", "from rustydb import types as _types"),
            ("_scalars", "from rustydb.runtime import scalars as _scalars"),
        ],
    ));
    written.push_str(&body);
    vec![
        File::new(format!("{FOLDER}/__init__.py"), HEADER),
        File::new(format!("{FOLDER}/dispatch.py"), written),
    ]
}

fn views(model: &Model, names: &Names) -> String {
    let mut written = String::from("\n\nVIEWS: dict[str, ViewEntry] = {\n");
    for view in model.views() {
        let id = &view.open.id;
        let method = format!("client.{}.{}", names.modules[&view.open.module], names.views[id]);
        written.push_str(&format!("    {}: ViewEntry(\n", text::literal(id)));
        written.push_str(&format!("        input={},\n", names.types[&view.open.input]));
        written.push_str(&format!("        watch=lambda client: {method},\n"));
        written.push_str(&format!("        watch_async=lambda client: {method},\n"));
        written.push_str("    ),\n");
    }
    written.push_str("}\n");
    written
}

const IMPORTS: &str = "from collections.abc import AsyncIterator as _AsyncIterator
from collections.abc import Awaitable as _Awaitable
from collections.abc import Callable as _Callable
from collections.abc import Iterator as _Iterator
from dataclasses import dataclass as _dataclass
from typing import Any as _Any

from msgspec import UNSET as _UNSET
from msgspec import Struct as _Struct
from msgspec import UnsetType as _UnsetType
from msgspec import field as _field
from rustydb import AsyncClient as _AsyncClient
from rustydb import AsyncSubscription as _AsyncSubscription
from rustydb import Client as _Client
from rustydb import Subscription as _Subscription
";

const ENTRY: &str = "

@_dataclass(frozen=True)
class Entry:
    \"\"\"How to call one operation; arguments are the attributes of `input` after `in_`.\"\"\"

    input: type[_Struct]
    call: _Callable[[_Client], _Callable[..., _Any]]
    call_async: _Callable[[_AsyncClient], _Callable[..., _Awaitable[_Any]]]
    items: _Callable[[_Client], _Callable[..., _Iterator[_Any]]] | None = None
    items_async: _Callable[[_AsyncClient], _Callable[..., _AsyncIterator[_Any]]] | None = None


@_dataclass(frozen=True)
class ViewEntry:
    \"\"\"How to watch one view; arguments as with :class:`Entry`.\"\"\"

    input: type[_Struct]
    watch: _Callable[[_Client], _Callable[..., _Subscription[_Any]]]
    watch_async: _Callable[[_AsyncClient], _Callable[..., _AsyncSubscription[_Any]]]
";

fn input(model: &Model, names: &Names, operation: &Operation) -> String {
    let class = &names.types[&operation.input];
    let items = ["_Struct", "kw_only=True", "forbid_unknown_fields=True"].map(str::to_owned);
    let mut written = format!(
        "\n\n{}",
        text::listed(0, &format!("class {class}("), &items, "):")
    );
    written.push_str(&text::docstring(4, &format!("Input of `{}`.", operation.id)));
    let fields = model.input_fields(operation);
    if !fields.is_empty() {
        written.push('\n');
    }
    for field in fields {
        let name = &names.fields[&format!("{}.{}", operation.input, field.name)];
        let annotation = annotation(model, names, &field.ty, Home::Elsewhere, Position::Struct);
        let (annotation, default) = held(&annotation, field);
        let default = default.map_or_else(String::new, |default| format!("default={default}, "));
        let wire = text::literal(&field.name);
        written.push_str(&format!(
            "    in_{name}: {annotation} = _field({default}name={wire})\n"
        ));
    }
    written
}
