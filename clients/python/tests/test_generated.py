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
from generated.dispatch import OPERATIONS
from rustydb import AsyncClient, Client, HttpTransport, RustyDBError
from rustydb.errors import UnavailableError
from rustydb.types import HealthStatus
from support import Seen, Server, ok, problem

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


def test_both_clients_have_every_operation_with_the_same_arguments() -> None:
    client = Client("http://127.0.0.1:1")

    async def signatures() -> dict[str, list[Any]]:
        async with AsyncClient("http://127.0.0.1:1") as aio:
            return {
                name: list(inspect.signature(entry.call_async(aio)).parameters.values())
                for name, entry in OPERATIONS.items()
            }

    with client:
        blocking = {
            name: list(inspect.signature(entry.call(client)).parameters.values())
            for name, entry in OPERATIONS.items()
        }
    assert len(blocking) >= 5
    assert asyncio.run(signatures()) == blocking


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
    lines = [
        {"op": "health.get_summary", "input": {}, "credential": {"bearer": "t"}},
        {"op": "health.get_summary", "input": {}, "credential": {"api_key": "k"}},
        {"op": "health.get_summary", "input": {"extra": 1}, "credential": None},
        {"op": "health.nothing"},
        {"op": "health.get_summary", "iterate": True},
    ]
    try:
        done = subprocess.run(
            [sys.executable, str(DRIVER), server.url, *flags],
            input="".join(json.dumps(line) + "\n" for line in lines),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    finally:
        server.close()
    first, second, *rest = [json.loads(line) for line in done.stdout.splitlines()]
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
