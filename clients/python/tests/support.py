"""A real HTTP server that notes what it is sent and answers what the test says, and both clients behind one face.

Operations and their types are made up here: which ones the contract has is no matter of the runtime.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from msgspec import UNSET, UnsetType
from rustydb import (
    AsyncHttpTransport,
    AsyncSubscription,
    Credentials,
    Cursor,
    HttpTransport,
    Id64,
    Item,
    Json,
    ReconnectPolicy,
    RetryPolicy,
    Subscription,
)
from rustydb.errors import ApiError, Retry
from rustydb.runtime.client import AsyncBaseClient, BaseClient
from rustydb.runtime.objects import Object, OpenEnum
from rustydb.runtime.operation import Contract, Operation, PagedOperation, View

T = TypeVar("T")
I = TypeVar("I")


class Colour(OpenEnum):
    RED = "red"
    DARK_GREEN = "dark_green"


class Thing(Object, kw_only=True, frozen=True):
    id: Id64
    colour: Colour
    note: str | None | UnsetType = UNSET
    size: int | UnsetType = UNSET


class Page(Object, kw_only=True, frozen=True):
    items: list[int]
    next: Cursor | UnsetType = UNSET


class BusyError(ApiError):
    retry: ClassVar[Retry] = "safe"


class WriteConflictError(ApiError):
    retry: ClassVar[Retry] = "transaction"


class TokenExpiredError(ApiError):
    pass


class NoSuchThingError(ApiError):
    pass


CONTRACT = Contract(
    version="1.2.3",
    errors={
        "BUSY": BusyError,
        "WRITE_CONFLICT": WriteConflictError,
        "TOKEN_EXPIRED": TokenExpiredError,
        "NO_SUCH_THING": NoSuchThingError,
    },
    timeout_max_ms=300_000,
    login=Operation(
        id="auth.login", method="POST", path="/login", output=None, body=("username", "password"), public=True
    ),
    refresh=Operation(
        id="auth.refresh", method="POST", path="/refresh", output=None, body=("refresh_token",), public=True
    ),
)

#: Safe to repeat.
READ: Operation[None] = Operation(
    id="things.read", method="GET", path="/things", output=None, retry_safe=True
)
#: Not safe to repeat.
WRITE: Operation[None] = Operation(
    id="things.write", method="POST", path="/things", output=None, body=("value", "colour")
)
#: A command without inputs.
TOUCH: Operation[None] = Operation(id="things.touch", method="POST", path="/touch", output=None)
PUBLIC: Operation[None] = Operation(
    id="things.public", method="GET", path="/public", output=None, retry_safe=True, public=True
)
GET: Operation[Thing] = Operation(
    id="things.get",
    method="GET",
    path="/things/{id}",
    output=Thing,
    query={"flag": "text", "count": "text", "tags": "list", "filter": "json"},
    closed=("tags",),
    retry_safe=True,
)
ANY: Operation[Json] = Operation(id="things.any", method="GET", path="/any", output=Any)
LIST: PagedOperation[Page, int] = PagedOperation(
    id="things.list",
    method="GET",
    path="/list",
    output=Page,
    query={"kind": "text", "after": "text"},
    retry_safe=True,
    items=lambda page: page.items,
    next=lambda page: page.next,
)


#: Instead of a part: nothing more is sent, and the connection stays open until the client closes it.
HELD = b"held"
#: A client that takes nothing for so long has stopped reading.
STALL_SECONDS = 0.5


@dataclass(frozen=True)
class Seen:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Close the connection without an answer.
    dropped: bool = False
    #: Announce more bytes than there are, and close.
    cut: bool = False
    #: Answer when this is set.
    after: threading.Event | None = None
    #: Parts of a body without an end of its own, each sent as it comes; ``cut`` leaves out that they were all.
    parts: Iterable[bytes] | None = None


def ok(value: object = None) -> Reply:
    return Reply(body=json.dumps({} if value is None else value).encode())


def problem(status: int, code: str, **members: object) -> Reply:
    body = {
        "type": "about:blank",
        "status": status,
        "request_id": "req-of-server",
        "error": {"code": code, "message": f"{code} it is", **members},
    }
    headers = {"Content-Type": "application/problem+json"}
    return Reply(status, json.dumps(body).encode(), headers)


Answer = Callable[[Seen, int], Reply]


class Server:
    """Answers by ``answer(seen, how many came before)``."""

    def __init__(self, answer: Answer) -> None:
        self.seen: list[Seen] = []
        #: Released with every request that came in.
        self.came = threading.Semaphore(0)
        #: Released when a client has closed a connection that was held open for it.
        self.left = threading.Semaphore(0)
        #: Released when a client takes no more of what is sent.
        self.stalled = threading.Semaphore(0)
        self._answer = answer
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body in one packet: two wait for each other's acknowledgement.
            wbufsize = -1

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen = Seen(self.command, self.path, headers, self.rfile.read(length))
                with server._lock:
                    before = len(server.seen)
                    server.seen.append(seen)
                server.came.release()
                reply = server._answer(seen, before)
                if reply.after is not None:
                    reply.after.wait(30)
                if reply.dropped:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.parts is not None:
                    self.send_parts(reply.parts, reply.cut)
                    return
                self.send_header("Content-Length", str(len(reply.body) + (10 if reply.cut else 0)))
                self.end_headers()
                self.wfile.write(reply.body)
                self.close_connection = self.close_connection or reply.cut

            def send_parts(self, parts: Iterable[bytes], cut: bool) -> None:
                self.close_connection = True
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.flush()
                for part in parts:
                    if part is HELD:
                        # One that is closed with bytes unread is reset, which is leaving as well.
                        with suppress(ConnectionResetError):
                            self.rfile.read(1)
                        server.left.release()
                        return
                    self.send_now(b"%x\r\n%b\r\n" % (len(part), part))
                if not cut:
                    self.wfile.write(b"0\r\n\r\n")

            def send_now(self, text: bytes) -> None:
                self.connection.settimeout(STALL_SECONDS)
                try:
                    self.wfile.write(text)
                    self.wfile.flush()
                except TimeoutError:
                    server.stalled.release()
                    raise
                finally:
                    self.connection.settimeout(None)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """Clients that went away are what some tests are about."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def targets(self) -> list[str]:
        return [seen.target for seen in self.seen]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class SyncClient(BaseClient):
    _contract = CONTRACT


