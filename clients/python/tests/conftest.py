"""Every test of the runtime runs on both clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import Bench


@pytest.fixture(params=["sync", "async"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    made = Bench(str(request.param))
    yield made
    made.close()
