"""Subscriptions: what is handed out, and what becomes of them when connections or credentials are lost."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import pytest
from msgspec import UNSET, UnsetType
from rustydb import (
    AsyncHttpTransport,
    AsyncSubscription,
    Bearer,
    Control,
    Event,
    HttpTransport,
    Item,
    Password,
    ReconnectPolicy,
    RetryPolicy,
    Subscription,
)
from rustydb.errors import (
    ApiError,
    CallTimeoutError,
    ConnectionFailedError,
    UnreadableAnswerError,
)
from rustydb.runtime.objects import Object
from rustydb.runtime.operation import View
from rustydb.types import StreamControlKind
from support import (
    HELD,
    AsyncioClient,
    Bench,
    BusyError,
    Face,
    NoSuchThingError,
    Reply,
    Seen,
    Server,
    SyncClient,
    TokenExpiredError,
    Watch,
    ok,
    problem,
)


class Changed(Object, kw_only=True, frozen=True):
    number: int
    note: str | UnsetType = UNSET


class Cleared(Object, kw_only=True, frozen=True, tag_field="event", tag="Cleared"):
    by: str


AnyEvent: TypeAlias = Changed | Cleared

CHANGES: View[Changed] = View(
    id="things.changes",
    method="GET",
    path="/changes",
    output=None,
    query={"kind": "text", "cursor": "text", "fields": "list"},
    retry_safe=True,
    events={"Changed": Changed},
    resumes=True,
)
EVENTS: View[AnyEvent] = View(
    id="things.events",
    method="GET",
    path="/events",
    output=None,
    retry_safe=True,
    events={"Changed": Changed, "Cleared": Cleared},
    resumes=True,
)
TELEMETRY: View[Changed] = View(
    id="things.telemetry",
    method="GET",
    path="/telemetry",
    output=None,
    retry_safe=True,
    events={"Changed": Changed},
)

MOMENT = "2026-01-02T03:04:05.000006Z"


def opened(cursor: str | None = None) -> bytes:
    return b": subscribed\n" + (f"id: {cursor}\n\n" if cursor else "\n").encode()


def frame(name: str, body: dict[str, Any], cursor: str | None) -> bytes:
    text = json.dumps({**body, "timestamp": MOMENT, **({"cursor": cursor} if cursor else {})})
    place = f"id: {cursor}\n" if cursor else ""
    return f"event: {name}\ndata: {text}\n{place}\n".encode()


def changed(number: int, cursor: str | None = None) -> bytes:
    return frame("Changed", {"event": "Changed", "data": {"number": number}}, cursor)


def control(kind: str, cursor: str | None = None, **members: object) -> bytes:
    return frame(kind.lower(), {"control": {"kind": kind, **members}}, cursor)


def error(status: int, code: str, **members: object) -> bytes:
    data = {"code": code, "status": status, "request_id": "req-of-server", **members}
    return f"event: error\ndata: {json.dumps(data)}\n\n".encode()


def stream(parts: Iterable[bytes], *, cut: bool = False) -> Reply:
    return Reply(headers={"Content-Type": "text/event-stream"}, parts=parts, cut=cut)


def numbers(items: Iterable[Item[Changed]]) -> list[int]:
    return [item.data.number for item in items if isinstance(item, Event)]


def resumed(server: Server) -> list[str | None]:
    return [seen.headers.get("last-event-id") for seen in server.seen]


def test_events_and_controls_are_typed_and_bookmarks_only_move_the_cursor(bench: Bench) -> None:
    parts = [
        opened("c0"),
        changed(1, "c1"),
        control("FELL_BEHIND", "c2", count=7),
        control("BOOKMARK", "c3"),
        control("CAUGHT_UP", "c4"),
        HELD,
    ]
    server = bench.serve(stream(parts))
    watch = bench.client(server).watch(CHANGES, kind="k")
    assert server.seen == []
    watch.open()
    assert watch.cursor == "c0"
    event, behind, caught_up = watch.take(3)
    assert isinstance(event, Event)
    assert (event.event, event.data, event.cursor) == ("Changed", Changed(number=1), "c1")
    assert event.timestamp.isoformat() == "2026-01-02T03:04:05.000006+00:00"
    assert isinstance(behind, Control)
    assert (behind.control.kind, behind.control.count) == (StreamControlKind.FELL_BEHIND, 7)
    assert isinstance(caught_up, Control)
    assert (caught_up.cursor, watch.cursor) == ("c4", "c4")
    assert server.targets() == ["/changes?kind=k"]
    assert server.seen[0].headers["accept"] == "text/event-stream"


def test_events_of_a_view_with_several_are_told_apart(bench: Bench) -> None:
    cleared = frame("Cleared", {"event": "Cleared", "data": {"by": "me"}}, "c2")
    server = bench.serve(stream([opened("c0"), changed(1, "c1"), cleared, HELD]))
    items = bench.client(server).watch(EVENTS).take(2)
    assert [(item.event, item.data) for item in items if isinstance(item, Event)] == [
        ("Changed", Changed(number=1)),
        ("Cleared", Cleared(by="me")),
    ]


def test_a_caller_that_chose_fields_gets_the_others_unset(bench: Bench) -> None:
    body = {"event": "Changed", "data": {"note": "n"}}
    server = bench.serve(stream([opened("c0"), frame("Changed", body, "c1"), HELD]))
    (item,) = bench.client(server).watch(CHANGES, fields=["note"]).take(1)
    assert isinstance(item, Event)
    assert isinstance(item.data, Changed)
    given: list[object] = [item.data.number, item.data.note]
    assert given == [UNSET, "n"]


class Log:
    """Sends what follows the caller's cursor, and so many bytes of it on each connection."""

    def __init__(self, events: int, bytes_each: int, *, cut: bool) -> None:
        self.events = events
        self.bytes_each = bytes_each
        self.cut = cut

    def __call__(self, seen: Seen, _before: int) -> Reply:
        behind = seen.headers.get("last-event-id", "c0")
        rest = range(int(behind[1:]) + 1, self.events + 1)
        text = b"".join(changed(number, f"c{number}") for number in rest)
        if len(text) <= self.bytes_each:
            return stream([opened(behind), text, HELD])
        return stream([opened(behind), text[: self.bytes_each]], cut=self.cut)


