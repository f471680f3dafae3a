"""Scalars of the contract that Python has no type for, and how Python's own values travel.

Moments, days, decimals, UUIDs and bytes are ``datetime``, ``date``, ``Decimal``, ``UUID`` and ``bytes``. A 64-bit id
is an :class:`Id64`: an ``int`` here, decimal text on the wire, because JSON numbers end at 53 bits elsewhere.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NewType, TypeAlias

ID64_MAX = 2**64 - 1


class Id64(int):
    """An unsigned 64-bit integer, decimal text on the wire. ``Id64(5)`` and ``Id64("5")`` are the same."""

    __slots__ = ()

    def __new__(cls, value: int | str) -> Id64:
        if isinstance(value, str) and not (value.isascii() and value.isdigit()):
            raise ValueError(f"{value!r} is no 64-bit id: give decimal digits or an int")
        made = super().__new__(cls, value)
        if not 0 <= made <= ID64_MAX:
            raise ValueError(f"{value!r} is no 64-bit id: give an integer from 0 to {ID64_MAX}")
        return made


#: A position in the write-ahead log, ``hi/lo`` in hex.
Lsn = NewType("Lsn", str)

#: Opaque text that a paged answer gave.
Cursor = NewType("Cursor", str)

#: Any JSON value: ``None``, ``bool``, ``int``, ``float``, ``str``, or a list or dict of those.
Json: TypeAlias = Any


def timestamp_text(moment: dt.datetime) -> str:
    """RFC 3339 with microseconds: UTC and ``Z``, or no zone for a value that has none."""
    if moment.tzinfo is None:
        return moment.isoformat(timespec="microseconds")
    return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def decimal_text(number: Decimal) -> str:
    """Plain digits with the number's scale, never an exponent."""
    if not number.is_finite():
        raise ValueError(f"{number} is no decimal number: give a finite one")
    return format(number, "f")


def decode_hook(kind: type, value: object) -> object:
    """What msgspec asks about types it does not know, on reading."""
    if kind is Id64 and isinstance(value, str):
        return Id64(value)
    raise ValueError(f"expected {kind.__name__}, found {value!r}")


def encode_hook(value: object) -> object:
    """What msgspec asks about values it does not know, on writing."""
    if isinstance(value, Id64):
        return str(int(value))
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"a value of type {type(value).__name__} has no JSON form")
