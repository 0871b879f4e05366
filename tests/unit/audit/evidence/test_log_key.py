"""The log key's file: Go's form, readable by the service only, whole or not there."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from app.audit.evidence.log_key import KeyFile, load_signer, store_signer, take_name
from app.audit.format.note import Signer
from app.errors import ConfigError
from app.kit import durable_files as files

from ....support.evidence import OTHER_SIGNER, SIGNER
from ....support.pipes import pipe_without_writer

TEXT = "PRIVATE+KEY+secure-ai-assistant/01234567+bf0942b3+AWtra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tr\n"


def test_the_file_has_these_bytes_and_is_for_the_service_only(tmp_path: Path) -> None:
    path = tmp_path / "folder/log.key"
    store_signer(path, SIGNER)
    assert path.read_text() == TEXT
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_nlink == 1
    assert load_signer(path).text() == SIGNER.text()
    assert os.listdir(path.parent) == ["log.key"]


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    store_signer(path, SIGNER)
    with pytest.raises(FileExistsError):
        store_signer(path, Signer.generate("other"))
    assert path.read_text() == TEXT
    assert os.listdir(tmp_path) == ["log.key"]


def test_a_crash_while_a_key_is_written_leaves_none_under_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dying:
        def fsync(self, fd: int) -> None:
            raise KeyboardInterrupt

        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

    with monkeypatch.context() as patch:
        patch.setattr(files, "os", Dying())
        with pytest.raises(KeyboardInterrupt):
            store_signer(tmp_path / "log.key", SIGNER)
    assert not (tmp_path / "log.key").exists()
    store_signer(tmp_path / "log.key", SIGNER)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "log.key"
    store_signer(path, SIGNER)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
        load_signer(path)


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", TEXT[:-4].encode(), TEXT.replace("bf0942b3", "bf0942b4").encode()])
def test_a_file_without_a_key_is_refused_and_not_shown(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "log.key"
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="holds no log key") as refused:
        load_signer(path)
    assert "a2tr" not in str(refused.value)


def test_a_path_that_cannot_be_used_gives_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be written \(.+\): change it"):
        store_signer(tmp_path / "file/log.key", SIGNER)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_signer(tmp_path / "file/log.key")
    (tmp_path / "folder").mkdir(mode=0o700)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_signer(tmp_path / "folder")
    with pytest.raises(FileNotFoundError):
        load_signer(tmp_path / "none.key")


def test_a_key_takes_its_name_once_whichever_process_gives_it(tmp_path: Path) -> None:
    new, path = tmp_path / "log.key.new", tmp_path / "log.key"
    with pytest.raises(FileNotFoundError):
        take_name(new, path)
    store_signer(new, SIGNER)
    take_name(new, path)
    take_name(new, path)  # another init did it
    assert os.listdir(tmp_path) == ["log.key"]


# --- the file of a log in use --------------------------------------------------------------------


def replace_key(path: Path) -> None:
    path.unlink()
    store_signer(path, OTHER_SIGNER)


LOSSES: dict[str, Callable[[Path], object]] = {
    "removed": lambda path: path.unlink(),
    "emptied": lambda path: os.truncate(path, 0),
    "edited": lambda path: path.write_text(TEXT.replace("AWtr", "AXtr")),
    "replaced": replace_key,
    "readable by others": lambda path: path.chmod(0o644),
}


@pytest.mark.parametrize("how", LOSSES)
def test_a_key_that_is_lost_while_it_is_used_is_noticed_until_it_is_back(tmp_path: Path, how: str) -> None:
    path = tmp_path / "log.key"
    store_signer(path, SIGNER)
    key_file = KeyFile(path)
    assert key_file.holds(SIGNER.verifier_key)
    LOSSES[how](path)
    assert not key_file.holds(SIGNER.verifier_key)
    path.unlink(missing_ok=True)
    store_signer(path, SIGNER)
    assert key_file.holds(SIGNER.verifier_key)


def test_a_pipe_in_place_of_the_key_is_a_lost_key(tmp_path: Path) -> None:
    store_signer(tmp_path / "log.key", SIGNER)
    key_file = KeyFile(tmp_path / "log.key")
    with pipe_without_writer(tmp_path / "log.key"):
        assert not key_file.holds(SIGNER.verifier_key)
