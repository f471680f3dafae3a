"""When a lost subscription is opened again, and how long it waits before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .errors import (
    ApiError,
    CallTimeoutError,
    ConfigurationError,
    ConnectionFailedError,
    RustyDBError,
)

#: Back-off has long reached any bound after so many doublings.
_DOUBLINGS_MAX = 32


@dataclass(frozen=True, slots=True)
class ReconnectPolicy:
    """How subscriptions are kept over lost connections: exponential back-off with full jitter."""

    #: Tries in a row that may fail, counted anew once something came; ``None``: any number.
    attempts_max: int | None = None
    #: Upper bound of the first pause, in seconds; each further one doubles it.
    pause_first: float = 0.1
    #: Longest pause that back-off grows to, in seconds. A server that asks for a longer one gets it.
    pause_max: float = 10.0
    #: Seconds without a byte after which a connection counts as lost; the server sends some every 15.
    silence_max: float = 45.0

    def __post_init__(self) -> None:
        if (self.attempts_max or 0) < 0 or self.pause_first < 0 or self.pause_max < 0:
            raise ConfigurationError(f"{self} has a negative number: give 0 or more")
        if self.silence_max <= 0:
            raise ConfigurationError(f"{self} takes every connection for lost: give a positive `silence_max`")

    @classmethod
    def never(cls) -> ReconnectPolicy:
        """The first loss ends the subscription."""
        return cls(attempts_max=0)

    def pause(
        self, error: RustyDBError, attempts: int, random: Callable[[], float]
    ) -> float | None:
        """Seconds before the next try after ``attempts`` that failed; ``None`` when there is none."""
        if self.attempts_max is not None and attempts >= self.attempts_max:
            return None
        if error.retry_after is not None:
            return error.retry_after
        return random() * min(self.pause_max, self.pause_first * 2.0 ** min(attempts, _DOUBLINGS_MAX))


def passes(error: RustyDBError) -> bool:
    """Whether what failed may be there again later."""
    if isinstance(error, ApiError):
        return error.status is not None and (error.status >= 500 or error.status == 429)
    return isinstance(error, (ConnectionFailedError, CallTimeoutError))
