"""What the generated clients inherit: making, closing, and views with other options or credentials."""

from __future__ import annotations

import asyncio
import random as chance
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import TracebackType
from typing import ClassVar, Self
from urllib.parse import urlsplit

from msgspec import UNSET, UnsetType

from .call import Environment, Options
from .caller import AsyncCaller, Caller
from .credentials import Credentials
from .errors import ConfigurationError
from .http import AsyncHttpTransport, HttpTransport
from .operation import Contract
from .reconnect import ReconnectPolicy
from .retry import RetryPolicy
from .session import Session
from .transport import AsyncTransport, Transport


class BaseClient:
    """A connection to a server; safe to share between threads."""

    _contract: ClassVar[Contract]

    def __init__(
        self,
        base_url: str,
        *,
        credentials: Credentials | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        reconnect: ReconnectPolicy | None = None,
        transport: Transport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = chance.random,
    ) -> None:
        """Nothing is sent before the first call.

        :param base_url: such as ``http://127.0.0.1:8080``.
        :param credentials: a ``Password``, ``Bearer`` or ``ApiKey``; nobody without.
        :param timeout: seconds for each call as a whole, repetitions included; the server is told.
        :param retry: how failed calls are repeated, the opening of subscriptions among them.
        :param reconnect: how subscriptions are kept over lost connections.
        :param transport: what sends requests, instead of :class:`rustydb.HttpTransport`.
        :param sleep: what waits between repetitions.
        :param random: chance from 0 to 1 for the length of those waits.
        """
        session = Session(credentials, self._contract, threading.Lock)
        environment = Environment(_checked(base_url), self._contract, session, random)
        options = Options(
            timeout=timeout,
            retry=retry or RetryPolicy(),
            reconnect=reconnect or ReconnectPolicy(),
        )
        self._caller = Caller(environment, options, transport or HttpTransport(), sleep)

    def with_options(
        self,
        *,
        timeout: float | None | UnsetType = UNSET,
        retry: RetryPolicy | UnsetType = UNSET,
        reconnect: ReconnectPolicy | UnsetType = UNSET,
        request_id: str | None | UnsetType = UNSET,
    ) -> Self:
        """The same client with other options: ``client.with_options(timeout=2).database...``."""
        options = _changed(self._caller.options, timeout, retry, reconnect, request_id)
        return self._view(replace(self._caller, options=options))

    def with_credentials(self, credentials: Credentials | None) -> Self:
        """The same connections as somebody else."""
        session = Session(credentials, self._contract, threading.Lock)
        environment = replace(self._caller.environment, session=session)
        return self._view(replace(self._caller, environment=environment))

    def close(self) -> None:
        """Ends the connections, those of views included."""
        self._caller.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _view(self, caller: Caller) -> Self:
        view = object.__new__(type(self))
        view._caller = caller
        return view


class AsyncBaseClient:
    """A connection to a server for one asyncio event loop."""

    _contract: ClassVar[Contract]

    def __init__(
        self,
        base_url: str,
        *,
        credentials: Credentials | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        reconnect: ReconnectPolicy | None = None,
        transport: AsyncTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = chance.random,
    ) -> None:
        """Nothing is sent before the first call.

        :param base_url: such as ``http://127.0.0.1:8080``.
        :param credentials: a ``Password``, ``Bearer`` or ``ApiKey``; nobody without.
        :param timeout: seconds for each call as a whole, repetitions included; the server is told.
        :param retry: how failed calls are repeated, the opening of subscriptions among them.
        :param reconnect: how subscriptions are kept over lost connections.
        :param transport: what sends requests, instead of :class:`rustydb.AsyncHttpTransport`.
        :param sleep: what waits between repetitions.
        :param random: chance from 0 to 1 for the length of those waits.
        """
        session = Session(credentials, self._contract, asyncio.Lock)
        environment = Environment(_checked(base_url), self._contract, session, random)
        options = Options(
            timeout=timeout,
            retry=retry or RetryPolicy(),
            reconnect=reconnect or ReconnectPolicy(),
        )
        self._caller = AsyncCaller(environment, options, transport or AsyncHttpTransport(), sleep)

    def with_options(
        self,
        *,
        timeout: float | None | UnsetType = UNSET,
        retry: RetryPolicy | UnsetType = UNSET,
        reconnect: ReconnectPolicy | UnsetType = UNSET,
        request_id: str | None | UnsetType = UNSET,
    ) -> Self:
        """The same client with other options: ``client.with_options(timeout=2).database...``."""
        options = _changed(self._caller.options, timeout, retry, reconnect, request_id)
        return self._view(replace(self._caller, options=options))

    def with_credentials(self, credentials: Credentials | None) -> Self:
        """The same connections as somebody else."""
        session = Session(credentials, self._contract, asyncio.Lock)
        environment = replace(self._caller.environment, session=session)
        return self._view(replace(self._caller, environment=environment))

    async def close(self) -> None:
        """Ends the connections, those of views included."""
        await self._caller.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _view(self, caller: AsyncCaller) -> Self:
        view = object.__new__(type(self))
        view._caller = caller
        return view


def _checked(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"{base_url!r} is no address: {error}") from error
    sound = parts.scheme in ("http", "https") and parts.hostname and port != 0
    if not sound or parts.query or parts.fragment or parts.username is not None:
        raise ConfigurationError(
            f"{base_url!r} is no address of a server: give one such as http://127.0.0.1:8080"
        )
    return base_url.rstrip("/")


def _changed(
    options: Options,
    timeout: float | None | UnsetType,
    retry: RetryPolicy | UnsetType,
    reconnect: ReconnectPolicy | UnsetType,
    request_id: str | None | UnsetType,
) -> Options:
    return Options(
        timeout=options.timeout if isinstance(timeout, UnsetType) else timeout,
        retry=options.retry if isinstance(retry, UnsetType) else retry,
        reconnect=options.reconnect if isinstance(reconnect, UnsetType) else reconnect,
        request_id=options.request_id if isinstance(request_id, UnsetType) else request_id,
    )
