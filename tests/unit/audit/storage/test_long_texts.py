"""Long texts beside the log: durable before their record, private, never another text under a name, and verified with the log."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from app.audit.storage.long_texts import LongTexts
from app.errors import AuditUnavailable

from ....support.forgetful_tree import ForgetfulTree
from ....support.optional import leave_out
from ....support.replaced_os import Died, replaced_os

TEXT = b"long " * 20_000


def named(*contents: bytes) -> dict[str, bytes]:
    return {hashlib.sha256(one).hexdigest(): one for one in contents}


def file_of(folder: Path, content: bytes) -> Path:
    name = hashlib.sha256(content).hexdigest()
    return folder / name[:2] / name


def all_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def texts_in(folder: Path) -> dict[str, bytes]:
    """Those that a name stands for."""
    return {name: content for name, content in all_files(folder).items() if len(name) == 64}


# --- what is kept --------------------------------------------------------------------------------


def test_a_text_is_private_and_named_by_its_digest_and_its_first_digits(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        LongTexts.beside(tmp_path / "audit_log.jsonl").keep(named(b"hello"))
    finally:
        os.umask(before)
    folder = tmp_path / "audit_log.texts"
    path = folder / "2c" / "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert all_files(tmp_path) == {path.name: b"hello"}
    assert [stat.S_IMODE(one.stat().st_mode) for one in (folder, path.parent, path)] == [0o700, 0o700, 0o600]


def test_a_text_that_is_kept_already_is_not_written_again(tmp_path: Path) -> None:
    LongTexts(tmp_path / "texts").keep(named(TEXT))
    path = file_of(tmp_path / "texts", TEXT)
    before = path.stat()
    LongTexts(tmp_path / "texts").keep(named(TEXT, b"another"))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("found", ["shorter", "of the same length", "a link"])
def test_a_text_that_does_not_match_its_name_is_written_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, found: str
) -> None:
    kept, elsewhere = LongTexts(tmp_path / "texts"), tmp_path / "elsewhere"
    text = b"x" * len(str(elsewhere))  # as long as a link to there
    kept.keep(named(text))
    path = file_of(kept.folder, text)
    elsewhere.write_bytes(text)
    path.unlink()
    if found == "a link":
        path.symlink_to(elsewhere)
    else:
        path.write_bytes(text[:-1] + (b"" if found == "shorter" else b"!"))
    with caplog.at_level(logging.WARNING):
        kept.keep(named(text))
    assert not path.is_symlink()
    assert path.read_bytes() == elsewhere.read_bytes() == text
    assert "does not match its name" in caplog.text


# --- a disk that fails, a process that dies, power that goes ---------------------------------------


def keep_on(folder: Path, content: dict[str, bytes], disk: ForgetfulTree) -> str:
    """`kept`, or the name of the error."""
    with replaced_os(disk):
        try:
            LongTexts(folder).keep(content)
        except (Died, AuditUnavailable) as ended:
            return type(ended).__name__
    return "kept"


@pytest.mark.parametrize("fails", [False, True], ids=["it is the last", "it fails"])
def test_a_crash_at_any_call_damages_no_text_and_the_next_keeping_finishes(tmp_path: Path, fails: bool) -> None:
    content = named(TEXT, b"another", b"a third")
    whole = ForgetfulTree(tmp_path / "whole")
    whole.top.mkdir()
    assert keep_on(whole.top / "texts", content, whole) == "kept"
    assert whole.durable() == content
    assert whole.calls > 15
    for end_at in range(whole.calls):
        top = tmp_path / str(end_at)
        top.mkdir()
        disk = ForgetfulTree(top, end_at, fails)
        ended = keep_on(top / "texts", content, disk)
        assert ended == ("AuditUnavailable" if fails else "Died")
        assert texts_in(top).items() <= content.items()
        if fails:
            assert [name for name in all_files(top) if name.endswith(".new")] == []
        disk = disk.next_process()  # it may find texts whose names are not synced
        assert keep_on(top / "texts", content, disk) == "kept"
        assert content.items() <= disk.durable().items()
        assert texts_in(top) == content


def test_a_place_that_cannot_be_written_refuses_with_our_error(tmp_path: Path) -> None:
    (tmp_path / "texts").write_text("a file")
    with pytest.raises(AuditUnavailable, match="Not a directory"):
        LongTexts(tmp_path / "texts").keep(named(TEXT))
    with pytest.raises(AuditUnavailable, match="No such file"):
        LongTexts(tmp_path / "nowhere" / "texts").keep(named(TEXT))
    taken = file_of(tmp_path / "other", TEXT)
    taken.mkdir(parents=True)
    with pytest.raises(AuditUnavailable):
        LongTexts(tmp_path / "other").keep(named(TEXT))
    assert list(taken.parent.iterdir()) == [taken]


def test_a_shell_with_sha256sum_can_check_the_folder(tmp_path: Path) -> None:
    if shutil.which("sha256sum") is None:
        leave_out("there is no sha256sum (Debian: apt-get install coreutils)")
    kept = LongTexts(tmp_path / "texts")
    kept.keep(named(TEXT, b"another"))
    script = 'cd "$0" && for text in */*; do echo "${text#*/}  $text"; done | sha256sum -c'

    def check() -> int:
        return subprocess.run(["sh", "-c", script, str(kept.folder)], capture_output=True).returncode

    assert check() == 0
    file_of(kept.folder, TEXT).write_bytes(b"other")
    assert check() == 1
