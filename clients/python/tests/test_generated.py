"""What is generated from the contract, called through the public clients."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from generated.dispatch import OPERATIONS, VIEWS
from rustydb import AsyncClient, Client, Event, HttpTransport, RustyDBError
from rustydb.errors import UnavailableError
from rustydb.types import HealthStatus, SchemaChanged, SchemaChangeType
from support import HELD, Reply, Seen, Server, ok, problem

SUMMARY = {"status": "healthy", "components": [{"name": "sql", "status": "odd", "check_us": 3}]}
DRIVER = Path(__file__).parent / "driver.py"


def test_a_generated_method_calls_its_route_and_answers_what_came() -> None:
    server = Server(lambda _seen, _before: ok(SUMMARY))
    try:
        with Client(server.url, transport=HttpTransport(trust_env=False)) as client:
            summary = client.health.get_summary()
        assert summary.status is HealthStatus.HEALTHY
        assert summary.components[0].status == "odd"
        assert server.targets() == ["/api/v1/health"]
    finally:
        server.close()


def test_both_clients_have_every_operation_and_view_with_the_same_arguments() -> None:
    client = Client("http://127.0.0.1:1")

    async def signatures() -> dict[str, list[Any]]:
        async with AsyncClient("http://127.0.0.1:1") as aio:
            return {
                name: list(inspect.signature(entry.call_async(aio)).parameters.values())
                for name, entry in OPERATIONS.items()
            } | {
                name: list(inspect.signature(entry.watch_async(aio)).parameters.values())
                for name, entry in VIEWS.items()
            }

    with client:
        blocking = {
            name: list(inspect.signature(entry.call(client)).parameters.values())
            for name, entry in OPERATIONS.items()
        } | {
            name: list(inspect.signature(entry.watch(client)).parameters.values())
            for name, entry in VIEWS.items()
        }
    assert len(OPERATIONS) >= 5
    assert len(VIEWS) >= 5
    assert len(blocking) == len(OPERATIONS) + len(VIEWS)
    assert asyncio.run(signatures()) == blocking


SCHEMA_CHANGED = {
    "change_type": "CREATE",
    "object_type": "TABLE",
    "object_name": "plans",
    "user": "admin",
}


def schema_change(cursor: str) -> dict[str, Any]:
    return {
        "event": "SchemaChanged",
        "data": SCHEMA_CHANGED,
        "timestamp": "2026-01-02T03:04:05.000006Z",
        "cursor": cursor,
    }


def schema_changes(*cursors: str) -> Reply:
    texts = [json.dumps(schema_change(cursor)) for cursor in cursors]
    events = [
        f"event: SchemaChanged\ndata: {text}\nid: {cursor}\n\n".encode()
        for text, cursor in zip(texts, cursors, strict=True)
    ]
    headers = {"Content-Type": "text/event-stream"}
    return Reply(headers=headers, parts=[b": subscribed\nid: c0\n\n", *events, HELD])


def test_a_generated_view_opens_its_route_and_hands_out_typed_events() -> None:
    server = Server(lambda _seen, _before: schema_changes("c1"))
    try:
        with Client(server.url, transport=HttpTransport(trust_env=False)) as client:
            with client.database.events(database="d", tables=["a", "b"], filter={"x": 1}) as events:
                item = next(events)
        assert isinstance(item, Event)
        assert isinstance(item.data, SchemaChanged)
        assert item.data.change_type is SchemaChangeType.CREATE
        assert server.targets() == [
            "/api/v1/sse/events?database=d&tables=a&tables=b&filter=%7B%22x%22%3A1%7D"
        ]
    finally:
        server.close()


@pytest.mark.parametrize("flags", [[], ["--async"]])
def test_the_driver_tells_that_a_view_is_open_and_then_its_events(flags: list[str]) -> None:
    def answer(_seen: Seen, before: int) -> Reply:
        return problem(404, "TABLE_NOT_FOUND") if before else schema_changes("c1", "c2", "c3")

    server = Server(answer)
    lines: list[dict[str, Any]] = [
        {"watch": "database.events", "input": {}, "credential": {"bearer": "t"}, "take": 2},
        {"watch": "database.row_changes", "input": {"table": "t", "id": "1"}, "take": 1},
        {"watch": "database.nothing"},
    ]
    try:
        results = drive(server, lines, flags)
    finally:
        server.close()
    assert results[:2] == [{"ok": {"cursor": "c0"}}, {"ok": [schema_change("c1"), schema_change("c2")]}]
    assert [result["error"]["code"] for result in results[2:]] == ["TABLE_NOT_FOUND", "CLIENT"]
    assert results[3]["error"]["class"] == "UNKNOWN_OPERATION"


def drive(server: Server, lines: list[dict[str, Any]], flags: list[str]) -> list[Any]:
    """What the driver writes for the lines."""
    done = subprocess.run(
        [sys.executable, str(DRIVER), server.url, *flags],
        input="".join(json.dumps(line) + "\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_error_of_the_contract_is_its_class() -> None:
    server = Server(lambda _seen, _before: problem(503, "UNAVAILABLE"))
    pauses: list[float] = []
    try:
        with Client(server.url, transport=HttpTransport(trust_env=False), sleep=pauses.append) as client:
            with pytest.raises(UnavailableError):
                client.health.check_readiness()
        assert len(pauses) == 3
        assert issubclass(UnavailableError, RustyDBError)
    finally:
        server.close()


@pytest.mark.parametrize("flags", [[], ["--async"]])
def test_the_driver_answers_each_line_with_what_the_typed_method_did(flags: list[str]) -> None:
    def answer(seen: Seen, _before: int) -> Any:
        if seen.headers.get("authorization") == "Bearer t":
            return ok(SUMMARY)
        return problem(503, "UNAVAILABLE", details={"why": 1})

    server = Server(answer)
    lines: list[dict[str, Any]] = [
        {"op": "health.get_summary", "input": {}, "credential": {"bearer": "t"}},
        {"op": "health.get_summary", "input": {}, "credential": {"api_key": "k"}},
        {"op": "health.get_summary", "input": {"extra": 1}, "credential": None},
        {"op": "health.nothing"},
        {"op": "health.get_summary", "iterate": True},
    ]
    try:
        first, second, *rest = drive(server, lines, flags)
    finally:
        server.close()
    assert first == {"ok": SUMMARY}
    assert second["error"] | {"message": ""} == {
        "code": "UNAVAILABLE",
        "status": 503,
        "message": "",
        "request_id": "req-of-server",
        "details": {"why": 1},
        "class": "UnavailableError",
    }
    assert [line["error"]["class"] for line in rest] == ["INPUT_TYPE", "UNKNOWN_OPERATION", "NOT_PAGED"]
    assert len(server.seen) == 2
