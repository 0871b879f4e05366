"""`doctor` on a sound installation and on one with each trouble: one line for each thing, and nothing is changed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.admin.doctor import examine

from ...support import installation
from ...support.policies import LAB, SMALL

ABOUT = ["settings", "policy", "files", "disk", "clock", "limits", "locks", "log key", "log", "database", "budgets", "breakers"]
ABOUT.append("servers")


@pytest.fixture(autouse=True)
def installed(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    installation.init()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
        yield


def troubles() -> dict[str, str]:
    return {about: finding.says for about, finding in examine() if finding.state == "trouble"}


def test_a_sound_installation_has_no_trouble_and_is_left_as_it_was() -> None:
    before = {path: path.read_bytes() for path in Path("logs").rglob("*") if path.is_file()}
    found = list(examine())
    assert list(dict.fromkeys(about for about, _ in found)) == ABOUT
    assert [finding for _, finding in found if finding.state == "trouble"] == []
    assert all(finding.says.endswith(".") for _, finding in found)
    after = {path: path.read_bytes() for path in Path("logs").rglob("*") if path.is_file()}
    assert {path: data for path, data in after.items() if not path.name.endswith(("-wal", "-shm"))} == before


def test_without_settings_nothing_else_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "short")
    first, rest = examine()
    assert (first[0], first[1].state, rest[1].state) == ("settings", "trouble", "note")
    assert first[1].says.startswith("SECRET_KEY is shorter than 32 bytes")


def test_each_problem_of_the_policy_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("policy.toml").write_text(LAB + "api_key_env = 'NO_SUCH_KEY'\n" + SMALL + "fallback = ['x']")
    monkeypatch.setenv("POLICY_FILE", "policy.toml")
    found = [finding for about, finding in examine() if about == "policy"]
    assert [finding.state for finding in found] == ["trouble", "trouble"]
    assert [finding.says for about, finding in examine() if about == "servers"] == ["Not tried: see policy."]


def test_a_policy_that_can_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("policy.toml").write_text(LAB + SMALL)
    monkeypatch.setenv("POLICY_FILE", "policy.toml")
    monkeypatch.setenv("LLM_MODEL", "small")
    (says,) = (finding.says for about, finding in examine() if about == "policy")
    assert says.startswith("policy.toml can be used: 1 model(s), 0 price(s), 0 budget(s), SHA-256 ")


@pytest.mark.parametrize(
    ("harm", "about"),
    [
        (installation.LOG.unlink, {"log key", "log"}),
        (installation.KEY.unlink, {"log key", "log"}),
        (Path("logs/clients.sqlite3").unlink, {"database"}),
    ],
)
def test_a_missing_file_is_told_and_all_else_is_looked_at(harm: object, about: set[str]) -> None:
    assert callable(harm)
    harm()
    assert set(troubles()) == about
    assert list(dict.fromkeys(about for about, _ in examine())) == ABOUT
