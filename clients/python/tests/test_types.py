"""Values of the contract in Python."""

from __future__ import annotations

import json

import msgspec
import pytest
from generated.dispatch import OPERATIONS
from rustydb import UNSET, Id64, types
from rustydb.errors import UnsendableInputError
from rustydb.runtime.objects import Object
from rustydb.runtime.scalars import decode_hook
from support import ANY, GET, WRITE, Bench, Colour, Reply, Thing, ok


def thing(bench: Bench, wire: object) -> Thing:
    return bench.client(bench.serve(ok(wire))).call(GET, id="1")


def test_absent_null_and_value_stay_distinct_in_answers(bench: Bench) -> None:
    base = {"id": "7", "colour": "red"}
    assert thing(bench, base).note is UNSET
    assert thing(bench, {**base, "note": None}).note is None
    assert thing(bench, {**base, "note": "x"}).note == "x"


def test_unknown_fields_of_answers_are_ignored(bench: Bench) -> None:
    assert thing(bench, {"id": "7", "colour": "red", "brand_new": [1]}).id == 7


@pytest.mark.parametrize("number", [0, 2**53 + 1, 2**64 - 1])
def test_ids_keep_all_64_bits(bench: Bench, number: int) -> None:
    read = thing(bench, {"id": str(number), "colour": "red"})
    assert (type(read.id), read.id) == (Id64, number)
    server = bench.serve(ok())
    bench.client(server).call(WRITE, value=read)
    assert server.seen[0].json["value"]["id"] == str(number)


@pytest.mark.parametrize("text", ["-1", str(2**64), "", " 1", "1.0", "²", "0x1"])
def test_text_that_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="64-bit id"):
        Id64(text)


def test_enumerations_are_open_in_answers_and_closed_in_inputs(bench: Bench) -> None:
    read = thing(bench, {"id": "7", "colour": "ultraviolet"})
    assert read.colour == "ultraviolet"
    assert not read.colour.is_known
    assert read.colour not in list(Colour)
    server = bench.serve(ok())
    client = bench.client(server)
    with pytest.raises(UnsendableInputError, match="give one of red, dark_green"):
        client.call(GET, id="1", tags=[read.colour])
    assert server.seen == []
    client.call(WRITE, colour=Colour.DARK_GREEN)
    assert server.seen[0].json == {"colour": "dark_green"}


def test_numbers_of_free_json_are_read_as_they_were_written(bench: Bench) -> None:
    wire = '{"big": 9223372036854775807, "double": 0.1, "text": "1.50", "null": null}'
    read = bench.client(bench.serve(Reply(200, wire.encode()))).call(ANY)
    assert read == json.loads(wire)


def test_secrets_do_not_show() -> None:
    class Login(Object, kw_only=True, frozen=True):
        SENSITIVE = frozenset({"password"})

        username: str
        password: str

    login = Login(username="alice", password="hidden")
    assert repr(login) == "Login(username='alice', password='***')"
    assert "hidden" not in str(login)


def test_every_generated_type_can_be_read_and_written() -> None:
    for name in types.__all__:
        msgspec.json.Decoder(getattr(types, name), dec_hook=decode_hook)
    for entry in OPERATIONS.values():
        msgspec.json.Decoder(entry.input, dec_hook=decode_hook)
    assert len(types.__all__) >= 5
