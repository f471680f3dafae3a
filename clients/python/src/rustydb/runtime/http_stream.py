"""Answers that are read while they come, on httpx2, and what all of its use has in common."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress

import httpx2

from .transport import Request, TransportError, TransportTimeout

#: Longest wait for a connection, in seconds.
CONNECT_TIMEOUT_SECONDS = 10.0

#: What the library raises when no answer comes.
FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError)


class HttpStream:
    """An answer of the blocking client."""

    def __init__(self, response: httpx2.Response) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = headers_of(response)
        self._response = response
        self._chunks = response.iter_bytes()

    def read(self) -> bytes:
        try:
            return next(filter(None, self._chunks), b"")
        except FAILURES as error:
            raise failure_of(error) from error

    def interrupt(self) -> None:
        network = self._response.extensions.get("network_stream")
        raw = None if network is None else network.get_extra_info("socket")
        if isinstance(raw, socket.socket):
            # Not the method of a TLS socket, which takes away what the reading thread works with.
            with suppress(OSError):
                socket.socket.shutdown(raw, socket.SHUT_RDWR)

    def close(self) -> None:
        self._response.close()


class AsyncHttpStream:
    """An answer of the asynchronous client. A read goes on when who waits for it is cancelled."""

    def __init__(self, response: httpx2.Response) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = headers_of(response)
        self._response = response
        self._chunks = response.aiter_bytes()
        self._reading: asyncio.Task[bytes] | None = None

    async def read(self) -> bytes:
        if self._reading is None:
            self._reading = asyncio.create_task(self._next())
            self._reading.add_done_callback(_heed)
        reading = self._reading
        await asyncio.wait({reading})
        self._reading = None
        if reading.cancelled():
            raise TransportError("the stream was closed")
        return reading.result()

    async def close(self) -> None:
        reading = self._reading
        if reading is not None:
            reading.cancel()
            await asyncio.wait({reading})
        await self._response.aclose()

    async def _next(self) -> bytes:
        try:
            async for chunk in self._chunks:
                if chunk:
                    return chunk
        except FAILURES as error:
            raise failure_of(error) from error
        return b""


def _heed(reading: asyncio.Task[bytes]) -> None:
    """Looks at the failure of a read that nobody may ask for again, so that nobody is warned of it."""
    if not reading.cancelled():
        reading.exception()


def open_stream(client: httpx2.Client, request: Request, silence: float) -> HttpStream:
    """Sends and waits for the answer's head."""
    try:
        response = client.send(_built(client, request), stream=True)
    except FAILURES as error:
        raise failure_of(error) from error
    _bound_reads(response, silence)
    return HttpStream(response)


async def open_async_stream(
    client: httpx2.AsyncClient, request: Request, silence: float
) -> AsyncHttpStream:
    """Sends and waits for the answer's head."""
    try:
        response = await client.send(_built(client, request), stream=True)
    except FAILURES as error:
        raise failure_of(error) from error
    _bound_reads(response, silence)
    return AsyncHttpStream(response)


def _built(client: httpx2.Client | httpx2.AsyncClient, request: Request) -> httpx2.Request:
    return client.build_request(
        request.method,
        request.url,
        headers=dict(request.headers),
        content=request.body,
        timeout=timeout_of(request),
    )


def _bound_reads(response: httpx2.Response, seconds: float) -> None:
    """The library looks up the bound of the body's reads with the first of them."""
    response.request.extensions["timeout"]["read"] = seconds


def timeout_of(request: Request) -> httpx2.Timeout:
    """Bounds of each step of a request."""
    return httpx2.Timeout(request.timeout, connect=min(request.timeout, CONNECT_TIMEOUT_SECONDS))


def headers_of(response: httpx2.Response) -> dict[str, str]:
    """By name in lower case."""
    return {name.lower(): value for name, value in response.headers.items()}


def failure_of(error: Exception) -> TransportError:
    """What the library raised, as a transport raises it."""
    text = str(error) or type(error).__name__
    # A connection that is not made in time is a server out of reach, not a call that took long.
    if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
        return TransportTimeout(text)
    return TransportError(text)
