"""`doctor` counts a hit on the server of limits, and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.admin import doctor_limits
from app.admin.doctor_limits import look
from app.catalogue.limits_url import limits_address
from app.settings import load_settings

from ...support.clean_settings import use_defaults
from ...support.valkey_server import ValkeyServer


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with ValkeyServer(tmp_path_factory.mktemp("valkey"), password="s3cret") as server:
        yield server


@pytest.fixture(autouse=True)
def defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_defaults(monkeypatch, tmp_path)


def found(url: str | None) -> list[tuple[str, str]]:
    return [(one.state, one.says) for one in look(load_settings(limits_url=url))]


def test_a_machine_that_counts_alone_has_no_line() -> None:
    assert found(None) == []


def test_a_server_that_counts_is_well(valkey: ValkeyServer) -> None:
    url = valkey.url.replace("://", "://:s3cret@")
    assert found(url) == [("ok", f"The server of LIMITS_URL (127.0.0.1:{valkey.port}) counts hits.")]


def test_one_that_forgets_hits_is_trouble(valkey: ValkeyServer) -> None:
    for name, value in (("maxmemory", "100mb"), ("maxmemory-policy", "allkeys-lru")):
        valkey.command("CONFIG", "SET", name, value)
    ((state, says),) = found(valkey.url.replace("://", "://:s3cret@"))
    valkey.command("CONFIG", "SET", "maxmemory", "0")
    assert state == "trouble"
    assert "(allkeys-lru): set maxmemory-policy noeviction" in says


def test_one_that_refuses_the_password_is_trouble_and_no_secret_is_told(valkey: ValkeyServer) -> None:
    ((state, says),) = found(valkey.url.replace("://", "://:wr0ng@"))
    assert state == "trouble"
    assert "cannot count" in says
    assert "wr0ng" not in says


def test_one_that_is_away_is_trouble() -> None:
    ((state, says),) = found("valkey://127.0.0.1:1")
    assert (state, "cannot count" in says) == ("trouble", True)


@pytest.mark.parametrize(("url", "is_local"), [("valkey://[::1]", True), ("valkey://localhost,h", False), ("valkey://h", False)])
def test_the_way_to_another_machine_wants_tls(url: str, is_local: bool) -> None:
    address = limits_address(url.replace("valkey://", "valkey+cluster://"))
    assert doctor_limits._is_local(address) == is_local
