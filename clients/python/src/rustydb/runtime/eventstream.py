"""Reads ``text/event-stream`` as the HTML standard has it, however the bytes are split.

Pure: bytes go in, messages come out. What the standard says of ``retry`` is left out: how fast a subscription
reconnects is a setting of the client. A block without data gives a message too, since its ``id`` moves the cursor.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from .errors import UnreadableAnswerError

#: Longest message, in characters; the server's frames stay far below.
MESSAGE_CHARS_MAX = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """A block of the stream."""

    event: str
    #: ``None`` in a block that has none, such as a comment.
    data: str | None
    #: The last id that the stream gave, up to and with this block; empty when it gave none.
    id: str


class Parser:
    """Reads one answer's stream."""

    def __init__(self) -> None:
        # Takes away one byte order mark at the beginning; what is no UTF-8 becomes U+FFFD.
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._line: list[str] = []
        self._after_cr = False
        self._size = 0
        self._event = ""
        self._data: list[str] = []
        self._id = ""

    def feed(self, chunk: bytes) -> list[Message]:
        """The messages that are complete with ``chunk``."""
        text = self._decoder.decode(chunk)
        if self._after_cr and text:
            # The line has ended with the carriage return; this is the rest of its end.
            text = text.removeprefix("\n")
            self._after_cr = False
        if not text:
            return []
        self._after_cr = text.endswith("\r")
        *complete, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        messages: list[Message] = []
        for end in complete:
            self._line.append(end)
            line = "".join(self._line)
            self._line.clear()
            if line:
                self._field(line)
            else:
                messages.append(self._dispatch())
        self._grow(len(rest))
        self._line.append(rest)
        return messages

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._grow(len(value))
                self._data.append(value)
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._id = value

    def _dispatch(self) -> Message:
        data = "\n".join(self._data) if self._data else None
        message = Message(self._event or "message", data, self._id)
        self._event = ""
        self._data.clear()
        self._size = 0
        return message

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > MESSAGE_CHARS_MAX:
            raise UnreadableAnswerError(
                f"a message of the stream is longer than {MESSAGE_CHARS_MAX} characters",
                code="UNREADABLE_ANSWER",
            )
