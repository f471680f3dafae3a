"""Credentials in use, and the tokens that a user name and password are exchanged for.

Logging in happens with the first call that needs it. When a call is answered TOKEN_EXPIRED one caller renews the
tokens while all others wait and then share what came of it, success or failure (single flight): whoever gets the
lock and finds that nobody has tried since it began to wait does the work. The lock is held over the exchange on
purpose. A refresh token that is refused leads to one new login.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import msgspec

from .credentials import ApiKey, Bearer, Credentials, Password
from .effects import Acquire, Lock, Steps
from .errors import ApiError, ConfigurationError, RustyDBError
from .operation import Contract, Operation


class Tokens(msgspec.Struct, frozen=True):
    """What the client reads of the answers of ``auth.login`` and ``auth.refresh``."""

    access_token: str
    refresh_token: str | None = None

    def __repr__(self) -> str:
        return "Tokens(***)"


class Exchange(Protocol):
    """Sends one request of the session and answers what it got; bound by the time of the call that needs it."""

    def __call__(self, operation: Operation[Tokens], arguments: dict[str, object]) -> Steps[Tokens]: ...


class Session:
    """Shared by all calls made with the same credentials."""

    def __init__(
        self, credentials: Credentials | None, contract: Contract, make_lock: Callable[[], Lock]
    ) -> None:
        self._credentials = credentials
        self._contract = contract
        self._lock = make_lock()
        self._tokens: Tokens | None = None
        # Counts exchanges that have ended, however; the last one's failure is what waiters share.
        self._exchanges = 0
        self._failure: RustyDBError | None = None

    def headers(self, *, public: bool, exchange: Exchange, timeout: float) -> Steps[dict[str, str]]:
        """Headers that say who calls. A public operation never causes a login."""
        match self._credentials:
            case Bearer() as bearer:
                return _bearer(bearer.current())
            case ApiKey(key):
                return {"X-API-Key": key}
            case Password() as password if not public:
                tokens = self._tokens
                if tokens is None:
                    tokens = yield from self._obtain(password, None, exchange, timeout)
                return _bearer(tokens.access_token)
            case _:
                return {}

    def renew(self, expired: dict[str, str], *, exchange: Exchange, timeout: float) -> Steps[bool]:
        """After ``expired`` was refused: whether the next headers say something else."""
        if isinstance(self._credentials, Bearer):
            return _bearer(self._credentials.current()) != expired
        if not isinstance(self._credentials, Password) or not expired:
            return False
        yield from self._obtain(self._credentials, expired, exchange, timeout)
        return True

    def _obtain(
        self, password: Password, expired: dict[str, str] | None, exchange: Exchange, timeout: float
    ) -> Steps[Tokens]:
        seen = self._exchanges
        yield Acquire(self._lock, timeout)
        try:
            if self._exchanges != seen and self._failure is not None:
                raise self._failure.with_traceback(None)
            held = self._tokens
            if held is not None and (expired is None or _bearer(held.access_token) != expired):
                return held
            self._failure = None
            try:
                self._tokens = yield from self._exchange(password, exchange)
            except RustyDBError as error:
                self._failure = error
                raise
            finally:
                self._exchanges += 1
            return self._tokens
        finally:
            self._lock.release()

    def _exchange(self, password: Password, exchange: Exchange) -> Steps[Tokens]:
        held = self._tokens
        if held is not None and held.refresh_token is not None:
            refresh = _made(self._contract.refresh)
            try:
                return (yield from exchange(refresh, {"refresh_token": held.refresh_token}))
            except ApiError as error:
                # Only a refusal says that the refresh token no longer serves.
                if error.status is None or error.status >= 500 or error.status == 429:
                    raise
        self._tokens = None
        login = _made(self._contract.login)
        return (
            yield from exchange(login, {"username": password.username, "password": password.password})
        )


def _made(operation: Operation[Any] | None) -> Operation[Tokens]:
    if operation is None:
        raise ConfigurationError(
            "this contract has no auth.login and auth.refresh; use a token or an API key"
        )
    return replace(operation, output=Tokens)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
