"""Which calls are sent again, how often and after how long."""

from __future__ import annotations

import pytest
from rustydb import RetryPolicy, RustyDBError
from rustydb.errors import ApiError, ConnectionFailedError
from support import READ, WRITE, Answer, Bench, BusyError, Reply, WriteConflictError, ok, problem

BUSY = problem(503, "BUSY")


def failing(failures: int, reply: Reply) -> Answer:
    return lambda _seen, before: reply if before < failures else ok()


def test_an_error_that_is_safe_to_retry_is_retried_for_any_operation(bench: Bench) -> None:
    server = bench.serve(failing(2, BUSY))
    client = bench.client(server)
    client.call(WRITE, value=1)
    assert len(server.seen) == 3
    assert {seen.body for seen in server.seen} == {b'{"value":1}'}


def test_the_request_id_is_kept_over_retries(bench: Bench) -> None:
    server = bench.serve(failing(2, BUSY))
    bench.client(server).call(WRITE, value=1)
    assert len({seen.headers["x-request-id"] for seen in server.seen}) == 1


def test_pauses_double_with_full_jitter_and_end(bench: Bench) -> None:
    server = bench.serve(BUSY)
    policy = RetryPolicy(retries_max=5, pause_first=0.1, pause_max=0.5)
    with pytest.raises(BusyError):
        bench.client(server, retry=policy, chance=0.5).call(WRITE, value=1)
    assert bench.pace.pauses == pytest.approx([0.05, 0.1, 0.2, 0.25, 0.25])


def test_three_retries_unless_said(bench: Bench) -> None:
    server = bench.serve(BUSY)
    with pytest.raises(BusyError):
        bench.client(server).call(READ)
    assert len(server.seen) == 4


def test_retry_after_is_honoured_from_the_body_or_the_header(bench: Bench) -> None:
    in_body = problem(503, "BUSY", retry_after=1.5)
    in_header = Reply(503, BUSY.body, {"Retry-After": "2"})
    server = bench.serve(lambda _seen, before: [in_body, in_header, ok()][before])
    bench.client(server).call(WRITE, value=1)
    assert bench.pace.pauses == [1.5, 2.0]


def test_a_server_that_asks_for_more_than_the_policy_waits_is_answered_at_once(bench: Bench) -> None:
    server = bench.serve(problem(503, "BUSY", retry_after=60))
    with pytest.raises(BusyError) as caught:
        bench.client(server).call(READ)
    assert (caught.value.retry_after, bench.pace.pauses) == (60, [])


def test_a_pause_beyond_the_timeout_is_not_begun(bench: Bench) -> None:
    server = bench.serve(problem(503, "BUSY", retry_after=9))
    with pytest.raises(BusyError):
        bench.client(server, timeout=5).call(READ)
    assert bench.pace.pauses == []


def test_an_error_that_would_come_again_is_not_retried(bench: Bench) -> None:
    server = bench.serve(problem(404, "NO_SUCH_THING"))
    with pytest.raises(ApiError):
        bench.client(server).call(READ)
    assert len(server.seen) == 1


def test_a_transaction_is_never_retried_by_one_of_its_calls(bench: Bench) -> None:
    server = bench.serve(problem(409, "WRITE_CONFLICT"))
    with pytest.raises(WriteConflictError):
        bench.client(server).call(READ)
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_error_is_retried_only_where_the_contract_allows(bench: Bench, status: int) -> None:
    server = bench.serve(Reply(status, b"<html>"))
    client = bench.client(server)
    with pytest.raises(ApiError):
        client.call(READ)
    assert len(server.seen) == 4
    with pytest.raises(ApiError):
        client.call(WRITE, value=1)
    assert len(server.seen) == 5


def test_a_lost_connection_is_retried_only_where_the_contract_allows(bench: Bench) -> None:
    server = bench.serve(Reply(dropped=True))
    client = bench.client(server)
    with pytest.raises(ConnectionFailedError):
        client.call(READ)
    assert len(server.seen) == 4
    with pytest.raises(ConnectionFailedError):
        client.call(WRITE, value=1)
    assert len(server.seen) == 5


def test_retries_can_be_turned_off_for_one_call(bench: Bench) -> None:
    server = bench.serve(BUSY)
    client = bench.client(server)
    with pytest.raises(RustyDBError):
        client.options(retry=RetryPolicy.never()).call(READ)
    assert len(server.seen) == 1
