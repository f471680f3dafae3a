"""Time of a call."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from rustydb import AsyncHttpTransport, Password
from rustydb.errors import CallTimeoutError
from support import READ, AsyncioClient, Bench, Reply, Seen, Server, ok


def test_a_timeout_is_told_to_the_server_and_kept_by_the_client(bench: Bench) -> None:
    release = threading.Event()
    server = bench.serve(Reply(after=release))
    began = time.monotonic()
    with pytest.raises(CallTimeoutError) as caught:
        bench.client(server, timeout=0.2).call(READ)
    release.set()
    assert 0.15 < time.monotonic() - began < 5
    assert isinstance(caught.value, TimeoutError)
    assert 100 < int(server.seen[0].headers["x-timeout-ms"]) <= 200
    assert len(server.seen) == 1


def test_the_calls_timeout_stands_before_the_clients(bench: Bench) -> None:
    server = bench.serve(ok())
    client = bench.client(server, timeout=100)
    client.options(timeout=7).call(READ)
    client.options(timeout=None).call(READ)
    client.options(timeout=4000).call(READ)
    first, second, third = [seen.headers.get("x-timeout-ms") for seen in server.seen]
    assert first is not None and 6000 < int(first) <= 7000
    assert second is None
    assert third == "300000"


def test_without_a_timeout_the_server_is_told_none(bench: Bench) -> None:
    server = bench.serve(ok())
    bench.client(server).call(READ)
    assert "x-timeout-ms" not in server.seen[0].headers


def test_a_login_that_hangs_does_not_outlive_the_calls_time(bench: Bench) -> None:
    release = threading.Event()

    def answer(seen: Seen, _before: int) -> Reply:
        return Reply(after=release) if seen.target == "/login" else ok()

    server = bench.serve(answer)
    with pytest.raises(CallTimeoutError):
        bench.client(server, timeout=0.2, credentials=Password("u", "p")).call(READ)
    release.set()
    assert server.targets() == ["/login"]


def test_a_callers_cancellation_ends_the_call_without_a_retry() -> None:
    release = threading.Event()
    server = Server(lambda _seen, _before: Reply(after=release))

    async def cancelled() -> bool:
        transport = AsyncHttpTransport(trust_env=False)
        async with AsyncioClient(server.url, transport=transport) as client:
            task = asyncio.create_task(client._caller.call(READ, {}))
            await asyncio.to_thread(server.came.acquire)
            task.cancel()
            await asyncio.wait([task])
            return task.cancelled()

    try:
        assert asyncio.run(cancelled())
        assert len(server.seen) == 1
    finally:
        release.set()
        server.close()