@pytest.mark.parametrize("cut", [True, False], ids=["broken", "ended"])
@pytest.mark.parametrize("bytes_each", [len(changed(1, "c1")) + more for more in (0, 1, 30, 150)])
def test_changes_go_on_behind_the_last_one_wherever_the_connection_was_lost(
    bench: Bench, bytes_each: int, cut: bool
) -> None:
    server = bench.serve(Log(6, bytes_each, cut=cut))
    items = bench.client(server).watch(CHANGES).take(6)
    assert numbers(items) == [1, 2, 3, 4, 5, 6]
    assert len(items) == 6
    assert len(server.seen) > 2


def test_changes_go_on_from_the_callers_own_cursor(bench: Bench) -> None:
    server = bench.serve(Log(3, 1000, cut=True))
    assert numbers(bench.client(server).watch(CHANGES, cursor="c1").take(2)) == [2, 3]
    assert server.targets() == ["/changes?cursor=c1"]


def test_changes_go_on_behind_a_bookmark(bench: Bench) -> None:
    def answer(_seen: Seen, before: int) -> Reply:
        first = [opened("c0"), control("BOOKMARK", "c9")]
        return stream(first if before == 0 else [opened("c9"), changed(10, "c10"), HELD])

    server = bench.serve(answer)
    assert numbers(bench.client(server).watch(CHANGES).take(1)) == [10]
    assert resumed(server) == [None, "c9"]


def test_telemetry_begins_afresh_and_tells_of_an_unknown_loss(bench: Bench) -> None:
    def answer(_seen: Seen, before: int) -> Reply:
        return stream([opened(), changed(before), *([HELD] if before else [])], cut=True)

    server = bench.serve(answer)
    watch = bench.client(server).watch(TELEMETRY)
    first, gap, second = watch.take(3)
    assert numbers([first, second]) == [0, 1]
    assert isinstance(gap, Control)
    assert (gap.control.kind, gap.cursor) == (StreamControlKind.GAP, None)
    assert gap.control.count is UNSET
    assert resumed(server) == [None, None]
    assert watch.cursor is None


def test_a_snapshot_that_was_cut_is_an_error_not_a_second_one(bench: Bench) -> None:
    server = bench.serve(stream([opened(), changed(1)], cut=True))
    watch = bench.client(server).watch(CHANGES)
    assert numbers(watch.take(1)) == [1]
    with pytest.raises(ConnectionFailedError):
        watch.next()
    assert watch.next() is None
    assert len(server.seen) == 1


