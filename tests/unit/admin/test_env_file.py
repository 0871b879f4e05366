"""`.env`: private, with a secret and a log name that no other installation has; what is there is kept."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from app.admin import env_file
from app.errors import ConfigError

TEXT = re.compile(r"# .*\nSECRET_KEY=([A-Za-z0-9_-]{43})\nAUDIT_ORIGIN=(secure-ai-assistant/[0-9a-f]{8})\n")


def test_it_is_private_and_holds_a_fresh_secret_and_log_name() -> None:
    written = []
    for _ in range(2):
        assert env_file.write_env_file() == Path(".env")
        assert stat.S_IMODE(Path(".env").stat().st_mode) == 0o600
        match = TEXT.fullmatch(Path(".env").read_text())
        assert match is not None
        written.append(match.groups())
        Path(".env").unlink()
    assert len({secret for secret, _ in written}) == len({name for _, name in written}) == 2


def test_one_that_another_init_has_just_written_is_kept() -> None:
    Path(".env").write_text("SECRET_KEY=x\n")
    env_file.write_env_file()
    assert Path(".env").read_text() == "SECRET_KEY=x\n"


def test_a_folder_that_cannot_be_written_is_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env_file, "ENV_FILE", Path("nowhere/.env"))
    with pytest.raises(ConfigError, match=r"cannot be written here .*Set SECRET_KEY in the environment"):
        env_file.write_env_file()


@pytest.mark.parametrize(("before", "after"), [("", ""), ("A=b\n", "A=b\n"), ("A=b", "A=b\n")])
def test_the_log_name_gets_a_line_of_its_own(before: str, after: str) -> None:
    Path(".env").write_text(before)
    env_file.add_log_name("example.com/log")
    assert Path(".env").read_text() == after + "AUDIT_ORIGIN=example.com/log\n"


def test_an_env_file_that_cannot_be_written_stays_as_it_is() -> None:
    Path(".env").mkdir()
    env_file.add_log_name("example.com/log")
    assert not list(Path(".env").iterdir())
