"""RustyDB's Python client: one typed method per operation and view, blocking (:class:`Client`) and on asyncio.

Types of the contract are in :mod:`rustydb.types`, errors in :mod:`rustydb.errors`.
"""

from msgspec import UNSET, UnsetType

from . import errors, types
from .errors import ApiError, RustyDBError
from .generated.client import AsyncClient, Client
from .generated.version import VERSION as __version__
from .runtime.credentials import ApiKey, Bearer, Credentials, Password
from .runtime.http import AsyncHttpTransport, HttpTransport
from .runtime.items import Control, Event, Item
from .runtime.reconnect import ReconnectPolicy
from .runtime.retry import RetryPolicy
from .runtime.scalars import Cursor, Id64, Json, Lsn
from .runtime.subscription import AsyncSubscription, Subscription
from .runtime.transport import (
    AsyncStream,
    AsyncTransport,
    Request,
    Response,
    Stream,
    Transport,
    TransportError,
    TransportTimeout,
)

__all__ = [
    "UNSET",
    "ApiError",
    "ApiKey",
    "AsyncClient",
    "AsyncHttpTransport",
    "AsyncStream",
    "AsyncSubscription",
    "AsyncTransport",
    "Bearer",
    "Client",
    "Control",
    "Credentials",
    "Cursor",
    "Event",
    "HttpTransport",
    "Id64",
    "Item",
    "Json",
    "Lsn",
    "Password",
    "ReconnectPolicy",
    "Request",
    "Response",
    "RetryPolicy",
    "RustyDBError",
    "Stream",
    "Subscription",
    "Transport",
    "TransportError",
    "TransportTimeout",
    "UnsetType",
    "__version__",
    "errors",
    "types",
]
