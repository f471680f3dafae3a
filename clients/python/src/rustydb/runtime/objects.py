"""What the generated types are made of."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import msgspec
from msgspec import UNSET


class Object(msgspec.Struct, frozen=True):
    """An object of the contract. Absent fields are ``UNSET``, null is ``None``; secrets do not show in ``repr``."""

    SENSITIVE: ClassVar[frozenset[str]] = frozenset()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        given = [(name, getattr(self, name)) for name in self.__struct_fields__]
        return [
            (name, "***" if name in self.SENSITIVE else value)
            for name, value in given
            if value is not UNSET
        ]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({fields})"


class OpenEnum(enum.StrEnum):
    """An enumeration that a newer server may have more values of.

    Reading an unknown value gives a member that is equal to its text and in no iteration over the class; it is
    refused where it would be sent.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = value
        member._value_ = value
        return member

    @property
    def is_known(self) -> bool:
        """Whether this version of the client knows the value."""
        return self._value_ in type(self)._value2member_map_


def refuse_unknown_values(name: str, value: object) -> None:
    """Raises a ``ValueError`` that names the first unknown value of an enumeration within ``value``."""
    if isinstance(value, OpenEnum):
        if not value.is_known:
            known = ", ".join(member.value for member in type(value))
            raise ValueError(f"`{name}` is {value.value!r}, no {type(value).__name__}: give one of {known}")
    elif isinstance(value, msgspec.Struct):
        for field in value.__struct_fields__:
            refuse_unknown_values(f"{name}.{field}", getattr(value, field))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            refuse_unknown_values(f"{name}.{key}", item)
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        for index, item in enumerate(value):
            refuse_unknown_values(f"{name}.{index}", item)