def test_a_snapshot_that_is_complete_is_gone_on_behind(bench: Bench) -> None:
    def answer(_seen: Seen, before: int) -> Reply:
        if before == 0:
            return stream([opened(), changed(1), control("SNAPSHOT_COMPLETE", "c1", count=1)])
        return stream([opened("c1"), changed(2, "c2"), HELD])

    server = bench.serve(answer)
    assert numbers(bench.client(server).watch(CHANGES).take(3)) == [1, 2]
    assert resumed(server) == [None, "c1"]


def test_a_snapshot_of_which_nothing_came_begins_again(bench: Bench) -> None:
    def answer(_seen: Seen, before: int) -> Reply:
        return stream([opened(), *([changed(1), HELD] if before else [])], cut=True)

    assert numbers(bench.client(bench.serve(answer)).watch(CHANGES).take(1)) == [1]


def reconnecting(bench: Bench, replies: list[Reply], **options: Any) -> tuple[Server, Watch[Changed]]:
    """Open and lost once; then come the replies, and at last an event."""
    last = stream([opened("c1"), changed(2, "c2"), HELD])
    script = [stream([opened("c0"), changed(1, "c1")], cut=True), *replies, last]
    server = bench.serve(lambda _seen, before: script[before])
    watch = bench.client(server, **options).watch(CHANGES)
    assert numbers(watch.take(1)) == [1]
    return server, watch


def test_pauses_grow_with_full_jitter_until_something_comes(bench: Bench) -> None:
    failures = [problem(500, "ODD"), Reply(502, b"<html>"), Reply(dropped=True), stream([opened("c1")])]
    _, watch = reconnecting(
        bench, failures, chance=0.5, reconnect=ReconnectPolicy(pause_first=1, pause_max=4)
    )
    assert numbers(watch.take(1)) == [2]
    assert bench.pace.pauses == [0.5, 1, 2, 2, 2]


def test_pauses_begin_anew_after_an_event(bench: Bench) -> None:
    server = bench.serve(Log(4, len(changed(1, "c1")), cut=True))
    bench.client(server).watch(CHANGES).take(4)
    assert bench.pace.pauses == pytest.approx([0.1, 0.1, 0.1])


def test_the_pause_that_a_server_asks_for_is_made(bench: Bench) -> None:
    in_header = Reply(429, b"", {"Retry-After": "7"})
    in_stream = stream([error(503, "BUSY", retry_after=60)])
    _, watch = reconnecting(bench, [in_header, problem(503, "BUSY", retry_after=1.5), in_stream])
    assert numbers(watch.take(1)) == [2]
    assert bench.pace.pauses == pytest.approx([0.1, 7, 1.5, 60])


def test_attempts_can_be_bounded(bench: Bench) -> None:
    busy = [problem(503, "BUSY")] * 9
    server, watch = reconnecting(bench, busy, reconnect=ReconnectPolicy(attempts_max=2))
    with pytest.raises(BusyError):
        watch.next()
    assert len(server.seen) == 3
    assert watch.next() is None


@pytest.mark.parametrize("reply", [problem(404, "NO_SUCH_THING"), stream([error(404, "NO_SUCH_THING")])])
def test_an_error_that_would_come_again_ends_it(bench: Bench, reply: Reply) -> None:
    server, watch = reconnecting(bench, [reply])
    with pytest.raises(NoSuchThingError) as caught:
        watch.next()
    assert (caught.value.operation, caught.value.status) == ("things.changes", 404)
    assert caught.value.request_id == "req-of-server"
    assert watch.next() is None
    assert len(server.seen) == 2


def test_a_view_that_cannot_be_opened_is_a_call_that_failed(bench: Bench) -> None:
    server = bench.serve(problem(404, "NO_SUCH_THING"))
    with pytest.raises(NoSuchThingError):
        bench.client(server).watch(CHANGES).open()
    assert len(server.seen) == 1


def test_opening_is_repeated_as_often_as_calls_are(bench: Bench) -> None:
    server = bench.serve(problem(503, "BUSY"))
    with pytest.raises(BusyError):
        bench.client(server, retry=RetryPolicy(retries_max=2)).watch(CHANGES).open()
    assert len(server.seen) == 3


