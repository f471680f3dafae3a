"""What the runtime must know of an operation to call it; the generator writes one per operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UnsetType

from .errors import ApiError
from .scalars import Cursor, decode_hook

Output = TypeVar("Output")
Item = TypeVar("Item")
Data = TypeVar("Data")

#: How a query parameter is written: as text, one parameter per item, or one that holds JSON text.
QueryForm: TypeAlias = Literal["text", "list", "json"]


@dataclass(frozen=True)
class Operation(Generic[Output]):
    """An operation that answers ``Output``."""

    #: ``module.operation``.
    id: str
    method: str
    #: With ``{parameters}``, which are arguments of those names.
    path: str
    #: Type of the answer; ``None`` when it says nothing.
    output: Any
    #: Arguments the query carries.
    query: Mapping[str, QueryForm] = field(default_factory=dict)
    #: Arguments the body carries; without any, no body is sent.
    body: tuple[str, ...] = ()
    #: Arguments that hold enumerations, whose values are checked before sending.
    closed: tuple[str, ...] = ()
    #: May be sent again when an answer was lost.
    retry_safe: bool = False
    #: Needs no credentials.
    public: bool = False

    @cached_property
    def decoder(self) -> msgspec.json.Decoder[Output]:
        """Made once: it compiles the type."""
        return msgspec.json.Decoder(self.output, dec_hook=decode_hook)


@dataclass(frozen=True)
class PagedOperation(Operation[Output], Generic[Output, Item]):
    """An operation that answers a page of ``Item``."""

    items: Callable[[Output], Sequence[Item] | None | UnsetType] = field(kw_only=True)
    next: Callable[[Output], Cursor | None | UnsetType] = field(kw_only=True)


@dataclass(frozen=True)
class View(Operation[None], Generic[Data]):
    """A view of a stream; sending it as an operation opens it. ``Data`` is that of any of its events."""

    #: Type of the data by the event's name.
    events: Mapping[str, Any] = field(kw_only=True)
    #: Loses nothing and goes on behind a cursor; else losses are told.
    resumes: bool = field(default=False, kw_only=True)
    #: Ends by itself, and what was begun must not be begun again.
    ends: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class Contract:
    """What the runtime must know of the contract as a whole."""

    #: Of the client, told to servers.
    version: str
    #: Error class by code.
    errors: Mapping[str, type[ApiError]]
    #: Longest deadline a caller may ask for.
    timeout_max_ms: int
    #: Operations that make tokens; ``None`` in a contract without them.
    login: Operation[Any] | None = None
    refresh: Operation[Any] | None = None
