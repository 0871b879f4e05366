"""Which of several servers of one model is asked first: by weight, and not the busier of two."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from ...catalogue.models import ServedBy
from ..model_server import ModelServer


def ordered(
    servers: Sequence[ServedBy], upstreams: Mapping[str, ModelServer], dice: Callable[[], float] = random.random
) -> list[ServedBy]:
    """All of *servers*, in the order in which they are tried. One that rests comes last.

    Two are drawn by weight, and the one with less in flight for its weight is the first: nearly as
    good as the least of all, and workers that do not know each other's calls do not all choose the
    same one. The rest come by what they have in flight.
    """

    def load(one: ServedBy) -> float:
        return upstreams[one.server.name].slots.in_flight / one.weight

    left = sorted(servers, key=load)
    awake = [one for one in left if not upstreams[one.server.name].breaker.is_resting]
    if not awake:
        return left
    first = _drawn(awake, dice())
    rest = [one for one in awake if one is not first]
    if rest and load(second := _drawn(rest, dice())) < load(first):
        first = second
    return [first, *(one for one in awake if one is not first), *(one for one in left if one not in awake)]


def _drawn(servers: Sequence[ServedBy], at: float) -> ServedBy:
    """One of them by weight. *at*: from 0 up to 1."""
    left = at * sum(one.weight for one in servers)
    for one in servers:
        left -= one.weight
        if left < 0:
            return one
    return servers[-1]