def test_opening_ends_in_the_calls_time(bench: Bench) -> None:
    release = threading.Event()
    server = bench.serve(Reply(after=release))
    try:
        with pytest.raises(CallTimeoutError):
            bench.client(server, timeout=0.1).watch(CHANGES).open()
    finally:
        release.set()


def test_the_calls_time_does_not_bound_what_follows(bench: Bench) -> None:
    more = threading.Event()

    def parts() -> Iterator[bytes]:
        yield opened("c0")
        # Longer than the call's time.
        more.wait(0.4)
        yield changed(1, "c1")
        yield HELD

    watch = bench.client(bench.serve(stream(parts())), timeout=0.2).watch(CHANGES)
    assert numbers(watch.take(1)) == [1]
    assert bench.pace.pauses == []


def test_an_answer_that_is_no_stream_is_an_unreadable_answer(bench: Bench) -> None:
    with pytest.raises(UnreadableAnswerError, match="no stream"):
        bench.client(bench.serve(ok())).watch(CHANGES).open()


@pytest.mark.parametrize(
    "part",
    [
        frame("Changed", {"event": "Changed", "data": {"number": "one"}}, "c1"),
        frame("Other", {"event": "Other", "data": {}}, "c1"),
        b"data: {\n\n",
        b"event: error\ndata: 1\n\n",
    ],
)
def test_an_event_of_another_form_is_an_unreadable_answer(bench: Bench, part: bytes) -> None:
    watch = bench.client(bench.serve(stream([opened("c0"), part, HELD]))).watch(CHANGES)
    with pytest.raises(UnreadableAnswerError):
        watch.next()
    assert watch.next() is None


def test_a_silent_connection_is_a_lost_one(bench: Bench) -> None:
    def answer(_seen: Seen, before: int) -> Reply:
        return stream([opened("c0"), *([changed(1, "c1")] if before else []), HELD])

    server = bench.serve(answer)
    watch = bench.client(server, reconnect=ReconnectPolicy(silence_max=0.1)).watch(CHANGES)
    assert numbers(watch.take(1)) == [1]
    assert len(server.seen) == 2
    assert server.left.acquire(timeout=30)


