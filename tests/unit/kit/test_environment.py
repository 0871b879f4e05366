"""One setting is found where the reader of all settings would find it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.kit.environment import ENV_FILE, setting


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOG_FORMAT", raising=False)
    return tmp_path


@pytest.mark.parametrize("text", ["LOG_FORMAT=json\n", "log_format = 'json' # so\n", "export LOG_FORMAT=json"])
def test_the_file_is_read_as_the_settings_read_it(here: Path, text: str) -> None:
    (here / ENV_FILE).write_text(text)
    assert setting("LOG_FORMAT") == "json"


def test_the_environment_wins_in_any_case(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / ENV_FILE).write_text("LOG_FORMAT=json\n")
    monkeypatch.setenv("log_format", "text")
    assert setting("LOG_FORMAT") == "text"


def test_what_is_not_set_is_none(here: Path) -> None:
    assert setting("LOG_FORMAT") is None
    (here / ENV_FILE).write_bytes(b"LOG_FORMAT=\xff")
    assert setting("LOG_FORMAT") is None
