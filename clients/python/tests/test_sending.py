"""What a request carries."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from uuid import UUID

import pytest
from msgspec import UNSET
from rustydb import Bearer, Id64, RetryPolicy
from rustydb.errors import ApiError, ConfigurationError, UnsendableInputError
from support import ANY, GET, READ, TOUCH, WRITE, Bench, Colour, Reply, SyncClient, Thing, ok

THING = {"id": "7", "colour": "red"}


def test_a_query_carries_its_input_in_path_and_query_and_has_no_body(bench: Bench) -> None:
    server = bench.serve(ok(THING))
    bench.client(server).call(GET, id=Id64(7), flag=True)
    [seen] = server.seen
    assert (seen.method, seen.target, seen.body) == ("GET", "/things/7?flag=true", b"")
    assert "content-type" not in seen.headers


def test_path_and_query_values_are_percent_encoded(bench: Bench) -> None:
    server = bench.serve(ok(THING))
    bench.client(server).call(GET, id="a/b ?é%", flag="x&y=z+ü")
    assert server.targets() == ["/things/a%2Fb%20%3F%C3%A9%25?flag=x%26y%3Dz%2B%C3%BC"]


def test_booleans_and_numbers_are_text_arrays_are_repeated_and_json_stays_json(bench: Bench) -> None:
    server = bench.serve(ok(THING))
    bench.client(server).call(
        GET, id="1", flag=False, count=12, tags=["a", Colour.DARK_GREEN], filter={"x": [1, None]}
    )
    assert server.targets() == [
        "/things/1?flag=false&count=12&tags=a&tags=dark_green&filter=%7B%22x%22%3A%5B1%2Cnull%5D%7D"
    ]


def test_absent_null_and_value_stay_distinct_in_the_body(bench: Bench) -> None:
    server = bench.serve(ok())
    client = bench.client(server)
    things = [
        Thing(id=Id64(1), colour=Colour.RED),
        Thing(id=Id64(1), colour=Colour.RED, note=None),
        Thing(id=Id64(1), colour=Colour.RED, note="x"),
    ]
    client.call(WRITE, value=things)
    client.call(WRITE, value=None)
    client.call(WRITE, value=UNSET)
    base = {"id": "1", "colour": "red"}
    assert [seen.json for seen in server.seen] == [
        {"value": [base, {**base, "note": None}, {**base, "note": "x"}]},
        {"value": None},
        {},
    ]


def test_values_of_python_travel_as_the_contract_has_them(bench: Bench) -> None:
    server = bench.serve(ok())
    east = dt.timezone(dt.timedelta(hours=2))
    row = {
        "id": Id64(2**64 - 1),
        "at": dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=east),
        "local": dt.datetime(2026, 1, 2, 3, 4, 5, 7),
        "day": dt.date(2026, 1, 2),
        "price": Decimal("1E+3"),
        "code": UUID(int=1),
        "blob": b"\x00\xff",
    }
    bench.client(server).call(WRITE, value=row)
    assert server.seen[0].json["value"] == {
        "id": "18446744073709551615",
        "at": "2026-01-02T01:04:05.000000Z",
        "local": "2026-01-02T03:04:05.000007",
        "day": "2026-01-02",
        "price": "1000",
        "code": "00000000-0000-0000-0000-000000000001",
        "blob": "AP8=",
    }


@pytest.mark.parametrize("text", ["", ".", ".."])
def test_a_path_value_that_would_change_the_route_is_refused(bench: Bench, text: str) -> None:
    server = bench.serve(ok(THING))
    with pytest.raises(UnsendableInputError, match="`id`"):
        bench.client(server).call(GET, id=text)
    assert server.seen == []


@pytest.mark.parametrize(
    "value",
    [float("nan"), [float("inf")], Decimal("NaN"), object(), "\ud800"],
    ids=["nan", "infinity", "decimal-nan", "object", "surrogate"],
)
def test_what_json_has_no_form_for_is_refused_instead_of_becoming_null(
    bench: Bench, value: object
) -> None:
    server = bench.serve(ok())
    with pytest.raises(UnsendableInputError):
        bench.client(server).call(WRITE, value=value)
    assert server.seen == []


def test_a_command_carries_a_json_body_and_none_without_body_inputs(bench: Bench) -> None:
    server = bench.serve(ok())
    client = bench.client(server)
    client.call(WRITE, value="é")
    client.call(TOUCH)
    assert [(seen.headers.get("content-type"), seen.body) for seen in server.seen] == [
        ("application/json", '{"value":"é"}'.encode()),
        (None, b""),
    ]


def test_an_empty_204_is_an_empty_object(bench: Bench) -> None:
    server = bench.serve(Reply(204, b""))
    assert bench.client(server).call(ANY) == {}


def test_every_call_has_a_request_id_of_its_own_or_the_given_one(bench: Bench) -> None:
    server = bench.serve(ok())
    client = bench.client(server)
    client.call(READ)
    client.call(READ)
    client.options(request_id="mine").call(READ)
    first, second, third = [seen.headers["x-request-id"] for seen in server.seen]
    assert first != second
    assert str(UUID(first)) == first
    assert third == "mine"


def test_a_path_before_the_routes_is_kept(bench: Bench) -> None:
    server = bench.serve(ok())
    bench.client(server.url + "/db/").call(READ)
    assert server.targets() == ["/db/things"]
    assert server.seen[0].headers["user-agent"] == "rustydb-python/1.2.3"


def test_a_redirect_is_not_followed_credentials_stay_with_their_server(bench: Bench) -> None:
    other = bench.serve(ok())
    server = bench.serve(Reply(307, b"", {"Location": other.url}))
    with pytest.raises(ApiError) as caught:
        bench.client(server, credentials=Bearer("t")).call(READ)
    assert caught.value.code == "HTTP_307"
    assert other.seen == []


@pytest.mark.parametrize(
    "url", ["", "localhost:8080", "ftp://host", "http://", "http://h:99999", "http://u:p@h", "http://h?x=1"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="no address"):
        SyncClient(url)


def test_options_outside_of_their_range_are_refused() -> None:
    for timeout in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigurationError):
            SyncClient("http://127.0.0.1:1", timeout=timeout)
    with pytest.raises(ConfigurationError):
        RetryPolicy(retries_max=-1)
