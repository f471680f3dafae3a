"""From one page to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from msgspec import UNSET, UnsetType

from .errors import UnreadableAnswerError
from .operation import PagedOperation

Output = TypeVar("Output")
Item = TypeVar("Item")


def items(operation: PagedOperation[Output, Item], page: Output) -> Sequence[Item]:
    """Items of a page."""
    found = operation.items(page)
    return () if found is None or isinstance(found, UnsetType) else found


def following(
    operation: PagedOperation[Output, Item], arguments: Mapping[str, object], page: Output
) -> dict[str, object] | None:
    """Arguments of the call for the page after ``page``; ``None`` when it was the last."""
    cursor = operation.next(page)
    if cursor is None or isinstance(cursor, UnsetType):
        return None
    if cursor == arguments.get("after", UNSET):
        raise UnreadableAnswerError(
            f"the page after {cursor!r} names itself as the next one",
            code="UNREADABLE_ANSWER",
            operation=operation.id,
        )
    return {**arguments, "after": cursor}
