"""What an operator sees of breakers, and that closing one is recorded first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.admin.breakers import close_breaker, list_breakers
from app.catalogue.rules import BreakerRules
from app.errors import InvalidRequest
from app.upstream.resilience.breaker import Breaker, Outcome
from app.wiring.breakers import shared_breakers

from ...support.installation import LOG, install
from ...support.windows import remove_windows


@pytest.fixture
def lab(place: Path) -> Iterator[Breaker]:
    """The breaker of a worker, which is open."""
    install()
    with shared_breakers(LOG) as opened, closing(opened("lab", BreakerRules(failures=1, open_seconds=60))) as breaker:
        breaker.leave(breaker.enter(), Outcome.BAD)
        yield breaker
    remove_windows(LOG)


def test_an_open_breaker_is_listed_and_closed_by_the_operator(lab: Breaker) -> None:
    (state,) = list_breakers()
    assert (state.server, state.is_open, state.failures) == ("lab", True, 1)
    assert 0 < state.seconds_left <= 60
    asyncio.run(close_breaker("lab"))
    assert not lab.is_open
    last = json.loads(LOG.read_text().splitlines()[-1])
    assert (last["action"], last["details"]) == ("breaker.closed", {"server": "lab", "by": "operator"})


def test_a_server_without_a_breaker_is_no_reason_for_a_record(lab: Breaker) -> None:
    before = LOG.read_bytes()
    with pytest.raises(InvalidRequest, match="no breaker of a server of that name"):
        asyncio.run(close_breaker("spare"))
    assert LOG.read_bytes() == before


def test_where_no_service_runs_there_are_none(place: Path) -> None:
    install()
    assert list_breakers() == []
