"""The transports used unless another is given, on httpx2."""

from __future__ import annotations

import ssl
import time

import httpx2

from .transport import Request, Response, TransportError, TransportTimeout

#: Most connections of one client, and how many of them are kept open.
CONNECTIONS_MAX = 100
#: Longest wait for a connection, in seconds.
CONNECT_TIMEOUT_SECONDS = 10.0

_LIMITS = httpx2.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)


class HttpTransport:
    """HTTP/1.1 over pooled connections."""

    def __init__(self, *, verify: ssl.SSLContext | bool = True, trust_env: bool = True) -> None:
        """``verify``: whose certificates to trust; ``trust_env``: whether proxies of the environment count."""
        self._client = httpx2.Client(verify=verify, trust_env=trust_env, limits=_LIMITS)

    def send(self, request: Request) -> Response:
        ends_at = time.monotonic() + request.timeout
        body = bytearray()
        try:
            with self._client.stream(
                request.method,
                request.url,
                headers=dict(request.headers),
                content=request.body,
                timeout=_timeout(request),
            ) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    # The library bounds each read, not their sum.
                    if time.monotonic() > ends_at:
                        raise TransportTimeout("the answer did not end in time")
                return Response(response.status_code, _headers(response), bytes(body))
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            raise _failure(error) from error

    def close(self) -> None:
        self._client.close()


class AsyncHttpTransport:
    """The same for asyncio."""

    def __init__(self, *, verify: ssl.SSLContext | bool = True, trust_env: bool = True) -> None:
        self._client = httpx2.AsyncClient(verify=verify, trust_env=trust_env, limits=_LIMITS)

    async def send(self, request: Request) -> Response:
        try:
            response = await self._client.request(
                request.method,
                request.url,
                headers=dict(request.headers),
                content=request.body,
                timeout=_timeout(request),
            )
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            raise _failure(error) from error
        return Response(response.status_code, _headers(response), response.content)

    async def close(self) -> None:
        await self._client.aclose()


def _timeout(request: Request) -> httpx2.Timeout:
    return httpx2.Timeout(request.timeout, connect=min(request.timeout, CONNECT_TIMEOUT_SECONDS))


def _headers(response: httpx2.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _failure(error: Exception) -> TransportError:
    text = str(error) or type(error).__name__
    # A connection that is not made in time is a server out of reach, not a call that took long.
    if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
        return TransportTimeout(text)
    return TransportError(text)
