"""What carries requests to the server. Pass your own as ``Client(..., transport=...)``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    #: Seconds until the answer must be complete.
    timeout: float


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer, whatever its status."""

    status: int
    #: By name in lower case.
    headers: Mapping[str, str]
    body: bytes


class TransportError(Exception):
    """No answer came: the server could not be reached, or the connection broke."""


class TransportTimeout(TransportError):
    """No answer came in time."""


class Transport(Protocol):
    """Sends for :class:`rustydb.Client`; must be safe to use by several threads.

    It never follows redirects, since a request carries credentials, and never repeats a request.
    """

    def send(self, request: Request) -> Response:
        """Raises :class:`TransportTimeout` or another :class:`TransportError` when no answer came."""
        ...

    def close(self) -> None:
        """Ends idle connections."""
        ...


class AsyncTransport(Protocol):
    """Sends for :class:`rustydb.AsyncClient`, with the same rules as :class:`Transport`."""

    async def send(self, request: Request) -> Response: ...

    async def close(self) -> None: ...
