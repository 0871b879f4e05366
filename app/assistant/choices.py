"""From a model to the call that is sent first, and those that may be sent in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from ..catalogue.caps import Caps
from ..catalogue.models import ModelEntry, ServedBy
from ..upstream.call import PreparedCall
from ..upstream.model_server import ModelServer
from ..upstream.resilience.balance import ordered

Make = Callable[[ModelEntry, ServedBy], PreparedCall]
"""The call for one model at one of its servers. Raises what is wrong with the question there."""


def choose(
    entry: ModelEntry, upstreams: Mapping[str, ModelServer], make: Make, entry_of: Callable[[str], ModelEntry]
) -> PreparedCall:
    """The call for *entry*, with its other servers and its fallbacks.

    *entry_of*: a model by its name, if this caller may use it. Raises as *make*.
    """
    if len(entry.servers) == 1 and not entry.fallback:  # nearly always
        return make(entry, entry.servers[0])
    call = _at_servers(entry, upstreams, make)
    if call.previous_response_id is not None:  # only the server that has it can continue it
        return make(entry, entry.servers[0])
    fallbacks = (partial(_fallback, name, upstreams, make, entry_of) for name in entry.fallback)
    return replace(call, fallbacks=tuple(fallbacks))


def _at_servers(entry: ModelEntry, upstreams: Mapping[str, ModelServer], make: Make) -> PreparedCall:
    first, *others = ordered(entry.servers, upstreams)
    call = make(entry, first)
    if call.may_continue:  # what one server keeps, the others do not know
        call, others = make(entry, entry.servers[0]), list(entry.servers[1:])
    return replace(call, others=tuple(partial(make, entry, one) for one in others))


def _fallback(name: str, upstreams: Mapping[str, ModelServer], make: Make, entry_of: Callable[[str], ModelEntry]) -> PreparedCall:
    entry = entry_of(name)
    return replace(_at_servers(entry, upstreams, make), own_seconds=entry.timeout_seconds)


def timeouts_of(entry: ModelEntry, caps: Caps) -> tuple[float, float | None]:
    """Seconds for a question, and for its own model, where a fallback may use the rest of them."""
    if not entry.fallback:  # nearly always
        return entry.seconds_for(caps), None
    return caps.timeout_seconds, entry.timeout_seconds
