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


class Stream(Protocol):
    """One HTTP answer whose body is read while it comes."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """By name in lower case."""
        ...

    def read(self) -> bytes:
        """The next bytes as soon as there are any, none at the end. Raises a :class:`TransportError`."""
        ...

    def interrupt(self) -> None:
        """Makes a read end soon that another thread is in, and each later one."""
        ...

    def close(self) -> None:
        """Ends the connection; twice is once."""
        ...


class AsyncStream(Protocol):
    """The same for asyncio. A read that is cancelled loses no bytes: the next one answers them."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    async def read(self) -> bytes: ...

    async def close(self) -> None:
        """Ends the connection, and a read that another task is in."""
        ...


class Transport(Protocol):
    """Sends for :class:`rustydb.Client`; must be safe to use by several threads.

    It never follows redirects, since a request carries credentials, and never repeats a request.
    """

    def send(self, request: Request) -> Response:
        """Raises :class:`TransportTimeout` or another :class:`TransportError` when no answer came."""
        ...

    def open(self, request: Request, silence: float) -> Stream:
        """Sends and returns once the answer's head is there, whose time ``request.timeout`` bounds.

        A read that gets no byte for ``silence`` seconds ends with a :class:`TransportTimeout`.
        """
        ...

    def close(self) -> None:
        """Ends the connections."""
        ...


class AsyncTransport(Protocol):
    """Sends for :class:`rustydb.AsyncClient`, with the same rules as :class:`Transport`."""

    async def send(self, request: Request) -> Response: ...

    async def open(self, request: Request, silence: float) -> AsyncStream: ...

    async def close(self) -> None: ...
