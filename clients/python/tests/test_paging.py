"""Items across pages."""

from __future__ import annotations

import pytest
from rustydb.errors import ApiError, UnreadableAnswerError
from support import LIST, Bench, Reply, Seen, ok, problem


def pages(seen: Seen, _before: int) -> Reply:
    if "after=b" in seen.target:
        return ok({"items": [4]})
    if "after=a" in seen.target:
        return ok({"items": [], "next": "b"})
    return ok({"items": [1, 2, 3], "next": "a"})


def test_items_follow_next_over_all_pages_with_the_same_input(bench: Bench) -> None:
    server = bench.serve(pages)
    assert bench.client(server).items(LIST, kind="k") == [1, 2, 3, 4]
    assert server.targets() == ["/list?kind=k", "/list?kind=k&after=a", "/list?kind=k&after=b"]


def test_items_can_start_behind_a_cursor(bench: Bench) -> None:
    server = bench.serve(pages)
    assert bench.client(server).items(LIST, after="a") == [4]


def test_a_page_is_fetched_only_when_it_is_needed(bench: Bench) -> None:
    server = bench.serve(pages)
    assert bench.client(server).first(LIST) == 1
    assert server.targets() == ["/list"]


def test_an_error_ends_the_items(bench: Bench) -> None:
    server = bench.serve(
        lambda seen, before: pages(seen, before) if before == 0 else problem(404, "NO_SUCH_THING")
    )
    with pytest.raises(ApiError):
        bench.client(server).items(LIST)
    assert len(server.seen) == 2


def test_a_page_that_leads_to_itself_is_an_error_not_an_endless_walk(bench: Bench) -> None:
    server = bench.serve(ok({"items": [1], "next": "a"}))
    with pytest.raises(UnreadableAnswerError, match="names itself"):
        bench.client(server).items(LIST)
    assert len(server.seen) == 2
