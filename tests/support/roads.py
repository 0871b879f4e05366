"""A question on its way through the loop of attempts, without an assistant around it."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any

from app.catalogue.rules import RetryRules
from app.upstream.attempts import Attempts
from app.upstream.call import PreparedCall
from app.upstream.resilience.road import Record, Road
from app.upstream.resilience.seat import Seat

from .asking import prepared


async def no_record(call: PreparedCall, held: Mapping[str, Any]) -> None:
    raise AssertionError("every body is the recorded one")


def road(
    upstream: Any,
    attempts: Attempts | None = None,
    *,
    seconds: float = 20,
    most: int = 2,
    after_generation: bool = False,
    record: Record = no_record,
    **more: Any,
) -> Road:
    """*more*: members of the call."""
    call = prepared(upstream, retries=RetryRules(most=most, after_generation=after_generation), **more)
    return Road(call, attempts or Attempts(), Seat("alice"), record, monotonic() + seconds)
