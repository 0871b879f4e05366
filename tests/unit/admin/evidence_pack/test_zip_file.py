"""A pack is whole or not there, the same for the same content, and private."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import pytest

from app.admin.evidence_pack.zip_file import new_pack

TO = Path("new.zip")


def test_the_bytes_depend_on_the_content_alone() -> None:
    for _ in range(2):
        with new_pack(TO) as pack:
            pack.add("one", b"1")
            with pack.adding("two") as put:
                put(b"2")
                put(b"2")
        found = TO.read_bytes()
        TO.rename("before.zip")
    with new_pack(TO) as pack:
        pack.add("one", b"1")
        pack.add("two", b"22")
    assert TO.read_bytes() == found == Path("before.zip").read_bytes()
    with ZipFile(TO) as zip_file:
        assert zip_file.read("SHA256SUMS").decode().split()[1::2] == ["one", "two"]
    assert TO.stat().st_mode & 0o777 == 0o600


def fail_in_a_pack() -> None:
    with new_pack(TO) as pack:
        pack.add("one", b"1")
        raise RuntimeError


def test_nothing_is_there_after_a_failure() -> None:
    with pytest.raises(RuntimeError):
        fail_in_a_pack()
    assert list(Path().iterdir()) == []


def test_what_a_killed_run_left_is_replaced() -> None:
    Path("new.zip.part").write_bytes(b"the beginning")
    with new_pack(TO):
        pass
    assert [path.name for path in Path().iterdir()] == ["new.zip"]
