"""One call from its arguments to its answer, as effects: credentials, sending, time, repetition."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from . import answer
from .effects import Close, Head, Sleep, Steps, open_stream, read, send
from .errors import (
    ApiError,
    CallTimeoutError,
    ConfigurationError,
    ConnectionFailedError,
    RustyDBError,
    UnreadableAnswerError,
)
from .operation import Contract, Operation, View
from .reconnect import ReconnectPolicy
from .request import Prepared, prepare
from .retry import RetryPolicy
from .session import Session, Tokens
from .transport import Request, Response, TransportError, TransportTimeout

Output = TypeVar("Output")

#: What a call without a time-out waits beyond the longest deadline that the contract has.
_GRACE_SECONDS = 5.0

_EVENT_STREAM = "text/event-stream"
#: How much is read of the answer when a view could not be opened.
_REFUSAL_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Options:
    """What holds for each call of a client."""

    #: Seconds for a call as a whole, repetitions included.
    timeout: float | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    #: How subscriptions are kept.
    reconnect: ReconnectPolicy = field(default_factory=ReconnectPolicy)
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


@dataclass(frozen=True, slots=True)
class Connection:
    """A view that is open."""

    stream: Head
    #: Headers that said who opens it.
    authorization: dict[str, str]
    request_id: str


def connect(
    environment: Environment,
    options: Options,
    view: View[Any],
    prepared: Prepared,
    headers: Mapping[str, str],
    expired: dict[str, str] | None,
) -> Steps[Connection]:
    """The steps of opening a view; ``expired`` are headers that no longer say who it is."""
    call = _Call(environment, options, options.request_id or str(uuid.uuid4()))
    return (yield from call.connect(view, prepared, headers, expired))


def _rest(stream: Head) -> Steps[bytes]:
    body = bytearray()
    while len(body) < _REFUSAL_BYTES_MAX and (chunk := (yield from read(stream))):
        body += chunk
    return bytes(body)


class _Call:
    def __init__(self, environment: Environment, options: Options, request_id: str) -> None:
        self._environment = environment
        self._options = options
        self._request_id = request_id
        self._ends_at = None if options.timeout is None else time.monotonic() + options.timeout

    def run(self, operation: Operation[Output], prepared: Prepared) -> Steps[Output]:
        def attempt(headers: dict[str, str]) -> Steps[Output]:
            return self._attempt(operation, prepared, headers, self._request_id)

        return (yield from self._repeated(operation, attempt))

    def connect(
        self,
        view: View[Any],
        prepared: Prepared,
        headers: Mapping[str, str],
        expired: dict[str, str] | None,
    ) -> Steps[Connection]:
        def attempt(authorization: dict[str, str]) -> Steps[Connection]:
            return self._opening(view, prepared, authorization, headers)

        if expired is not None:
            yield from self._renewed(view, expired)
        return (yield from self._repeated(view, attempt))

    def _repeated(
        self, operation: Operation[Any], attempt: Callable[[dict[str, str]], Steps[Output]]
    ) -> Steps[Output]:
        session = self._environment.session
        retries = 0
        may_renew = True
        while True:
            headers: dict[str, str] = {}
            try:
                headers = yield from session.headers(
                    public=operation.public, exchange=self._exchange, timeout=self._remaining(operation)
                )
                return (yield from attempt(headers))
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
        request = self._request(
            operation, prepared, {"Accept": "application/json", **authorization}, request_id
        )
        response = yield from self._answered(operation, request_id, send(request))
        if 200 <= response.status < 300:
            return answer.read(operation, request_id, response)
        raise answer.failure(self._environment.contract, operation, request_id, response)

    def _opening(
        self,
        view: View[Any],
        prepared: Prepared,
        authorization: dict[str, str],
        headers: Mapping[str, str],
    ) -> Steps[Connection]:
        request = self._request(
            view,
            prepared,
            {
                "Accept": _EVENT_STREAM,
                # A compressor on the way would hold events back.
                "Accept-Encoding": "identity",
                "Cache-Control": "no-store",
                **headers,
                **authorization,
            },
            self._request_id,
        )
        silence = self._options.reconnect.silence_max
        stream = yield from self._answered(view, self._request_id, open_stream(request, silence))
        kind = stream.headers.get("content-type", "")
        if stream.status == 200 and kind.partition(";")[0].strip().lower() == _EVENT_STREAM:
            return Connection(stream, authorization, self._request_id)
        try:
            body = yield from self._answered(view, self._request_id, _rest(stream))
        finally:
            yield Close(stream)
        if 200 <= stream.status < 300:
            raise UnreadableAnswerError(
                f"the answer is no stream of events but status {stream.status} with {kind!r}",
                code="UNREADABLE_ANSWER",
                operation=view.id,
                request_id=self._request_id,
                status=stream.status,
                body=body.decode("utf-8", "replace"),
            )
        response = Response(stream.status, stream.headers, body)
        raise answer.failure(self._environment.contract, view, self._request_id, response)

    def _request(
        self,
        operation: Operation[Any],
        prepared: Prepared,
        own: Mapping[str, str],
        request_id: str,
    ) -> Request:
        headers = {
            "User-Agent": f"rustydb-python/{self._environment.contract.version}",
            "X-Request-Id": request_id,
            **own,
        }
        timeout = self._remaining(operation)
        if self._ends_at is not None:
            timeout_ms = max(1, int(timeout * 1000))
            headers["X-Timeout-Ms"] = str(min(timeout_ms, self._environment.contract.timeout_max_ms))
        if prepared.body is not None:
            headers["Content-Type"] = "application/json"
        return Request(
            operation.method,
            self._environment.base_url + prepared.target,
            headers,
            prepared.body,
            timeout,
        )

    def _answered(
        self, operation: Operation[Any], request_id: str, steps: Steps[Output]
    ) -> Steps[Output]:
        """What the steps answer; failures of the transport as errors of the call."""
        try:
            return (yield from steps)
        except TransportTimeout as error:
            raise self._timeout_error(operation, request_id) from error
        except TransportError as error:
            raise ConnectionFailedError(
                f"no answer came: {error}",
                code="CONNECTION_FAILED",
                operation=operation.id,
                request_id=request_id,
            ) from error

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
