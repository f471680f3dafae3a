"""One subscription as effects: opening, reading, and going on after a lost connection.

Between two items the whole state is in the feed, so each of its generators may be given up at any effect, as a
cancelled task does, and the next one goes on there. A connection is read only when every message that it brought
was handed out: nothing is buffered beyond one read, and a consumer that rests holds the server back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Generic, TypeVar

from . import answer
from .call import Connection, Environment, Options, connect
from .effects import Close, Sleep, Steps, read
from .errors import ApiError, ConnectionFailedError, RustyDBError, UnreadableAnswerError
from .eventstream import Message, Parser
from .items import Control, Item, Reader, unknown_loss
from .operation import View
from .reconnect import passes
from .request import prepare
from .retry import RetryPolicy
from .scalars import Cursor
from .transport import TransportError

Data = TypeVar("Data")
Result = TypeVar("Result")


class Feed(Generic[Data]):
    """Hands out the items of a view. Changes resume behind the last one; telemetry begins afresh."""

    def __init__(
        self,
        environment: Environment,
        options: Options,
        view: View[Data],
        arguments: Mapping[str, object],
    ) -> None:
        self._environment = environment
        self._options = options
        self._view = view
        self._prepared = prepare(view, arguments)
        self._reader = Reader(view, arguments)
        self._connection: Connection | None = None
        self._parser = Parser()
        self._messages: deque[Message] = deque()
        given = arguments.get("cursor")
        #: Goes on behind what was handed out.
        self.cursor = Cursor(given) if view.resumes and isinstance(given, str) else None
        #: Set from outside: there shall be no more items.
        self.ended = False
        # Whether there was a connection before, and whether the server said from where on it sends.
        self._was_connected = False
        self._acknowledged = False
        # Items without a cursor were handed out.
        self._has_unplaced = False
        self._lost_some = False
        # Why there is no connection, and tries that failed since something came.
        self._failure: RustyDBError | None = None
        self._attempts = 0
        # Nothing came on this connection.
        self._is_fresh = True
        self._expired: dict[str, str] | None = None

    @property
    def stream(self) -> Any:
        """What the transport opened, when there is a connection."""
        return None if self._connection is None else self._connection.stream

    def open(self) -> Steps[None]:
        """Ends when the server has acknowledged: nothing that happens after is missed."""
        while not self.ended and not self._acknowledged:
            yield from self._checked(self._advance())

    def next(self) -> Steps[Item[Data] | None]:
        """The next item; ``None`` when there will be no more. An error is the last."""
        while not self.ended:
            if self._lost_some:
                self._lost_some = False
                return unknown_loss()
            if not self._messages:
                yield from self._checked(self._advance())
                continue
            item = yield from self._checked(self._taken(self._messages.popleft()))
            if item is not None:
                return item
        return None

    def release(self) -> Steps[None]:
        """Ends the connection."""
        connection, self._connection = self._connection, None
        self._messages.clear()
        if connection is not None:
            yield Close(connection.stream)

    def _checked(self, steps: Steps[Result]) -> Steps[Result]:
        """After an error of a call there are no more items."""
        try:
            return (yield from steps)
        except RustyDBError:
            self.ended = True
            yield from self.release()
            raise

    def _advance(self) -> Steps[None]:
        """One step towards a message: a connection, or a read from the one there is."""
        connection = self._connection
        if connection is None:
            yield from self._connect()
            return
        cause: TransportError | None = None
        chunk = b""
        try:
            chunk = yield from read(connection.stream)
        except TransportError as error:
            cause = error
        if self.ended:
            return
        if not chunk:
            why = "the server ended it" if cause is None else str(cause)
            yield from self._lost(self._connection_error(f"the connection was lost: {why}"), cause)
            return
        self._messages.extend(self._parser.feed(chunk))
        if not self._acknowledged and self._messages:
            self._acknowledged = True
            if self._messages[0].data is None:
                self._progress(self._messages.popleft())

    def _connect(self) -> Steps[None]:
        policy = self._options.reconnect
        options = self._options
        if self._failure is not None:
            pause = policy.pause(self._failure, self._attempts, self._environment.random)
            if pause is None:
                raise self._failure
            self._attempts += 1
            yield Sleep(pause)
            if self.ended:
                return
        if self._was_connected:
            options = replace(options, retry=RetryPolicy.never())
        resume = {"Last-Event-ID": self.cursor} if self.cursor is not None else {}
        steps = connect(
            self._environment, options, self._view, self._prepared, resume, self._expired
        )
        try:
            connection = yield from steps
        except RustyDBError as error:
            # The first opening is a call like any other, and as a call it was repeated.
            if not self._was_connected or not passes(error):
                raise
            self._failure = error
            return
        self._connection = connection
        self._parser = Parser()
        self._is_fresh = True
        self._failure = self._expired = None
        if not self._view.resumes:
            self._acknowledged = True
            self._lost_some = self._was_connected
        self._was_connected = True
        if self.ended:
            yield from self.release()

    def _lost(self, error: RustyDBError, cause: Exception | None = None) -> Steps[None]:
        """The connection is gone: lets the next step make another, where no item can come twice for that."""
        error.__cause__ = cause
        yield from self.release()
        if self._view.ends or (self._view.resumes and self.cursor is None and self._has_unplaced):
            raise error
        self._failure = error

    def _taken(self, message: Message) -> Steps[Item[Data] | None]:
        if message.data is None:
            self._progress(message)
            return None
        if message.event == "error":
            yield from self._refused(message.data)
            return None
        if message.event == "complete":
            self.ended = True
            yield from self.release()
            return None
        try:
            item = self._reader.read(message)
        except ValueError as error:
            raise UnreadableAnswerError(
                f"an event is not of the contract's form: {error}",
                code="UNREADABLE_ANSWER",
                operation=self._view.id,
                request_id=self._request_id(),
                body=message.data,
            ) from error
        self._progress(message)
        if self.cursor is None:
            self._has_unplaced = True
        return None if isinstance(item, Control) and item.is_bookmark else item

    def _refused(self, data: str) -> Steps[None]:
        """The server's last word on this connection."""
        error = answer.last_word(self._environment.contract, self._view, self._request_id(), data)
        if isinstance(error, ApiError) and error.code == "TOKEN_EXPIRED" and self._connection is not None:
            self._expired = self._connection.authorization
        elif not passes(error):
            raise error
        yield from self._lost(error)

    def _progress(self, message: Message) -> None:
        # That a server takes subscriptions says nothing yet: one that then ends them all is not asked faster.
        if message.data is not None or not self._is_fresh:
            self._attempts = 0
        self._is_fresh = False
        self._move(message)

    def _move(self, message: Message) -> None:
        if self._view.resumes and message.id:
            self.cursor = Cursor(message.id)

    def _connection_error(self, message: str) -> ConnectionFailedError:
        return ConnectionFailedError(
            message, code="CONNECTION_FAILED", operation=self._view.id, request_id=self._request_id()
        )

    def _request_id(self) -> str:
        return "" if self._connection is None else self._connection.request_id
