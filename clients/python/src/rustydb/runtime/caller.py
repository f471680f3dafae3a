"""Performs the effects of calls: blocking, and on asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from . import paging
from .call import Environment, Options, run
from .effects import Acquire, Answer, Close, Effect, Open, Read, Send, Sleep, Steps
from .operation import Operation, PagedOperation
from .transport import AsyncTransport, Transport, TransportTimeout

Output = TypeVar("Output")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Caller:
    """Makes the calls of a :class:`rustydb.Client`."""

    environment: Environment
    options: Options
    transport: Transport
    sleep: Callable[[float], None]

    def call(self, operation: Operation[Output], arguments: Mapping[str, object]) -> Output:
        return self.perform(run(self.environment, self.options, operation, arguments))

    def items(
        self, operation: PagedOperation[Output, Item], arguments: Mapping[str, object]
    ) -> Iterator[Item]:
        """Items over all pages, each page fetched when it is needed."""
        following: dict[str, object] | None = dict(arguments)
        while following is not None:
            page = self.call(operation, following)
            yield from paging.items(operation, page)
            following = paging.following(operation, following, page)

    def perform(self, steps: Steps[Output]) -> Output:
        """Performs all effects; answers what the steps do."""
        try:
            effect = next(steps)
            while True:
                try:
                    result = self._perform(effect)
                except BaseException as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(result)
        except StopIteration as done:
            output: Output = done.value
            return output

    def _perform(self, effect: Effect) -> Answer:
        match effect:
            case Send(request):
                return self.transport.send(request)
            case Sleep(seconds):
                self.sleep(seconds)
            case Acquire(lock, timeout):
                if not lock.acquire(timeout=timeout):
                    raise TransportTimeout("another call's login did not end in time")
            case Open(request, silence):
                return self.transport.open(request, silence)
            case Read(stream):
                chunk: bytes = stream.read()
                return chunk
            case Close(stream):
                stream.close()
        return None


@dataclass(frozen=True, slots=True)
class AsyncCaller:
    """Makes the calls of a :class:`rustydb.AsyncClient`."""

    environment: Environment
    options: Options
    transport: AsyncTransport
    sleep: Callable[[float], Awaitable[None]]

    async def call(self, operation: Operation[Output], arguments: Mapping[str, object]) -> Output:
        return await self.perform(run(self.environment, self.options, operation, arguments))

    async def items(
        self, operation: PagedOperation[Output, Item], arguments: Mapping[str, object]
    ) -> AsyncIterator[Item]:
        """Items over all pages, each page fetched when it is needed."""
        following: dict[str, object] | None = dict(arguments)
        while following is not None:
            page = await self.call(operation, following)
            for item in paging.items(operation, page):
                yield item
            following = paging.following(operation, following, page)

    async def perform(self, steps: Steps[Output]) -> Output:
        """Performs all effects; answers what the steps do."""
        try:
            effect = next(steps)
            while True:
                try:
                    result = await self._perform(effect)
                except BaseException as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(result)
        except StopIteration as done:
            output: Output = done.value
            return output

    async def _perform(self, effect: Effect) -> Answer:
        match effect:
            case Send(request):
                return await _in_time(self.transport.send(request), request.timeout)
            case Sleep(seconds):
                await self.sleep(seconds)
            case Acquire(lock, timeout):
                await _in_time(lock.acquire(), timeout)
            case Open(request, silence):
                return await _in_time(self.transport.open(request, silence), request.timeout)
            case Read(stream):
                chunk: bytes = await stream.read()
                return chunk
            case Close(stream):
                await stream.close()
        return None


async def _in_time(work: Awaitable[Output], seconds: float) -> Output:
    try:
        async with asyncio.timeout(seconds) as scope:
            return await work
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise TransportTimeout(f"nothing came within {seconds:g} s") from error
