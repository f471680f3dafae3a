"""One call from its arguments to its answer, as effects: credentials, sending, time, repetition."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from . import answer
from .effects import Sleep, Steps, send
from .errors import (
    ApiError,
    CallTimeoutError,
    ConfigurationError,
    ConnectionFailedError,
    RustyDBError,
)
from .operation import Contract, Operation
from .request import Prepared, prepare
from .retry import RetryPolicy
from .session import Session, Tokens
from .transport import Request, TransportError, TransportTimeout

Output = TypeVar("Output")

#: What a call without a time-out waits beyond the longest deadline that the contract has.
_GRACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    """What holds for each call of a client."""

    #: Seconds for a call as a whole, repetitions included.
    timeout: float | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    #: Id of the call instead of a random one.
    request_id: str | None = None

    def __post_init__(self) -> None:
        if self.timeout is not None and not 0 < self.timeout < math.inf:
            raise ConfigurationError(f"a time-out of {self.timeout} s: give a positive number of seconds")
        if self.request_id is not None and not (self.request_id.isascii() and self.request_id.isprintable()):
            raise ConfigurationError(f"{self.request_id!r} is no request id: give printable ASCII text")


@dataclass(frozen=True, slots=True)
class Environment:
    """What all calls of a client share."""

    base_url: str
    contract: Contract
    session: Session
    random: Callable[[], float]


def run(
    environment: Environment,
    options: Options,
    operation: Operation[Output],
    arguments: Mapping[str, object],
) -> Steps[Output]:
    """The call's steps; they answer its output."""
    call = _Call(environment, options, options.request_id or str(uuid.uuid4()))
    return (yield from call.run(operation, prepare(operation, arguments)))


class _Call:
    def __init__(self, environment: Environment, options: Options, request_id: str) -> None:
        self._environment = environment
        self._options = options
        self._request_id = request_id
        self._ends_at = None if options.timeout is None else time.monotonic() + options.timeout

    def run(self, operation: Operation[Output], prepared: Prepared) -> Steps[Output]:
        session = self._environment.session
        retries = 0
        may_renew = True
        while True:
            headers: dict[str, str] = {}
            try:
                headers = yield from session.headers(
                    public=operation.public, exchange=self._exchange, timeout=self._remaining(operation)
                )
                return (yield from self._attempt(operation, prepared, headers, self._request_id))
            except TransportTimeout as error:
                raise self._timeout_error(operation) from error
            except RustyDBError as error:
                failure = error
            if may_renew and isinstance(failure, ApiError) and failure.code == "TOKEN_EXPIRED":
                may_renew = False
                try:
                    if (yield from self._renewed(operation, headers)):
                        continue
                except ApiError as error:
                    failure = error
            pause = self._options.retry.pause(
                operation, failure, retries, self._environment.random
            )
            if pause is None or not self._has_time(pause):
                raise failure
            yield Sleep(pause)
            retries += 1

    def _renewed(self, operation: Operation[Any], headers: dict[str, str]) -> Steps[bool]:
        try:
            return (
                yield from self._environment.session.renew(
                    headers, exchange=self._exchange, timeout=self._remaining(operation)
                )
            )
        except TransportTimeout as error:
            raise self._timeout_error(operation) from error

    def _exchange(self, operation: Operation[Tokens], arguments: dict[str, object]) -> Steps[Tokens]:
        """A request of the session, within this call's time but under an id of its own."""
        prepared = prepare(operation, arguments)
        return (yield from self._attempt(operation, prepared, {}, str(uuid.uuid4())))

    def _attempt(
        self,
        operation: Operation[Output],
        prepared: Prepared,
        authorization: Mapping[str, str],
        request_id: str,
    ) -> Steps[Output]:
        headers = {
            "Accept": "application/json",
            "User-Agent": f"rustydb-python/{self._environment.contract.version}",
            "X-Request-Id": request_id,
            **authorization,
        }
        timeout = self._remaining(operation)
        if self._ends_at is not None:
            timeout_ms = max(1, int(timeout * 1000))
            headers["X-Timeout-Ms"] = str(min(timeout_ms, self._environment.contract.timeout_max_ms))
        if prepared.body is not None:
            headers["Content-Type"] = "application/json"
        request = Request(
            operation.method,
            self._environment.base_url + prepared.target,
            headers,
            prepared.body,
            timeout,
        )
        try:
            response = yield from send(request)
        except TransportTimeout as error:
            raise self._timeout_error(operation, request_id) from error
        except TransportError as error:
            raise ConnectionFailedError(
                f"no answer came: {error}",
                code="CONNECTION_FAILED",
                operation=operation.id,
                request_id=request_id,
            ) from error
        if 200 <= response.status < 300:
            return answer.read(operation, request_id, response)
        raise answer.failure(self._environment.contract, operation, request_id, response)

    def _remaining(self, operation: Operation[Any]) -> float:
        if self._ends_at is None:
            return self._environment.contract.timeout_max_ms / 1000 + _GRACE_SECONDS
        remaining = self._ends_at - time.monotonic()
        if remaining <= 0:
            raise self._timeout_error(operation)
        return remaining

    def _has_time(self, pause: float) -> bool:
        return self._ends_at is None or time.monotonic() + pause < self._ends_at

    def _timeout_error(
        self, operation: Operation[Any], request_id: str | None = None
    ) -> CallTimeoutError:
        bound = self._options.timeout
        waited = "the server's longest deadline" if bound is None else f"{bound:g} s"
        return CallTimeoutError(
            f"no answer came within {waited}",
            code="TIMEOUT",
            operation=operation.id,
            request_id=request_id or self._request_id,
        )