class Tokens:
    """Logs in, refreshes, and answers calls by the number of the token."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.given = 0

    def __call__(self, seen: Seen, _before: int) -> Reply:
        if seen.target in ("/login", "/refresh"):
            self.given += 1
            return ok({"access_token": f"a{self.given}", "refresh_token": f"r{self.given}"})
        assert seen.headers["authorization"] == f"Bearer a{self.given}"
        return self.replies.pop(0)


def test_a_token_that_expires_under_way_is_refreshed_and_nothing_lost(bench: Bench) -> None:
    server = bench.serve(
        Tokens(
            stream([opened("c0"), changed(1, "c1"), error(401, "TOKEN_EXPIRED")]),
            stream([opened("c1"), changed(2, "c2")], cut=True),
            problem(401, "TOKEN_EXPIRED"),
            stream([opened("c2"), changed(3, "c3"), HELD]),
        )
    )
    watch = bench.client(server, credentials=Password("alice", "secret")).watch(CHANGES)
    assert numbers(watch.take(3)) == [1, 2, 3]
    calls = ["/login", "/changes", "/refresh", "/changes", "/changes", "/refresh", "/changes"]
    assert server.targets() == calls


def test_an_expired_token_without_a_password_is_the_callers(bench: Bench) -> None:
    replies = [stream([opened("c0"), error(401, "TOKEN_EXPIRED")]), problem(401, "TOKEN_EXPIRED")]
    server = bench.serve(lambda _seen, before: replies[before])
    with pytest.raises(TokenExpiredError):
        bench.client(server, credentials=Bearer("t")).watch(CHANGES).next()


def held(bench: Bench) -> tuple[Server, Face]:
    server = bench.serve(stream([opened("c0"), changed(1, "c1"), changed(2, "c2"), HELD]))
    return server, bench.client(server)


def test_closing_ends_the_connection_and_the_items(bench: Bench) -> None:
    server, client = held(bench)
    watch = client.watch(CHANGES)
    watch.take(1)
    watch.close()
    assert server.left.acquire(timeout=30)
    assert watch.next() is None
    assert watch.cursor == "c1"
    watch.close()
    assert len(server.seen) == 1


def test_leaving_a_loop_ends_the_connection(bench: Bench) -> None:
    server, client = held(bench)
    client.watch(CHANGES).break_after(1)
    assert server.left.acquire(timeout=30)


def test_a_resting_consumer_holds_the_server_back(bench: Bench) -> None:
    sent = 0
    big = frame("Changed", {"event": "Changed", "data": {"number": 1, "note": "x" * 100_000}}, "c1")

    def parts() -> Iterator[bytes]:
        nonlocal sent
        yield opened("c0")
        while sent < 10_000:
            sent += 1
            yield big

    server = bench.serve(stream(parts()))
    watch = bench.client(server).watch(CHANGES)
    watch.take(1)
    assert server.stalled.acquire(timeout=30)
    assert sent < 1_000


def test_another_thread_ends_the_wait_for_an_item() -> None:
    server = Server(lambda _seen, _before: stream([opened("c0"), changed(1, "c1"), HELD]))
    try:
        with SyncClient(server.url, transport=HttpTransport(trust_env=False)) as client:
            items = Subscription(client._caller, CHANGES, {})
            reading = threading.Event()
            taken: list[Item[Changed]] = []

            def consume() -> None:
                for item in items:
                    taken.append(item)
                    reading.set()

            consumer = threading.Thread(target=consume)
            consumer.start()
            assert reading.wait(30)
            items.close()
            consumer.join(30)
            assert not consumer.is_alive()
        assert numbers(taken) == [1]
        assert server.left.acquire(timeout=30)
        assert len(server.seen) == 1
    finally:
        server.close()


def test_another_thread_ends_a_pause() -> None:
    lost = stream([opened("c0")])
    server = Server(lambda _seen, before: problem(503, "BUSY", retry_after=600) if before else lost)
    try:
        with SyncClient(server.url, transport=HttpTransport(trust_env=False)) as client:
            items = Subscription(client._caller, CHANGES, {})
            consumer = threading.Thread(target=lambda: list(items))
            consumer.start()
            assert server.came.acquire(timeout=30)
            assert server.came.acquire(timeout=30)
            items.close()
            consumer.join(30)
            assert not consumer.is_alive()
    finally:
        server.close()


async def together(server: Server, script: Any) -> Any:
    transport = AsyncHttpTransport(trust_env=False)
    async with AsyncioClient(server.url, transport=transport) as client:
        async with AsyncSubscription(client._caller, CHANGES, {}) as items:
            return await script(items)


def test_another_task_ends_the_wait_for_an_item() -> None:
    server = Server(lambda _seen, _before: stream([opened("c0"), HELD]))

    async def script(items: AsyncSubscription[Changed]) -> list[Item[Changed]]:
        async def consume() -> list[Item[Changed]]:
            return [item async for item in items]

        consumer = asyncio.create_task(consume())
        await asyncio.sleep(0)
        await items.close()
        return await consumer

    try:
        assert asyncio.run(together(server, script)) == []
        assert server.left.acquire(timeout=30)
    finally:
        server.close()


def test_a_wait_that_is_cancelled_loses_no_item() -> None:
    more = threading.Event()

    def parts() -> Iterator[bytes]:
        yield opened("c0")
        more.wait(30)
        yield changed(1, "c1")
        yield changed(2, "c2")
        yield HELD

    server = Server(lambda _seen, _before: stream(parts()))

    async def script(items: AsyncSubscription[Changed]) -> list[Item[Changed]]:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(items), 0.01)
        more.set()
        return [await anext(items), await anext(items)]

    try:
        assert numbers(asyncio.run(together(server, script))) == [1, 2]
        assert len(server.seen) == 1
    finally:
        more.set()
        server.close()


def test_a_policy_of_no_sense_is_refused() -> None:
    for policy in ({"pause_first": -1}, {"attempts_max": -1}, {"silence_max": 0}):
        with pytest.raises(ValueError, match="give"):
            ReconnectPolicy(**policy)


def test_without_reconnecting_the_loss_is_told(bench: Bench) -> None:
    server = bench.serve(stream([opened("c0")], cut=True))
    watch = bench.client(server, reconnect=ReconnectPolicy.never()).watch(CHANGES)
    with pytest.raises(ConnectionFailedError):
        watch.next()
    assert not issubclass(ConnectionFailedError, ApiError)
    assert len(server.seen) == 1
