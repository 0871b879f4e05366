"""The disk, the clock and the limits of this machine."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.admin import doctor_machine
from app.admin.doctor_machine import look_at_clock, look_at_disk, look_at_limits
from app.settings import load_settings

from ...support import installation


@pytest.fixture(autouse=True)
def installed(place: Path) -> None:
    installation.init()


def test_a_disk_with_room_is_well_and_told_once() -> None:
    (finding,) = look_at_disk(load_settings())
    assert finding.state in ("ok", "note")
    assert " GiB left" in finding.says


@pytest.mark.parametrize(
    ("free", "files", "flag", "state", "says"),
    [
        (0, 9999, 0, "trouble", "without room no question is answered"),
        (1 << 30, 9999, 0, "note", "has 1.0 GiB left: make room soon"),
        (1 << 40, 9, 0, "trouble", "takes only 9 more files"),
        (1 << 40, 9999, os.ST_RDONLY, "trouble", "is mounted read-only"),
        (1 << 40, 9999, 0, "ok", "has 1,024.0 GiB left"),
    ],
)
def test_a_full_disk_is_trouble(monkeypatch: pytest.MonkeyPatch, free: int, files: int, flag: int, state: str, says: str) -> None:
    disk = SimpleNamespace(f_bavail=free, f_frsize=1, f_flag=flag, f_files=10**6, f_favail=files)
    monkeypatch.setattr(os, "statvfs", lambda path: disk)
    (finding,) = look_at_disk(load_settings())
    assert (finding.state, says in finding.says) == (state, True)


def test_a_clock_before_the_last_record_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    (finding,) = look_at_clock(load_settings())
    assert finding.state in ("ok", "note")
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.0)
    (finding,) = look_at_clock(load_settings())
    assert (finding.state, "before the last record: set it." in finding.says) == ("trouble", True)


@pytest.mark.parametrize(("is_unkept", "state"), [(True, "note"), (False, "ok")])
def test_a_clock_that_nothing_keeps_right_is_worth_a_note(monkeypatch: pytest.MonkeyPatch, is_unkept: bool, state: str) -> None:
    monkeypatch.setattr(doctor_machine, "_is_unkept", lambda: is_unkept)
    (finding,) = look_at_clock(load_settings())
    assert finding.state == state


def test_few_open_files_are_worth_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 1024))
    assert "raise the hard limit of open files" in next(iter(look_at_limits(load_settings()))).says


def test_no_folder_in_memory_is_worth_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "MEMORY", Path("/no/such/folder"))
    assert any("requests are counted on disk" in finding.says for finding in look_at_limits(load_settings()))