class AsyncioClient(AsyncBaseClient):
    _contract = CONTRACT


class Pace:
    """Notes pauses instead of making them; chance is what the test says."""

    def __init__(self, chance: float = 1.0) -> None:
        self.pauses: list[float] = []
        self._chance = chance

    def random(self) -> float:
        return self._chance

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def sleep_async(self, seconds: float) -> None:
        self.pauses.append(seconds)


class Face:
    """A client of either kind, seen from blocking code."""

    name: str

    def call(self, operation: Operation[T], /, **arguments: object) -> T:
        raise NotImplementedError

    def items(self, operation: PagedOperation[T, I], /, **arguments: object) -> list[I]:
        """All items."""
        raise NotImplementedError

    def first(self, operation: PagedOperation[T, I], /) -> I:
        """The first item alone."""
        raise NotImplementedError

    def many(self, operation: Operation[T], count: int, /) -> list[T | BaseException]:
        """As many calls at once; what each came to."""
        raise NotImplementedError

    def watch(self, view: View[T], /, **arguments: object) -> Watch[T]:
        raise NotImplementedError

    def options(self, **options: Any) -> Face:
        raise NotImplementedError

    def credentials(self, credentials: Credentials | None) -> Face:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class Watch(Protocol[T]):
    """A subscription of either kind, seen from blocking code."""

    @property
    def cursor(self) -> Cursor | None: ...

    def open(self) -> None: ...

    def next(self) -> Item[T] | None: ...

    def close(self) -> None: ...

    def take(self, count: int) -> list[Item[T]]: ...

    def break_after(self, count: int) -> None:
        """Leaves a loop over it after so many items, and forgets it."""
        ...


class SyncWatch(Generic[T]):
    def __init__(self, items: Subscription[T]) -> None:
        self.items: Subscription[T] | None = items

    @property
    def cursor(self) -> Cursor | None:
        return self.there().cursor

    def there(self) -> Subscription[T]:
        assert self.items is not None
        return self.items

    def open(self) -> None:
        self.there().open()

    def next(self) -> Item[T] | None:
        return next(self.there(), None)

    def close(self) -> None:
        self.there().close()

    def take(self, count: int) -> list[Item[T]]:
        return [next(self.there()) for _ in range(count)]

    def forget(self) -> Subscription[T]:
        items, self.items = self.there(), None
        return items

    def break_after(self, count: int) -> None:
        for _ in self.forget():
            count -= 1
            if count == 0:
                break


