"""What a call asks of the world.

A call is one generator that yields these and takes what comes of them, so that the blocking and the asynchronous
client run the same logic and differ only in how they perform an effect.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from .transport import Request, Response

Result = TypeVar("Result")


class Lock(Protocol):
    """Of ``threading`` or of ``asyncio``; only taking it differs."""

    def release(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Send:
    """Answered by the response; raises a ``TransportError``."""

    request: Request


@dataclass(frozen=True, slots=True)
class Sleep:
    seconds: float


@dataclass(frozen=True, slots=True)
class Acquire:
    """Raises a ``TransportTimeout`` when the lock is not free in time."""

    lock: Any
    timeout: float


class Head(Protocol):
    """What the streams of both transports have in common."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Open:
    """Answered by the stream of the transport; raises a ``TransportError``."""

    request: Request
    #: Seconds after which a read without a byte ends with a ``TransportTimeout``.
    silence: float


@dataclass(frozen=True, slots=True)
class Read:
    """Answered by bytes, none at the end; raises a ``TransportError``."""

    stream: Any


@dataclass(frozen=True, slots=True)
class Close:
    stream: Any


Effect: TypeAlias = Send | Sleep | Acquire | Open | Read | Close
Answer: TypeAlias = Response | Head | bytes | None
Steps: TypeAlias = Generator[Effect, Answer, Result]


def send(request: Request) -> Steps[Response]:
    """Yields the effect and answers its result, typed."""
    response = yield Send(request)
    if not isinstance(response, Response):
        raise TypeError(f"a request was answered by {type(response).__name__}")
    return response


def open_stream(request: Request, silence: float) -> Steps[Head]:
    """Yields the effect and answers its result, typed."""
    stream = yield Open(request, silence)
    if stream is None or isinstance(stream, (Response, bytes)):
        raise TypeError(f"a stream was answered by {type(stream).__name__}")
    return stream


def read(stream: Head) -> Steps[bytes]:
    """Yields the effect and answers its result, typed."""
    chunk = yield Read(stream)
    if not isinstance(chunk, bytes):
        raise TypeError(f"a read was answered by {type(chunk).__name__}")
    return chunk
