"""The transports used unless another is given, on httpx2."""

from __future__ import annotations

import ssl
import time

import httpx2

from .http_stream import (
    FAILURES,
    failure_of,
    headers_of,
    open_async_stream,
    open_stream,
    timeout_of,
)
from .transport import AsyncStream, Request, Response, Stream, TransportTimeout

#: Most connections of one client for calls, and how many of them are kept open.
CONNECTIONS_MAX = 100

_LIMITS = httpx2.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)
_NO_LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=0)


class HttpTransport:
    """HTTP/1.1 over pooled connections."""

    def __init__(self, *, verify: ssl.SSLContext | bool = True, trust_env: bool = True) -> None:
        """``verify``: whose certificates to trust; ``trust_env``: whether proxies of the environment count."""
        verify = _context(verify, trust_env)
        self._client = httpx2.Client(verify=verify, trust_env=trust_env, limits=_LIMITS)
        # Subscriptions hold their connections; calls must not wait for one of them.
        self._streaming = httpx2.Client(verify=verify, trust_env=trust_env, limits=_NO_LIMITS)

    def send(self, request: Request) -> Response:
        ends_at = time.monotonic() + request.timeout
        body = bytearray()
        try:
            with self._client.stream(
                request.method,
                request.url,
                headers=dict(request.headers),
                content=request.body,
                timeout=timeout_of(request),
            ) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    # The library bounds each read, not their sum.
                    if time.monotonic() > ends_at:
                        raise TransportTimeout("the answer did not end in time")
                return Response(response.status_code, headers_of(response), bytes(body))
        except FAILURES as error:
            raise failure_of(error) from error

    def open(self, request: Request, silence: float) -> Stream:
        return open_stream(self._streaming, request, silence)

    def close(self) -> None:
        self._streaming.close()
        self._client.close()


class AsyncHttpTransport:
    """The same for asyncio."""

    def __init__(self, *, verify: ssl.SSLContext | bool = True, trust_env: bool = True) -> None:
        verify = _context(verify, trust_env)
        self._client = httpx2.AsyncClient(verify=verify, trust_env=trust_env, limits=_LIMITS)
        self._streaming = httpx2.AsyncClient(verify=verify, trust_env=trust_env, limits=_NO_LIMITS)

    async def send(self, request: Request) -> Response:
        try:
            response = await self._client.request(
                request.method,
                request.url,
                headers=dict(request.headers),
                content=request.body,
                timeout=timeout_of(request),
            )
        except FAILURES as error:
            raise failure_of(error) from error
        return Response(response.status_code, headers_of(response), response.content)

    async def open(self, request: Request, silence: float) -> AsyncStream:
        return await open_async_stream(self._streaming, request, silence)

    async def close(self) -> None:
        await self._streaming.aclose()
        await self._client.aclose()


def _context(verify: ssl.SSLContext | bool, trust_env: bool) -> ssl.SSLContext:
    if isinstance(verify, ssl.SSLContext):
        return verify
    return httpx2.create_ssl_context(verify=verify, trust_env=trust_env)
