"""The event stream's text, by the HTML standard, however its bytes are split."""

from __future__ import annotations

import pytest
from rustydb.runtime.eventstream import Message, Parser

#: Every rule once: a mark at the beginning, comments, line ends of all kinds, several lines of data, data without a
#: colon, one space after it, unknown fields, an id with NUL, an id alone, characters of several bytes.
STREAM = (
    "\ufeff: subscribed to a view\nid: 1\n\n"
    "event: A\r\ndata: one\r\ndata:  two\r\ndata\r\n\r\n"
    "data:ü€😀\rid: 2\r\r"
    "retry: 5\nunknown: x\nfield without colon\n:\n\n"
    "id: 3\0\nevent: A\ndata: three\u2028\n\n"
    "id\ndata: four\n\n"
    "data: never ended"
).encode()

MESSAGES = [
    Message("message", None, "1"),
    Message("A", "one\n two\n", "1"),
    Message("message", "ü€😀", "2"),
    Message("message", None, "2"),
    Message("A", "three\u2028", "2"),
    Message("message", "four", ""),
]


def parse(chunks: list[bytes]) -> list[Message]:
    parser = Parser()
    return [message for chunk in chunks for message in parser.feed(chunk)]


def test_a_stream_is_read_as_the_standard_has_it() -> None:
    assert parse([STREAM]) == MESSAGES


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
def test_chunks_of_any_size_give_the_same_messages(size: int) -> None:
    assert parse([STREAM[at : at + size] for at in range(0, len(STREAM), size)]) == MESSAGES


def test_a_split_anywhere_gives_the_same_messages() -> None:
    for at in range(len(STREAM)):
        assert parse([STREAM[:at], STREAM[at:]]) == MESSAGES


def test_a_carriage_return_ends_its_line_before_the_next_byte_is_there() -> None:
    assert Parser().feed(b"data: a\r\r") == [Message("message", "a", "")]


def test_a_mark_is_taken_away_only_at_the_beginning() -> None:
    assert parse(["\ufeffdata: a\n\n\ufeffdata: b\n\n".encode()]) == [
        Message("message", "a", ""),
        Message("message", None, ""),
    ]


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert parse([b"data: \xff\n\n"]) == [Message("message", "\ufffd", "")]
