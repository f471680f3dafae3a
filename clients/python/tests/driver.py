"""Calls by operation id, through the typed methods: what the parity tests drive this client with.

``driver.py BASE_URL [--async]`` reads one JSON object a line, ``{"op", "input", "credential": {"bearer"} |
{"api_key"} | null, "iterate"?}``, and answers each with a line ``{"ok": output}`` or ``{"error": {...}}``.
Repetitions are off, so that a test sees each answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import msgspec
from generated.dispatch import OPERATIONS, Entry

from rustydb import (
    UNSET,
    ApiKey,
    AsyncClient,
    AsyncHttpTransport,
    Bearer,
    Client,
    Credentials,
    HttpTransport,
    RetryPolicy,
    RustyDBError,
)
from rustydb.runtime.request import to_wire
from rustydb.runtime.scalars import decode_hook


class BadLine(Exception):
    """The line asks for no call that can be made."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Line(msgspec.Struct, forbid_unknown_fields=True):
    op: str
    input: Any = msgspec.field(default_factory=dict)
    credential: dict[str, str] | None = None
    iterate: bool = False


def parse(text: str) -> tuple[Line, Entry, Credentials | None, dict[str, Any]]:
    try:
        line = msgspec.json.decode(text, type=Line)
    except msgspec.MsgspecError as error:
        raise BadLine("BAD_LINE", str(error)) from error
    entry = OPERATIONS.get(line.op)
    if entry is None:
        raise BadLine("UNKNOWN_OPERATION", line.op)
    credentials: Credentials | None = None
    match line.credential:
        case None:
            pass
        case {"bearer": token}:
            credentials = Bearer(token)
        case {"api_key": key}:
            credentials = ApiKey(key)
        case _:
            raise BadLine("BAD_LINE", "`credential` is {bearer}, {api_key} or null")
    return line, entry, credentials, arguments(entry, line.input)


def arguments(entry: Entry, wire: Any) -> dict[str, Any]:
    """Keyword arguments of the typed method. Input of other types can't be written as a typed call."""
    try:
        typed = msgspec.convert(wire, entry.input, dec_hook=decode_hook)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadLine("INPUT_TYPE", str(error)) from error
    fields = {name.removeprefix("in_"): getattr(typed, name) for name in typed.__struct_fields__}
    return {name: value for name, value in fields.items() if value is not UNSET}


def answer(client: Client, text: str) -> Any:
    try:
        line, entry, credentials, given = parse(text)
        caller = client.with_credentials(credentials)
        if not line.iterate:
            return {"ok": output(entry.call(caller)(**given))}
        if entry.items is None:
            raise BadLine("NOT_PAGED", line.op)
        return {"ok": [to_wire(item) for item in entry.items(caller)(**given)]}
    except (BadLine, RustyDBError) as error:
        return failure(error)


async def answer_async(client: AsyncClient, text: str) -> Any:
    try:
        line, entry, credentials, given = parse(text)
        caller = client.with_credentials(credentials)
        if not line.iterate:
            return {"ok": output(await entry.call_async(caller)(**given))}
        if entry.items_async is None:
            raise BadLine("NOT_PAGED", line.op)
        return {"ok": [to_wire(item) async for item in entry.items_async(caller)(**given)]}
    except (BadLine, RustyDBError) as error:
        return failure(error)


def output(value: Any) -> Any:
    """On the wire again; an operation that answers nothing says ``{}``."""
    return {} if value is None else to_wire(value)


def failure(error: BadLine | RustyDBError) -> Any:
    if isinstance(error, BadLine):
        return {
            "error": {
                "code": "CLIENT",
                "status": 0,
                "message": str(error),
                "request_id": None,
                "details": None,
                "class": error.kind,
            }
        }
    return {
        "error": {
            "code": error.code,
            "status": error.status or 0,
            "message": error.message,
            "request_id": error.request_id,
            "details": error.details,
            "class": type(error).__name__,
        }
    }


def write(result: Any) -> None:
    sys.stdout.write(json.dumps(result, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def serve(base_url: str) -> None:
    transport = HttpTransport(trust_env=False)
    with Client(base_url, retry=RetryPolicy.never(), transport=transport) as client:
        for text in sys.stdin:
            write(answer(client, text))


async def serve_async(base_url: str) -> None:
    transport = AsyncHttpTransport(trust_env=False)
    async with AsyncClient(base_url, retry=RetryPolicy.never(), transport=transport) as client:
        # One line at a time, so nothing else waits for this thread while it reads.
        for text in sys.stdin:
            write(await answer_async(client, text))


def main() -> None:
    arguments = [word for word in sys.argv[1:] if word != "--async"]
    if len(arguments) != 1:
        sys.exit("usage: driver.py BASE_URL [--async]")
    if "--async" in sys.argv:
        asyncio.run(serve_async(arguments[0]))
    else:
        serve(arguments[0])


if __name__ == "__main__":
    main()
