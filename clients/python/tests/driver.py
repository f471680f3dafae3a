"""Calls by operation id, through the typed methods: what the parity tests drive this client with.

``driver.py BASE_URL [--async]`` reads one JSON object a line, ``{"op", "input", "credential": {"bearer"} |
{"api_key"} | null, "iterate"?}``, and answers each with a line ``{"ok": output}`` or ``{"error": {...}}``.
Repetitions are off, so that a test sees each answer.

``{"watch": view, "input", "credential", "take": count}`` is answered by ``{"ok": {"cursor"}}`` once the view is open,
and by ``{"ok": [items]}`` once so many events came. A connection that is lost meanwhile is made anew.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import msgspec
from generated.dispatch import OPERATIONS, VIEWS, Entry, ViewEntry

from rustydb import (
    UNSET,
    ApiKey,
    AsyncClient,
    AsyncHttpTransport,
    Bearer,
    Client,
    Credentials,
    Cursor,
    Event,
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
    op: str | None = None
    watch: str | None = None
    input: Any = msgspec.field(default_factory=dict)
    credential: dict[str, str] | None = None
    iterate: bool = False
    take: int = 0

    def operation(self) -> Entry:
        entry = OPERATIONS.get(self.op or "")
        if entry is None:
            raise BadLine("UNKNOWN_OPERATION", str(self.op))
        return entry

    def view(self) -> ViewEntry:
        entry = VIEWS.get(self.watch or "")
        if entry is None:
            raise BadLine("UNKNOWN_OPERATION", str(self.watch))
        return entry

    def credentials(self) -> Credentials | None:
        match self.credential:
            case None:
                return None
            case {"bearer": token}:
                return Bearer(token)
            case {"api_key": key}:
                return ApiKey(key)
            case _:
                raise BadLine("BAD_LINE", "`credential` is {bearer}, {api_key} or null")


def parse(text: str) -> Line:
    try:
        return msgspec.json.decode(text, type=Line)
    except msgspec.MsgspecError as error:
        raise BadLine("BAD_LINE", str(error)) from error


def arguments(entry: Entry | ViewEntry, wire: Any) -> dict[str, Any]:
    """Keyword arguments of the typed method. Input of other types can't be written as a typed call."""
    try:
        typed = msgspec.convert(wire, entry.input, dec_hook=decode_hook)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadLine("INPUT_TYPE", str(error)) from error
    fields = {name.removeprefix("in_"): getattr(typed, name) for name in typed.__struct_fields__}
    return {name: value for name, value in fields.items() if value is not UNSET}


def answers(client: Client, text: str) -> Iterator[Any]:
    """What is written for a line, each as soon as it is known."""
    try:
        line = parse(text)
        caller = client.with_credentials(line.credentials())
        if line.watch is not None:
            yield from watched(caller, line)
        else:
            yield {"ok": called(caller, line)}
    except (BadLine, RustyDBError) as error:
        yield failure(error)


def called(client: Client, line: Line) -> Any:
    entry = line.operation()
    given = arguments(entry, line.input)
    if not line.iterate:
        return output(entry.call(client)(**given))
    if entry.items is None:
        raise BadLine("NOT_PAGED", str(line.op))
    return [to_wire(item) for item in entry.items(client)(**given)]


def watched(client: Client, line: Line) -> Iterator[Any]:
    entry = line.view()
    with entry.watch(client)(**arguments(entry, line.input)) as items:
        yield opened(items.cursor)
        taken: list[Any] = []
        while len(taken) < line.take:
            item = next(items)
            if isinstance(item, Event):
                taken.append(event(item))
    yield {"ok": taken}


async def answers_async(client: AsyncClient, text: str) -> AsyncIterator[Any]:
    """What is written for a line, each as soon as it is known."""
    try:
        line = parse(text)
        caller = client.with_credentials(line.credentials())
        if line.watch is not None:
            async for result in watched_async(caller, line):
                yield result
        else:
            yield {"ok": await called_async(caller, line)}
    except (BadLine, RustyDBError) as error:
        yield failure(error)


async def called_async(client: AsyncClient, line: Line) -> Any:
    entry = line.operation()
    given = arguments(entry, line.input)
    if not line.iterate:
        return output(await entry.call_async(client)(**given))
    if entry.items_async is None:
        raise BadLine("NOT_PAGED", str(line.op))
    return [to_wire(item) async for item in entry.items_async(client)(**given)]


async def watched_async(client: AsyncClient, line: Line) -> AsyncIterator[Any]:
    entry = line.view()
    async with entry.watch_async(client)(**arguments(entry, line.input)) as items:
        yield opened(items.cursor)
        taken: list[Any] = []
        while len(taken) < line.take:
            item = await anext(items)
            if isinstance(item, Event):
                taken.append(event(item))
    yield {"ok": taken}


def opened(cursor: Cursor | None) -> Any:
    return {"ok": {"cursor": cursor}}


def event(item: Event[msgspec.Struct]) -> Any:
    """On the wire again, where the event's name stands beside its data."""
    data = to_wire(item.data)
    data.pop(type(item.data).__struct_config__.tag_field, None)
    wire = {"event": item.event, "data": data, "timestamp": to_wire(item.timestamp)}
    return wire if item.cursor is None else {**wire, "cursor": item.cursor}


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
            for result in answers(client, text):
                write(result)


async def serve_async(base_url: str) -> None:
    transport = AsyncHttpTransport(trust_env=False)
    async with AsyncClient(base_url, retry=RetryPolicy.never(), transport=transport) as client:
        # One line at a time, so nothing else waits for this thread while it reads.
        for text in sys.stdin:
            async for result in answers_async(client, text):
                write(result)


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
