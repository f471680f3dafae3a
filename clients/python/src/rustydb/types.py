"""Types of the contract, of all modules."""

from .generated.types import *  # noqa: F403
from .generated.types import __all__ as __all__
