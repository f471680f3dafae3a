"""What a subscription hands out: events, and what is told beside them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeAlias, TypeVar, Union

import msgspec
from msgspec import UNSET, UnsetType

from ..generated.types.core import StreamControl, StreamControlKind
from .eventstream import Message
from .operation import View
from .scalars import Cursor, decode_hook

Data = TypeVar("Data")


@dataclass(frozen=True, slots=True)
class Event(Generic[Data]):
    """Something happened."""

    #: Name of the event, which is the name of the data's type in the contract.
    event: str
    data: Data
    #: When it happened, in UTC.
    timestamp: dt.datetime
    #: Goes on behind this event; ``None`` in telemetry and among the rows of a snapshot.
    cursor: Cursor | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """What is told beside the events, such as a gap in them."""

    control: StreamControl
    #: When it was told, in UTC.
    timestamp: dt.datetime
    #: Goes on behind this item; ``None`` in telemetry.
    cursor: Cursor | None = None

    @property
    def is_bookmark(self) -> bool:
        """Whether it says nothing but that the cursor moved."""
        return self.control.kind is StreamControlKind.BOOKMARK


Item: TypeAlias = Event[Data] | Control



class _Frame(msgspec.Struct):
    timestamp: dt.datetime
    event: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")
    control: StreamControl | None = None
    cursor: Cursor | None = None


_FRAME = msgspec.json.Decoder(_Frame, dec_hook=decode_hook)


class Reader(Generic[Data]):
    """Reads the items of one view."""

    def __init__(self, view: View[Data], arguments: Mapping[str, object]) -> None:
        chosen = isinstance(arguments.get("fields"), (list, tuple))
        self._decoders: dict[str, msgspec.json.Decoder[Data]] = {
            name: msgspec.json.Decoder(_partial(kind) if chosen else kind, dec_hook=decode_hook)
            for name, kind in view.events.items()
        }

    def read(self, message: Message) -> Item[Data]:
        """The item that a message with data is. Raises a ``ValueError`` when it has no form of the contract."""
        frame = _FRAME.decode(message.data or "")
        if frame.control is not None:
            return Control(frame.control, frame.timestamp, frame.cursor)
        decoder = self._decoders.get(frame.event or "")
        if frame.event is None or decoder is None:
            raise ValueError(f"the view has no event {frame.event!r}")
        return Event(frame.event, decoder.decode(frame.data), frame.timestamp, frame.cursor)


def unknown_loss() -> Control:
    """Says that nobody knows what happened while there was no connection."""
    return Control(StreamControl(kind=StreamControlKind.GAP), dt.datetime.now(dt.UTC))


@lru_cache(maxsize=None)
def _partial(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The class with every field optional: a caller that chose fields is sent no others."""
    config = kind.__struct_config__
    fields: list[tuple[str, Any, Any]] = [
        (field.name, Union[field.type, UnsetType], msgspec.field(default=UNSET, name=field.encode_name))
        for field in msgspec.structs.fields(kind)
    ]
    return msgspec.defstruct(
        kind.__name__,
        fields,
        bases=(kind,),
        module=kind.__module__,
        kw_only=True,
        frozen=True,
        tag_field=config.tag_field,
        tag=config.tag,
    )
