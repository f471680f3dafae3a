"""Errors a call can end with: every one is a :class:`RustyDBError`.

A client's own faults (:class:`ConfigurationError`, :class:`UnsendableInputError`) are ``ValueError`` as well.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias

import msgspec

from .scalars import decode_hook

#: Whether the same call may be sent again: not, at once or after ``retry_after``, or its whole transaction.
Retry: TypeAlias = Literal["never", "safe", "transaction"]


class RustyDBError(Exception):
    """A call failed."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        operation: str = "",
        request_id: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        details: Any = None,
        body: str = "",
    ) -> None:
        super().__init__(message)
        #: What went wrong, for people.
        self.message = message
        #: UPPER_SNAKE, the same on every interface.
        self.code = code
        #: Id of the operation that was called, ``auth.login`` when the client had to log in first.
        self.operation = operation
        #: Finds the call in the server's log.
        self.request_id = request_id
        #: HTTP status; ``None`` when no answer came.
        self.status = status
        #: Seconds the server asks to wait before the next try.
        self.retry_after = retry_after
        #: More about this failure, as JSON, of a form that depends on ``code``.
        self.details = details
        #: The answer as it came; empty when none came.
        self.body = body

    def __str__(self) -> str:
        place = f"{self.operation}: " if self.operation else ""
        call = f" (request {self.request_id})" if self.request_id else ""
        return f"{place}{self.message} [{self.code}]{call}"


class ApiError(RustyDBError):
    """The server answered an error. The contract's errors have a subclass each.

    One that this client does not know yet, and an answer that is no error of the contract (``code`` is then
    ``HTTP_<status>``), are of this class itself.
    """

    #: Whether the same call may be sent again.
    retry: ClassVar[Retry] = "never"

    @property
    def understood(self) -> bool:
        """Whether the answer had the form of the contract's errors."""
        return not self.code.startswith("HTTP_")


class ConnectionFailedError(RustyDBError):
    """No answer came: the server could not be reached, or the connection broke. The cause tells why."""


class CallTimeoutError(RustyDBError, TimeoutError):
    """The call's time was over before an answer came. What it asked for may have been done."""


class UnreadableAnswerError(RustyDBError):
    """The call succeeded, but its answer does not have the form of the contract."""


class UnsendableInputError(RustyDBError, ValueError):
    """An argument has no form on the wire. Nothing was sent."""


class ConfigurationError(RustyDBError, ValueError):
    """The client can't work with what it was made of."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="CONFIGURATION")


def convert_details(details: Any, kind: Any) -> Any:
    """``details`` as ``kind``; ``None`` when they are absent or a newer server gave them another form."""
    if details is None:
        return None
    try:
        return msgspec.convert(details, kind, dec_hook=decode_hook)
    except (msgspec.ValidationError, ValueError):
        return None
