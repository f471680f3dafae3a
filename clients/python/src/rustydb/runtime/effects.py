"""What a call asks of the world.

A call is one generator that yields these and takes what comes of them, so that the blocking and the asynchronous
client run the same logic and differ only in how they perform an effect.
"""

from __future__ import annotations

from collections.abc import Generator
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


Effect: TypeAlias = Send | Sleep | Acquire
Steps: TypeAlias = Generator[Effect, Response | None, Result]


def send(request: Request) -> Steps[Response]:
    """Yields the effect and answers its result, typed."""
    response = yield Send(request)
    if response is None:
        raise TypeError("a request was answered by nothing")
    return response