class AsyncWatch(Generic[T]):
    def __init__(self, items: AsyncSubscription[T], runner: asyncio.Runner) -> None:
        self.items: AsyncSubscription[T] | None = items
        self.runner = runner

    @property
    def cursor(self) -> Cursor | None:
        return self.there().cursor

    def there(self) -> AsyncSubscription[T]:
        assert self.items is not None
        return self.items

    def open(self) -> None:
        self.runner.run(self._open())

    async def _open(self) -> None:
        await self.there().open()

    def next(self) -> Item[T] | None:
        async def one() -> Item[T] | None:
            return await anext(self.there(), None)

        return self.runner.run(one())

    def close(self) -> None:
        self.runner.run(self.there().close())

    def take(self, count: int) -> list[Item[T]]:
        async def some() -> list[Item[T]]:
            return [await anext(self.there()) for _ in range(count)]

        return self.runner.run(some())

    def forget(self) -> AsyncSubscription[T]:
        items, self.items = self.there(), None
        return items

    def break_after(self, count: int) -> None:
        async def loop() -> None:
            left = count
            async for _ in self.forget():
                left -= 1
                if left == 0:
                    break
            # What a running program does anyway: its loop goes on.
            await asyncio.sleep(0)
            closing = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*closing)

        self.runner.run(loop())


class SyncFace(Face):
    name = "sync"

    def __init__(self, client: SyncClient) -> None:
        self.client = client

    def call(self, operation: Operation[T], /, **arguments: object) -> T:
        return self.client._caller.call(operation, arguments)

    def items(self, operation: PagedOperation[T, I], /, **arguments: object) -> list[I]:
        return list(self.client._caller.items(operation, arguments))

    def first(self, operation: PagedOperation[T, I], /) -> I:
        return next(self.client._caller.items(operation, {}))

    def many(self, operation: Operation[T], count: int, /) -> list[T | BaseException]:
        def one(_: int) -> T | BaseException:
            try:
                return self.call(operation)
            except Exception as error:
                return error

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, range(count)))

    def watch(self, view: View[T], /, **arguments: object) -> Watch[T]:
        return SyncWatch(Subscription(self.client._caller, view, arguments))

    def options(self, **options: Any) -> Face:
        return SyncFace(self.client.with_options(**options))

    def credentials(self, credentials: Credentials | None) -> Face:
        return SyncFace(self.client.with_credentials(credentials))

    def close(self) -> None:
        self.client.close()


class AsyncFace(Face):
    name = "async"

    def __init__(self, client: AsyncioClient, runner: asyncio.Runner) -> None:
        self.client = client
        self.runner = runner

    def call(self, operation: Operation[T], /, **arguments: object) -> T:
        return self.runner.run(self.client._caller.call(operation, arguments))

    def items(self, operation: PagedOperation[T, I], /, **arguments: object) -> list[I]:
        async def collect() -> list[I]:
            return [item async for item in self.client._caller.items(operation, arguments)]

        return self.runner.run(collect())

    def first(self, operation: PagedOperation[T, I], /) -> I:
        async def one() -> I:
            return await anext(self.client._caller.items(operation, {}))

        return self.runner.run(one())

    def many(self, operation: Operation[T], count: int, /) -> list[T | BaseException]:
        async def gather() -> list[T | BaseException]:
            calls = [self.client._caller.call(operation, {}) for _ in range(count)]
            return await asyncio.gather(*calls, return_exceptions=True)

        return self.runner.run(gather())

    def watch(self, view: View[T], /, **arguments: object) -> Watch[T]:
        return AsyncWatch(AsyncSubscription(self.client._caller, view, arguments), self.runner)

    def options(self, **options: Any) -> Face:
        return AsyncFace(self.client.with_options(**options), self.runner)

    def credentials(self, credentials: Credentials | None) -> Face:
        return AsyncFace(self.client.with_credentials(credentials), self.runner)

    def close(self) -> None:
        self.runner.run(self.client.close())


class Bench:
    """Makes servers and clients of one kind, and ends them."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.pace = Pace()
        self._runner = asyncio.Runner()
        self._open: list[Server | Face] = []

    def serve(self, answer: Answer | Reply) -> Server:
        server = Server((lambda _seen, _before: answer) if isinstance(answer, Reply) else answer)
        self._open.append(server)
        return server

    def client(
        self,
        server: Server | str,
        *,
        credentials: Credentials | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        reconnect: ReconnectPolicy | None = None,
        chance: float = 1.0,
    ) -> Face:
        url = server if isinstance(server, str) else server.url
        self.pace = Pace(chance)
        face: Face
        if self.kind == "sync":
            face = SyncFace(
                SyncClient(
                    url,
                    credentials=credentials,
                    timeout=timeout,
                    retry=retry,
                    reconnect=reconnect,
                    transport=HttpTransport(trust_env=False),
                    sleep=self.pace.sleep,
                    random=self.pace.random,
                )
            )
        else:
            client = AsyncioClient(
                url,
                credentials=credentials,
                timeout=timeout,
                retry=retry,
                reconnect=reconnect,
                transport=AsyncHttpTransport(trust_env=False),
                sleep=self.pace.sleep_async,
                random=self.pace.random,
            )
            face = AsyncFace(client, self._runner)
        self._open.append(face)
        return face

    def close(self) -> None:
        for part in reversed(self._open):
            part.close()
        self._runner.close()
