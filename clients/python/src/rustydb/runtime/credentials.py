"""Who a client is to the server. Secrets do not show in ``repr``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Bearer:
    """An access token, used as it is."""

    token: str = field(repr=False)


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
