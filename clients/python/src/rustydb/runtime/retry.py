"""When a failed call is sent again, and how long it waits before.

An error whose ``retry`` is ``safe`` was refused before anything was done, so any operation may be repeated. A lost
answer says nothing of what was done, so only operations that the contract calls safe to repeat are. A transaction
is never repeated by one of its calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import ApiError, ConfigurationError, ConnectionFailedError, RustyDBError
from .operation import Operation

#: Statuses by which proxies tell that the server's answer was lost.
_LOST_ANSWER = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how fast a failed call is repeated: exponential back-off with full jitter."""

    #: Tries after the first one; 0 turns repetition off.
    retries_max: int = 3
    #: Upper bound of the first pause, in seconds; each further one doubles it.
    pause_first: float = 0.1
    #: Longest pause that back-off grows to, and the longest that a server may ask for.
    pause_max: float = 10.0

    def __post_init__(self) -> None:
        if self.retries_max < 0 or self.pause_first < 0 or self.pause_max < 0:
            raise ConfigurationError(f"{self} has a negative number: give 0 or more")

    @classmethod
    def never(cls) -> RetryPolicy:
        """Every call is sent once."""
        return cls(retries_max=0)

    def pause(
        self, operation: Operation[Any], error: RustyDBError, retries: int, random: Callable[[], float]
    ) -> float | None:
        """Seconds before the next try after ``retries`` repetitions; ``None`` when the error stands."""
        if retries >= self.retries_max or not _may_repeat(operation, error):
            return None
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= self.pause_max else None
        return random() * min(self.pause_max, self.pause_first * 2.0**retries)


def _may_repeat(operation: Operation[Any], error: RustyDBError) -> bool:
    if isinstance(error, ApiError):
        if error.understood:
            return error.retry == "safe"
        return operation.retry_safe and error.status in _LOST_ANSWER
    return operation.retry_safe and isinstance(error, ConnectionFailedError)
