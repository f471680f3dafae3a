"""Answers that are no success."""

from __future__ import annotations

import json

import pytest
from rustydb import RetryPolicy, RustyDBError, errors
from rustydb.generated.errors import _ERRORS
from rustydb.types import InvalidArgumentDetails
from support import GET, READ, Bench, NoSuchThingError, Reply, ok, problem


def error_of(bench: Bench, reply: Reply) -> RustyDBError:
    server = bench.serve(reply)
    with pytest.raises(RustyDBError) as caught:
        bench.client(server, retry=RetryPolicy.never()).call(READ)
    return caught.value


def test_an_error_of_the_contract_is_typed_with_all_it_carries(bench: Bench) -> None:
    error = error_of(bench, problem(404, "NO_SUCH_THING", retry_after=2, details={"name": "x"}))
    assert type(error) is NoSuchThingError
    assert (error.code, error.status, error.message) == ("NO_SUCH_THING", 404, "NO_SUCH_THING it is")
    assert (error.request_id, error.operation) == ("req-of-server", "things.read")
    assert (error.retry_after, error.details) == (2, {"name": "x"})
    assert "NO_SUCH_THING" in str(error) and "req-of-server" in str(error)


def test_every_code_of_the_contract_becomes_its_own_class() -> None:
    assert "INVALID_ARGUMENT" in _ERRORS
    assert len(set(_ERRORS.values())) == len(_ERRORS)
    for kind in _ERRORS.values():
        assert issubclass(kind, errors.ApiError)
        assert getattr(errors, kind.__name__) is kind


def test_details_have_the_type_the_contract_gives_them() -> None:
    error = errors.InvalidArgumentError("no", code="INVALID_ARGUMENT", details={"field": "a", "new": 1})
    assert error.typed_details == InvalidArgumentDetails(field="a")
    assert errors.InvalidArgumentError("no", code="INVALID_ARGUMENT").typed_details is None
    other = errors.InvalidArgumentError("no", code="INVALID_ARGUMENT", details=["?"])
    assert (other.typed_details, other.details) == (None, ["?"])


def test_an_unknown_code_keeps_everything(bench: Bench) -> None:
    error = error_of(bench, problem(418, "BRAND_NEW", details=[1]))
    assert type(error) is errors.ApiError
    assert (error.code, error.status, error.details, error.retry) == ("BRAND_NEW", 418, [1], "never")
    assert error.request_id == "req-of-server"


@pytest.mark.parametrize("body", [b"<html>busy</html>", b"", b"[]", b'{"error":"text"}', b"\xff"])
def test_a_body_that_is_no_problem_becomes_an_error_too(bench: Bench, body: bytes) -> None:
    error = error_of(bench, Reply(500, body))
    assert type(error) is errors.ApiError
    assert (error.code, error.status) == ("HTTP_500", 500)
    assert error.body == body.decode("utf-8", "replace")


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"id":7,"colour":"red"}', b'{"id":"-1","colour":"red"}'])
def test_a_success_of_another_form_is_an_unreadable_answer(bench: Bench, body: bytes) -> None:
    server = bench.serve(Reply(200, body))
    with pytest.raises(errors.UnreadableAnswerError) as caught:
        bench.client(server).call(GET, id="1")
    assert caught.value.body == body.decode()
    assert len(server.seen) == 1


def test_a_server_that_is_not_there_is_a_connection_error(bench: Bench) -> None:
    server = bench.serve(ok())
    url = server.url
    server.close()
    with pytest.raises(errors.ConnectionFailedError) as caught:
        bench.client(url, retry=RetryPolicy.never()).call(READ)
    assert caught.value.status is None
    assert caught.value.__cause__ is not None


def test_an_answer_that_is_cut_off_is_a_connection_error(bench: Bench) -> None:
    reply = Reply(200, json.dumps({}).encode(), cut=True)
    assert isinstance(error_of(bench, reply), errors.ConnectionFailedError)
