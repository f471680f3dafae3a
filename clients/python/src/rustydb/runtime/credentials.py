"""Who a client is to the server. Secrets do not show in ``repr``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Bearer:
    """An access token, used as it is, or a function that gives the current one and is asked by each call."""

    token: str | Callable[[], str] = field(repr=False)

    def current(self) -> str:
        """The token of the next request."""
        return self.token if isinstance(self.token, str) else self.token()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key, used as it is."""

    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Password:
    """Exchanged for tokens with the first call that needs them, and again when they expire."""

    username: str
    password: str = field(repr=False)


Credentials: TypeAlias = Bearer | ApiKey | Password
