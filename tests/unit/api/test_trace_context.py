"""W3C Trace Context: what is valid is taken, anything else is as if it were not there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.trace_context import trace_of
from app.assistant.models import Trace

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01".encode()


def taken(*parents: bytes, states: tuple[bytes, ...] = ()) -> Trace | None:
    return trace_of([*((b"traceparent", one) for one in parents), *((b"tracestate", one) for one in states)])


def test_a_valid_one_is_taken_and_goes_on_as_it_came() -> None:
    found = taken(PARENT, states=(b"a=1", b"b=2"))
    assert found == Trace(TRACE, SPAN, "01", "a=1,b=2")
    assert found.headers == {"traceparent": PARENT.decode(), "tracestate": "a=1,b=2"}


def test_a_later_version_may_say_more_and_goes_on_as_the_first() -> None:
    found = taken(b"cc" + PARENT[2:] + b"-what-the-future-holds")
    assert found is not None
    assert found.headers == {"traceparent": PARENT.decode()}


@pytest.mark.parametrize(
    "parent",
    [
        b"",
        PARENT[:-1],
        PARENT + b"0",
        PARENT + b"-more",
        PARENT.upper(),
        b" " + PARENT,
        PARENT.replace(b"-", b"_"),
        b"ff" + PARENT[2:],
        b"00-" + b"0" * 32 + PARENT[35:],
        PARENT[:36] + b"0" * 16 + b"-01",
        PARENT + b"\n",
    ],
)
def test_a_malformed_one_is_none(parent: bytes) -> None:
    assert taken(parent) is None


def test_two_are_none() -> None:
    assert taken(PARENT, PARENT) is None


@pytest.mark.parametrize("state", [b"a=\x00", b"a=\xff", b"a" * 513])
def test_an_odd_state_is_left_out(state: bytes) -> None:
    found = taken(PARENT, states=(state,))
    assert found is not None
    assert found.state == ""


def test_a_state_without_a_parent_is_nothing() -> None:
    assert taken(states=(b"a=1",)) is None


@given(st.binary(max_size=80), st.lists(st.binary(max_size=40), max_size=3))
def test_no_bytes_raise_and_what_goes_on_is_plain(parent: bytes, states: list[bytes]) -> None:
    found = taken(parent, states=tuple(states))
    if found is not None:
        assert all(text.isascii() and text.isprintable() for text in found.headers.values())
