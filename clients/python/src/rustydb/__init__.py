"""RustyDB's Python client: one typed method per operation, blocking (:class:`Client`) and on asyncio.

Types of the contract are in :mod:`rustydb.types`, errors in :mod:`rustydb.errors`.
"""

from msgspec import UNSET, UnsetType

from . import errors, types
from .errors import ApiError, RustyDBError
from .generated.client import AsyncClient, Client
from .generated.version import VERSION as __version__
from .runtime.credentials import ApiKey, Bearer, Credentials, Password
from .runtime.http import AsyncHttpTransport, HttpTransport
from .runtime.retry import RetryPolicy
from .runtime.scalars import Cursor, Id64, Json, Lsn
from .runtime.transport import (
    AsyncTransport,
    Request,
    Response,
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
    "AsyncTransport",
    "Bearer",
    "Client",
    "Credentials",
    "Cursor",
    "HttpTransport",
    "Id64",
    "Json",
    "Lsn",
    "Password",
    "Request",
    "Response",
    "RetryPolicy",
    "RustyDBError",
    "Transport",
    "TransportError",
    "TransportTimeout",
    "UnsetType",
    "__version__",
    "errors",
    "types",
]
