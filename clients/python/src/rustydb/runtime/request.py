"""Arguments of a call to path, query and body."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from .errors import UnsendableInputError
from .objects import refuse_unknown_values
from .operation import Operation
from .scalars import decimal_text, encode_hook, timestamp_text


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request without address and headers."""

    #: Path and query.
    target: str
    body: bytes | None


def prepare(operation: Operation[Any], arguments: Mapping[str, object]) -> Prepared:
    """Writes the arguments, given by their names on the wire. Those that are ``UNSET`` are left out."""
    given = {name: value for name, value in arguments.items() if value is not UNSET}
    try:
        for name in operation.closed:
            if name in given:
                refuse_unknown_values(name, given[name])
        return Prepared(_target(operation, given), _body(operation, given))
    except (ValueError, TypeError, RecursionError) as error:
        raise UnsendableInputError(str(error), code="UNSENDABLE_INPUT", operation=operation.id) from error


def to_wire(value: object) -> Any:
    """The value as JSON has it: dicts, lists and scalars."""
    return json.loads(json_text(value))


def json_text(value: object) -> str:
    """JSON text of a value; numbers that JSON has no form for are refused instead of becoming null."""
    plain = msgspec.to_builtins(
        value, enc_hook=encode_hook, builtin_types=(dt.datetime, Decimal), str_keys=True
    )
    try:
        return json.dumps(
            plain, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_scalar
        )
    except ValueError as error:
        if "Out of range float" not in str(error):
            raise
        raise ValueError(
            "NaN and infinities have no JSON form: give them as text where the contract allows"
        ) from error


def _scalar(value: object) -> str:
    if isinstance(value, dt.datetime):
        return timestamp_text(value)
    if isinstance(value, Decimal):
        return decimal_text(value)
    raise TypeError(f"a value of type {type(value).__name__} has no JSON form")


def _target(operation: Operation[Any], given: Mapping[str, object]) -> str:
    segments = []
    for segment in operation.path.split("/"):
        if segment.startswith("{"):
            name = segment[1:-1]
            segments.append(_segment(name, given.get(name, UNSET)))
        else:
            segments.append(segment)
    parameters: list[str] = []
    for name, form in operation.query.items():
        if name not in given:
            continue
        value = given[name]
        if form == "text":
            texts = [_text(name, value)]
        elif form == "list":
            texts = [_text(name, item) for item in _items(name, value)]
        else:
            texts = [json_text(value)]
        parameters.extend(f"{quote(name, safe='')}={quote(text, safe='')}" for text in texts)
    path = "/".join(segments)
    return f"{path}?{'&'.join(parameters)}" if parameters else path


def _body(operation: Operation[Any], given: Mapping[str, object]) -> bytes | None:
    if not operation.body:
        return None
    fields = {name: given[name] for name in operation.body if name in given}
    return json_text(fields).encode()


def _segment(name: str, value: object) -> str:
    text = _text(name, value)
    # URL parsers on the way drop these segments, and the call would hit another path.
    if text in ("", ".", ".."):
        raise ValueError(f"`{name}` is {text!r}, which cannot stand in a path")
    return quote(text, safe="")


def _items(name: str, value: object) -> list[object]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"`{name}` is of type {type(value).__name__}: give a list or a tuple")
    return list(value)


def _text(name: str, value: object) -> str:
    plain = to_wire(value) if value is not UNSET else UNSET
    if isinstance(plain, bool):
        return "true" if plain else "false"
    if isinstance(plain, (str, int, float)):
        return str(plain)
    found = "missing" if plain is UNSET else f"of type {type(value).__name__}"
    raise ValueError(f"`{name}` is {found}: give text, a number or a boolean")
