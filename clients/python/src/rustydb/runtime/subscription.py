"""Subscriptions as iterators: blocking, and on asyncio."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from .caller import AsyncCaller, Caller
from .feed import Feed
from .items import Item
from .operation import View
from .scalars import Cursor

Data = TypeVar("Data")

#: Connections of forgotten subscriptions that are being closed; loops hold tasks only weakly.
_closing: set[asyncio.Task[None]] = set()


class Subscription(Generic[Data]):
    """Iterates over the items of a view. Nothing is sent before it is entered, opened or iterated.

    Leaving the ``with`` block ends it, :meth:`close` does from any thread, and so does forgetting it: a ``for``
    loop over the call itself ends it with ``break``. An error is the last that comes of it.
    """

    def __init__(self, caller: Caller, view: View[Data], arguments: Mapping[str, object]) -> None:
        self._feed = Feed(caller.environment, caller.options, view, arguments)
        self._woken = threading.Event()
        # Closing must not wait for the end of a pause.
        is_plain = caller.sleep is time.sleep
        self._caller = replace(caller, sleep=_pause(self._woken)) if is_plain else caller
        self._turn = threading.Lock()

    @property
    def cursor(self) -> Cursor | None:
        """The newest one: goes on behind all that was handed out. ``None`` for telemetry and in a snapshot."""
        return self._feed.cursor

    def open(self) -> Self:
        """Returns once the server has acknowledged: nothing that happens after is missed."""
        try:
            with self._turn:
                self._caller.perform(self._feed.open())
        finally:
            self._release_if_ended()
        return self

    def close(self) -> None:
        """Ends it and its connection; one who waits for an item is told that there are no more."""
        self._feed.ended = True
        self._woken.set()
        stream = self._feed.stream
        if stream is not None:
            stream.interrupt()
        self._release_if_ended()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item[Data]:
        try:
            with self._turn:
                item = self._caller.perform(self._feed.next())
        finally:
            self._release_if_ended()
        if item is None:
            raise StopIteration
        return item

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_turn"):
            self.close()

    def _release_if_ended(self) -> None:
        """Whoever has the turn does it, and looks again after giving it up: none is left behind."""
        if self._feed.ended and self._turn.acquire(blocking=False):
            try:
                self._caller.perform(self._feed.release())
            finally:
                self._turn.release()


class AsyncSubscription(Generic[Data]):
    """Iterates over the items of a view. Nothing is sent before it is entered, opened or iterated.

    Leaving the ``async with`` block ends it, :meth:`close` does, and so does forgetting it: an ``async for`` loop
    over the call itself ends it with ``break``. An error is the last that comes of it. Cancelling who waits for an
    item loses none: the next one that is asked for is the same.
    """

    def __init__(self, caller: AsyncCaller, view: View[Data], arguments: Mapping[str, object]) -> None:
        self._feed = Feed(caller.environment, caller.options, view, arguments)
        self._woken = asyncio.Event()
        # Closing must not wait for the end of a pause.
        is_plain = caller.sleep is asyncio.sleep
        self._caller = replace(caller, sleep=_async_pause(self._woken)) if is_plain else caller
        self._turn = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def cursor(self) -> Cursor | None:
        """The newest one: goes on behind all that was handed out. ``None`` for telemetry and in a snapshot."""
        return self._feed.cursor

    async def open(self) -> Self:
        """Returns once the server has acknowledged: nothing that happens after is missed."""
        self._loop = asyncio.get_running_loop()
        async with self._turn:
            await self._caller.perform(self._feed.open())
        return self

    async def close(self) -> None:
        """Ends it and its connection; one who waits for an item is told that there are no more."""
        self._feed.ended = True
        self._woken.set()
        await self._caller.perform(self._feed.release())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item[Data]:
        self._loop = asyncio.get_running_loop()
        async with self._turn:
            item = await self._caller.perform(self._feed.next())
        if item is None:
            raise StopAsyncIteration
        return item

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        loop = getattr(self, "_loop", None)
        if loop is not None and self._feed.stream is not None and not loop.is_closed():
            loop.call_soon_threadsafe(_close, loop, self._feed.stream)


def _pause(woken: threading.Event) -> Callable[[float], None]:
    def pause(seconds: float) -> None:
        woken.wait(seconds)

    return pause


def _async_pause(woken: asyncio.Event) -> Callable[[float], Awaitable[None]]:
    async def pause(seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await woken.wait()

    return pause


def _close(loop: asyncio.AbstractEventLoop, stream: Any) -> None:
    task = loop.create_task(stream.close())
    _closing.add(task)
    task.add_done_callback(_closing.discard)
