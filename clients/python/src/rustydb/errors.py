"""Errors a call can end with: the client's own, and a class per error of the contract."""

from .generated.errors import *  # noqa: F403
from .generated.errors import __all__ as _generated
from .runtime.errors import (
    ApiError,
    CallTimeoutError,
    ConfigurationError,
    ConnectionFailedError,
    Retry,
    RustyDBError,
    UnreadableAnswerError,
    UnsendableInputError,
)

__all__ = [
    "ApiError",
    "CallTimeoutError",
    "ConfigurationError",
    "ConnectionFailedError",
    "Retry",
    "RustyDBError",
    "UnreadableAnswerError",
    "UnsendableInputError",
]
__all__ += _generated
