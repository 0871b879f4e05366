"""From a model to the call that is sent first, and what may be sent in its place."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from app.assistant.choices import choose, timeouts_of
from app.catalogue.models import ModelEntry, ServedBy, Server
from app.errors import ModelNotFound
from app.upstream.call import PreparedCall

from ...support.asking import prepared
from ...support.caps import CAPS

LAB, SPARE = Server("lab", None, ""), Server("spare", None, "")
BOTH = (ServedBy(LAB, 1, "m"), ServedBy(SPARE, 1, "n"))
IDLE: Any = SimpleNamespace(slots=SimpleNamespace(in_flight=0), breaker=SimpleNamespace(is_resting=False))
UPSTREAMS: Any = {"lab": IDLE, "spare": IDLE}


def make(entry: ModelEntry, served: ServedBy) -> PreparedCall:
    """A call that says by its body and model what it is for."""
    return replace(prepared(), model=entry.name, body=f"{served.server.name} {served.model}".encode())


def entry(name: str = "fast", servers: tuple[ServedBy, ...] = BOTH[:1], **more: Any) -> ModelEntry:
    return ModelEntry(name, servers[0].model, servers[0].server, servers=servers, **more)


OTHER = entry("other", BOTH, timeout_seconds=7.0)


def entry_of(name: str) -> ModelEntry:
    if name == "secret":
        raise ModelNotFound(name, is_known=True)
    return OTHER


def test_one_server_without_fallbacks_is_the_call_itself() -> None:
    call = choose(entry(), UPSTREAMS, make, entry_of)
    assert (call.body, call.others, call.fallbacks) == (b"lab m", (), ())


def test_the_other_servers_are_prepared_when_they_are_needed() -> None:
    call = choose(entry(servers=BOTH), UPSTREAMS, make, entry_of)
    (other,) = call.others
    assert {call.body, other().body} == {b"lab m", b"spare n"}


def test_fallbacks_come_in_order_with_their_own_servers_and_timeout() -> None:
    call = choose(entry(fallback=("secret", "other")), UPSTREAMS, make, entry_of)
    first, second = call.fallbacks
    with pytest.raises(ModelNotFound):
        first()
    made = second()
    assert (made.model, made.own_seconds, len(made.others), made.fallbacks) == ("other", 7.0, 1, ())


def test_a_response_is_continued_at_the_first_server_alone() -> None:
    def continuing(entry: ModelEntry, served: ServedBy) -> PreparedCall:
        return replace(make(entry, served), may_continue=True, previous_response_id="resp_1")

    for _ in range(20):
        call = choose(entry(servers=BOTH, fallback=("other",)), UPSTREAMS, continuing, entry_of)
        assert (call.body, call.others, call.fallbacks) == (b"lab m", (), ())


def test_a_response_that_may_be_continued_begins_at_the_first_server() -> None:
    def keeping(entry: ModelEntry, served: ServedBy) -> PreparedCall:
        return replace(make(entry, served), may_continue=True)

    for _ in range(20):
        call = choose(entry(servers=BOTH), UPSTREAMS, keeping, entry_of)
        assert (call.body, [other().body for other in call.others]) == (b"lab m", [b"spare n"])


@pytest.mark.parametrize(
    ("own", "fallback", "timeouts"),
    [
        (None, (), (600, None)),
        (60, (), (60, None)),
        (900, (), (600, None)),
        (60, ("other",), (600, 60)),
        (None, ("other",), (600, None)),
    ],
)
def test_with_fallbacks_a_models_timeout_leaves_them_the_rest(
    own: float | None, fallback: tuple[str, ...], timeouts: tuple[float, float | None]
) -> None:
    assert timeouts_of(entry(timeout_seconds=own, fallback=fallback), replace(CAPS, timeout_seconds=600)) == timeouts
