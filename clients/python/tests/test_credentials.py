"""Who the client says it is."""

from __future__ import annotations

import asyncio
import threading

import pytest
from rustydb import ApiKey, AsyncHttpTransport, Bearer, Password, RetryPolicy, RustyDBError
from rustydb.errors import UnreadableAnswerError
from support import (
    PUBLIC,
    READ,
    Answer,
    AsyncioClient,
    Bench,
    Reply,
    Seen,
    Server,
    TokenExpiredError,
    ok,
    problem,
)

EXPIRED = problem(401, "TOKEN_EXPIRED")
ALICE = Password("alice", "secret")


class Tokens:
    """Gives out numbered tokens; only the newest is good, and the first is expired from the beginning."""

    def __init__(self, *, refresh: Reply | None = None, usable_from: int = 2) -> None:
        self.given = 0
        self._refresh = refresh
        self._usable_from = usable_from
        self._lock = threading.Lock()

    def __call__(self, seen: Seen, _before: int) -> Reply:
        with self._lock:
            if seen.target == "/refresh" and self._refresh is not None:
                return self._refresh
            if seen.target in ("/login", "/refresh"):
                self.given += 1
                return ok({"access_token": f"a{self.given}", "refresh_token": f"r{self.given}", "new": 1})
            good = self.given >= self._usable_from
            return ok() if good and seen.headers.get("authorization") == f"Bearer a{self.given}" else EXPIRED


def count(server: Server, target: str) -> int:
    return server.targets().count(target)


def test_a_token_and_an_api_key_are_sent_as_they_are(bench: Bench) -> None:
    server = bench.serve(ok())
    client = bench.client(server, credentials=Bearer("t"))
    client.call(READ)
    client.credentials(ApiKey("k")).call(READ)
    client.credentials(None).call(READ)
    sent = [(seen.headers.get("authorization"), seen.headers.get("x-api-key")) for seen in server.seen]
    assert sent == [("Bearer t", None), (None, "k"), (None, None)]


def test_a_password_logs_in_once_and_refreshes_once_for_many_callers(bench: Bench) -> None:
    server = bench.serve(Tokens())
    outcomes = bench.client(server, credentials=ALICE).many(READ, 8)
    assert outcomes == [None] * 8
    assert (count(server, "/login"), count(server, "/refresh")) == (1, 1)
    login = next(seen for seen in server.seen if seen.target == "/login")
    assert login.json == {"username": "alice", "password": "secret"}
    assert "authorization" not in login.headers


def test_a_refresh_that_is_refused_leads_to_one_new_login(bench: Bench) -> None:
    server = bench.serve(Tokens(refresh=problem(401, "UNAUTHENTICATED")))
    outcomes = bench.client(server, credentials=ALICE).many(READ, 8)
    assert outcomes == [None] * 8
    assert (count(server, "/login"), count(server, "/refresh")) == (2, 1)


def test_a_refresh_whose_answer_was_lost_keeps_the_session_for_the_next_call(bench: Bench) -> None:
    tokens = Tokens()
    lost = threading.Event()

    def answer(seen: Seen, before: int) -> Reply:
        if seen.target == "/refresh" and not lost.is_set():
            lost.set()
            return Reply(dropped=True)
        return tokens(seen, before)

    server = bench.serve(answer)
    client = bench.client(server, credentials=ALICE, retry=RetryPolicy.never())
    with pytest.raises(RustyDBError):
        client.call(READ)
    client.call(READ)
    refreshes = [seen.json for seen in server.seen if seen.target == "/refresh"]
    assert refreshes == [{"refresh_token": "r1"}] * 2
    assert count(server, "/login") == 1


def test_a_token_that_stays_expired_is_told_after_one_refresh(bench: Bench) -> None:
    server = bench.serve(Tokens(usable_from=99))
    with pytest.raises(TokenExpiredError):
        bench.client(server, credentials=ALICE).call(READ)
    assert server.targets() == ["/login", "/things", "/refresh", "/things"]


def test_an_expired_token_without_a_password_is_the_callers(bench: Bench) -> None:
    server = bench.serve(EXPIRED)
    with pytest.raises(TokenExpiredError):
        bench.client(server, credentials=Bearer("t")).call(READ)
    assert len(server.seen) == 1


def test_a_function_that_gives_another_token_is_asked_again(bench: Bench) -> None:
    server = bench.serve(
        lambda seen, _before: EXPIRED if seen.headers["authorization"] == "Bearer old" else ok()
    )
    texts = iter(["old", "new", "new"])
    bench.client(server, credentials=Bearer(lambda: next(texts))).call(READ)
    assert len(server.seen) == 2


def test_a_wrong_password_is_told_and_tried_anew_by_the_next_call(bench: Bench) -> None:
    server = bench.serve(problem(401, "UNAUTHENTICATED"))
    client = bench.client(server, credentials=ALICE)
    for expected in (1, 2):
        with pytest.raises(RustyDBError) as caught:
            client.call(READ)
        assert (caught.value.code, caught.value.operation) == ("UNAUTHENTICATED", "auth.login")
        assert server.targets() == ["/login"] * expected


def test_a_wrong_password_is_tried_once_for_many_callers() -> None:
    """Asynchronous, where it is certain that all wait for the first."""
    server = Server(lambda _seen, _before: problem(401, "UNAUTHENTICATED"))

    async def together() -> list[BaseException | None]:
        transport = AsyncHttpTransport(trust_env=False)
        async with AsyncioClient(server.url, transport=transport, credentials=ALICE) as client:
            calls = [client._caller.call(READ, {}) for _ in range(8)]
            return await asyncio.gather(*calls, return_exceptions=True)

    try:
        outcomes = asyncio.run(together())
        assert all(isinstance(outcome, RustyDBError) for outcome in outcomes)
        assert server.targets() == ["/login"]
    finally:
        server.close()


def test_a_public_operation_causes_no_login(bench: Bench) -> None:
    server = bench.serve(ok())
    bench.client(server, credentials=ALICE).call(PUBLIC)
    assert server.targets() == ["/public"]


def test_an_answer_of_the_login_without_tokens_is_an_unreadable_answer(bench: Bench) -> None:
    server = bench.serve(ok())
    with pytest.raises(UnreadableAnswerError):
        bench.client(server, credentials=ALICE).call(READ)


def test_one_callers_cancellation_leaves_the_login_to_the_others() -> None:
    release = threading.Event()
    answer_tokens: Answer = Tokens(usable_from=1)

    def answer(seen: Seen, before: int) -> Reply:
        return Reply(after=release) if before == 0 else answer_tokens(seen, before)

    server = Server(answer)

    async def race() -> tuple[bool, None]:
        transport = AsyncHttpTransport(trust_env=False)
        async with AsyncioClient(server.url, transport=transport, credentials=ALICE) as client:
            first = asyncio.create_task(client._caller.call(READ, {}))
            await asyncio.to_thread(server.came.acquire)
            second = asyncio.create_task(client._caller.call(READ, {}))
            await asyncio.sleep(0)
            first.cancel()
            await second
            return first.cancelled(), second.result()

    try:
        assert asyncio.run(race()) == (True, None)
        assert server.targets() == ["/login", "/login", "/things"]
    finally:
        release.set()
        server.close()


def test_credentials_do_not_show_their_secret() -> None:
    shown = repr([Bearer("hidden"), ApiKey("hidden"), Password("alice", "hidden")])
    assert "hidden" not in shown
    assert "alice" in shown
