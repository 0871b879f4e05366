"""What we rely on inside libraries, beyond their documented interfaces.

Each library stands in one file of app/ and is pinned to a minor version in pyproject.toml. When a
test here fails after an upgrade, that file must be looked at before the pin is moved.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.serving.http_protocol import MUTED, BoundedHttpProtocol

from ..support.paths import ROOT

UVICORN = "app/serving/http_protocol.py relies on this part of uvicorn"


def pin_of(package: str) -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(next(one for one in project["dependencies"] if re.match(rf"{package}\b", one)))


@pytest.mark.parametrize("package", ["uvicorn"])
def test_the_library_is_pinned_to_the_minor_version_in_use(package: str) -> None:
    major, minor, *_ = version(package).split(".")
    assert pin_of(package).endswith(f"<{major}.{int(minor) + 1}"), "move the pin together with this test's library"


# --- uvicorn ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in vars(BoundedHttpProtocol) if callable(vars(BoundedHttpProtocol)[name])])
def test_uvicorn_has_every_method_that_we_override(name: str) -> None:
    ours = {"_abort_unless_read", "_refuse", "_cycle_of_no_request"}
    if name in ours:
        assert not hasattr(HttpToolsProtocol, name), f"{UVICORN}: it has its own {name} now"
        return
    theirs: Callable[..., Any] = getattr(HttpToolsProtocol, name)
    assert (
        inspect.signature(theirs).parameters.keys() == inspect.signature(getattr(BoundedHttpProtocol, name)).parameters.keys()
    ), f"{UVICORN}: {name} takes other arguments"


@pytest.mark.parametrize(
    "name",
    [
        "transport",
        "flow",
        "pipeline",
        "cycle",
        "scope",
        "parser",
        "loop",
        "tasks",
        "app",
        "logger",
        "access_logger",
        "access_log",
    ],
)
def test_uvicorn_sets_every_attribute_that_we_read(name: str) -> None:
    assert f"self.{name}" in inspect.getsource(HttpToolsProtocol), f"{UVICORN}: self.{name} is gone"


def test_uvicorn_builds_a_cycle_from_what_we_give_it() -> None:
    ours = {
        *("scope", "transport", "flow", "logger", "access_logger", "access_log", "default_headers", "message_event"),
        *("expect_100_continue", "keep_alive", "on_response"),
    }
    assert inspect.signature(RequestResponseCycle).parameters.keys() == ours, f"{UVICORN}: RequestResponseCycle"


@pytest.mark.parametrize(
    "name",
    [
        *("body", "more_body", "keep_alive", "disconnected", "response_complete", "message_event"),
        *("chunked_encoding", "expected_content_length"),
    ],
)
def test_a_cycle_has_the_state_that_we_set(name: str) -> None:
    assert f"self.{name}" in inspect.getsource(RequestResponseCycle), f"{UVICORN}: the cycle's {name} is gone"


def test_uvicorn_ends_a_body_without_length_where_the_connection_ends() -> None:
    source = inspect.getsource(RequestResponseCycle.send)
    assert "self.expected_content_length != 0" in source, f"{UVICORN}: _Endless answers these comparisons only"
    assert "num_bytes > self.expected_content_length" in source


def test_uvicorn_says_the_messages_that_are_muted() -> None:
    source = inspect.getsource(inspect.getmodule(HttpToolsProtocol))  # type: ignore[arg-type]
    assert [message for message in MUTED if message not in source] == [], f"{UVICORN}: its wording"


def test_uvicorn_can_be_told_to_read_on() -> None:
    assert callable(FlowControl.resume_reading)
