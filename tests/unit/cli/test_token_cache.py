"""Kept tokens: private files, renewed ahead of their end, once for all who wait, and kept when that fails."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from app.cli import token_cache
from app.cli.http_client import CallFailed
from app.cli.token_cache import kept_token, read_secret, token_path
from app.cli.usage import WrongUsage


class Issuer:
    """Gives out numbered tokens that live for 100 s, on a clock that a test sets."""

    def __init__(self, path: Path) -> None:
        self.path, self.time, self.issued, self.is_down = path, 1_000_000.9, 0, False
        self.warnings: list[str] = []

    def fetch(self) -> dict[str, Any]:
        if self.is_down:
            raise CallFailed("it cannot be reached")
        self.issued += 1
        return {"access_token": f"token-{self.issued}", "expires_in": 100, "scope": "a.role"}

    def get(self, **options: bool) -> str:
        found = kept_token(self.path, self.fetch, warn=self.warnings.append, now=lambda: self.time, **options)
        return found.access_token


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path / "cache" / "program" / "kept.json")


def test_a_token_is_renewed_when_a_quarter_of_its_life_is_left(issuer: Issuer) -> None:
    assert (issuer.get(), issuer.get()) == ("token-1", "token-1")
    issuer.time += 74
    assert issuer.get() == "token-1"
    issuer.time += 1
    assert (issuer.get(), issuer.get()) == ("token-2", "token-2")


def test_only_this_user_may_read_what_is_kept(issuer: Issuer) -> None:
    issuer.get()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (issuer.path.parent, *issuer.path.parent.iterdir())}
    assert modes == {"program": 0o700, "kept.json": 0o600, "kept.lock": 0o600}


BROKEN = [
    *("", "{}", "[]", "x", "\xff", "[" * 100_000),
    *(f'{{"access_token":"a","scope":"","expires_at":{at},"lifetime":100}}' for at in ('"x"', "1e999", "1000050.5", "9" * 30)),
    '{"access_token":null,"scope":"","expires_at":1000100,"lifetime":100}',
    '{"access_token":"a","scope":"","expires_at":1000100,"lifetime":-100}',
]


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_file_is_fetched_anew(issuer: Issuer, text: str) -> None:
    issuer.get()
    issuer.path.write_text(text, "latin-1")
    assert issuer.get() == "token-2"
    assert issuer.get() == "token-2"


def test_a_file_that_others_may_write_is_not_trusted(issuer: Issuer) -> None:
    issuer.get()
    issuer.path.chmod(0o620)
    assert issuer.get() == "token-2"
    assert stat.S_IMODE(issuer.path.stat().st_mode) == 0o600


def test_a_folder_that_others_may_write_in_is_refused(issuer: Issuer) -> None:
    issuer.get()
    issuer.path.parent.chmod(0o770)
    with pytest.raises(WrongUsage, match=str(issuer.path.parent)):
        issuer.get()
    assert issuer.issued == 1


def test_a_clock_that_is_set_back_keeps_no_token_for_longer(issuer: Issuer) -> None:
    issuer.get()
    issuer.time -= 3600
    assert (issuer.get(), issuer.get()) == ("token-2", "token-2")


def test_a_token_that_cannot_be_kept_is_returned_with_a_warning(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(token_cache, "replace_file", full)
        assert issuer.get() == "token-1"
    assert issuer.warnings == ["The token is not kept for the next call: No space left on device."]
    assert issuer.get() == "token-2"


def test_of_several_at_once_one_renews(issuer: Issuer) -> None:
    found: list[str] = []
    all_begun, fetch = threading.Event(), issuer.fetch

    def slow() -> dict[str, Any]:
        all_begun.wait(5)
        return fetch()

    issuer.fetch = slow  # type: ignore[method-assign]  # so that the others come while one fetches
    threads = [threading.Thread(target=lambda: found.append(issuer.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    all_begun.set()
    for thread in threads:
        thread.join()
    assert found == ["token-1"] * 8
    assert issuer.issued == 1


def test_while_the_service_is_down_a_valid_token_serves_with_a_warning(issuer: Issuer) -> None:
    issuer.get()
    issuer.is_down, issuer.time = True, issuer.time + 80
    assert issuer.get() == "token-1"
    (warning,) = issuer.warnings
    assert "valid for 20 s" in warning
    assert "it cannot be reached" in warning
    with pytest.raises(CallFailed):
        issuer.get(renew=True)
    issuer.time += 20
    with pytest.raises(CallFailed):
        issuer.get()


def test_renewing_replaces_a_token_that_is_still_fresh(issuer: Issuer) -> None:
    assert (issuer.get(), issuer.get(renew=True), issuer.get()) == ("token-1", "token-2", "token-2")


def test_each_service_client_and_scope_has_a_file_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one = token_path("http://there", "alice", "")
    assert one.parent == tmp_path / "secure-ai-assistant"
    assert token_path("http://there/v1/", "alice", "") == one
    others = [("http://here", "alice", ""), ("http://there", "bobby", ""), ("http://there", "alice", "a.role")]
    assert len({one, *(token_path(*other) for other in others)}) == 4


@pytest.mark.parametrize("named", [None, "", "cache", "./cache"])
def test_a_relative_cache_folder_is_ignored(named: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if named is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", named)
    assert token_path("http://there", "alice", "").is_relative_to(tmp_path / ".cache")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o601, 0o777])
def test_a_secret_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "secret"
    file.write_text("  the-secret\n")
    file.chmod(0o600)
    assert read_secret(file) == "the-secret"
    file.chmod(mode)
    with pytest.raises(WrongUsage, match=f"chmod 600 {file}"):
        read_secret(file)


def test_a_secret_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.write_text("the-secret")
    file.chmod(0o600)
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    with pytest.raises(WrongUsage):
        read_secret(file)
