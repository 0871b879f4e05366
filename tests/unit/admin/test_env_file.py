"""`.env`: private, with a secret and a log name that no other installation has; what is there is kept."""

from __future__ import annotations

import io
import re
import stat
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from app.admin import env_file
from app.errors import ConfigError

from ...support.paths import ROOT
from ...support.tables import for_each

SECRET = "fresh-secret-of-forty-three-characters-0000"
TEXT = re.compile(rf"# .*\nSECRET_KEY={SECRET}\nAUDIT_ORIGIN=(secure-ai-assistant/[0-9a-f]{{8}})\n")


def filled(text: str, newline: str | None = "") -> str:
    """The `.env` that *text* becomes."""
    with Path(".env").open("w", newline=newline) as file:
        file.write(text)
    assert env_file.fill_in_secret(SECRET) == Path(".env")
    return Path(".env").read_bytes().decode()


def test_it_is_private_and_holds_the_secret_and_a_fresh_log_name() -> None:
    written = []
    for _ in range(2):
        assert env_file.write_env_file(SECRET) == Path(".env")
        assert stat.S_IMODE(Path(".env").stat().st_mode) == 0o600
        match = TEXT.fullmatch(Path(".env").read_text())
        assert match is not None
        written.append(match[1])
        Path(".env").unlink()
    assert len(set(written)) == 2
    assert len({env_file.new_secret() for _ in range(9)}) == 9


def test_one_that_another_init_has_just_written_is_kept() -> None:
    Path(".env").write_text("SECRET_KEY=x\n")
    env_file.write_env_file(SECRET)
    assert env_file.fill_in_secret(SECRET) is None
    assert Path(".env").read_text() == "SECRET_KEY=x\n"


def test_a_folder_that_cannot_be_written_is_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env_file, "ENV_FILE", Path("nowhere/.env"))
    for write in (env_file.write_env_file, env_file.fill_in_secret):
        with pytest.raises(ConfigError, match=r"cannot be written here .*Set SECRET_KEY in the environment"):
            write(SECRET)


def test_a_copied_example_gets_a_secret_and_nothing_else_changes() -> None:
    example = (ROOT / ".env.example").read_text()
    before, after = example.split("SECRET_KEY=32_char_random_string_here")
    assert filled(example) == f"{before}SECRET_KEY={SECRET}{after}"
    assert stat.S_IMODE(Path(".env").stat().st_mode) == 0o600


@for_each(
    ("before", "after"),
    [
        ("SECRET_KEY=\n", f"SECRET_KEY={SECRET}\n"),
        ("SECRET_KEY=", f"SECRET_KEY={SECRET}"),
        ("SECRET_KEY", f"SECRET_KEY={SECRET}"),
        ("A=b\n\n  export SECRET_KEY = '' # mine\nC=d", f"A=b\n\n  export SECRET_KEY ={SECRET} # mine\nC=d"),
        ('SECRET_KEY="32_char_random_string_here"\r\nA=b\r\n', f"SECRET_KEY={SECRET}\r\nA=b\r\n"),
        ("SECRET_KEY=a\nSECRET_KEY=\n", f"SECRET_KEY=a\nSECRET_KEY={SECRET}\n"),
        ("secret_key=\n", f"secret_key={SECRET}\n"),
        ("PROMPT='one\nSECRET_KEY=\n'\n", f"PROMPT='one\nSECRET_KEY=\n'\nSECRET_KEY={SECRET}\n"),
        ("# SECRET_KEY=x\nA=b", f"# SECRET_KEY=x\nA=b\nSECRET_KEY={SECRET}\n"),
        ("", f"SECRET_KEY={SECRET}\n"),
    ],
)
def test_a_secret_is_filled_in_where_it_is_missing(before: str, after: str) -> None:
    assert filled(before) == after


@given(st.text(st.sampled_from("ab=#'\"\\ \n$é"), max_size=40), st.sampled_from(["", "''", '""', "32_char_random_string_here"]))
def test_whatever_else_stands_there_means_the_same_afterwards(rest: str, value: str) -> None:
    before = f"SECRET_KEY={value}\n{rest}"
    after = filled(before)
    others = dict(dotenv_values(stream=io.StringIO(before), interpolate=False)) | {"SECRET_KEY": SECRET}
    assert dict(dotenv_values(stream=io.StringIO(after), interpolate=False)) == others


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "AUDIT_ORIGIN=example.com/log\n"),
        ("A=b\n", "A=b\nAUDIT_ORIGIN=example.com/log\n"),
        ("A=b", "A=b\nAUDIT_ORIGIN=example.com/log\n"),
        ("AUDIT_ORIGIN=\nA=b\n", "AUDIT_ORIGIN=example.com/log\nA=b\n"),
        ("AUDIT_ORIGIN=mine\n", "AUDIT_ORIGIN=mine\n"),
    ],
)
def test_the_log_name_gets_its_line(before: str, after: str) -> None:
    Path(".env").write_text(before)
    env_file.add_log_name("example.com/log")
    assert Path(".env").read_text() == after


def test_an_env_file_that_cannot_be_written_stays_as_it_is() -> None:
    Path(".env").mkdir()
    env_file.add_log_name("example.com/log")
    assert not list(Path(".env").iterdir())
