"""Each system call of an append fails in every way, one at a time: the short version of `python -m tests.faults syscalls`."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import syscalls
from .programs import PROGRAMS
from .strace import Call
from .syscalls import plan


@pytest.mark.parametrize("part", range(4))
def test_whichever_call_of_an_append_fails_nothing_acknowledged_is_lost(tmp_path: Path, part: int) -> None:
    figures = syscalls.every_call(tmp_path, "append", part, 4)
    assert figures.answers > 20


@pytest.mark.parametrize(
    ("program", "parts"),
    [
        pytest.param("repair", 8, id="while a failed sync is repaired"),
        pytest.param("recover", 8, id="while a torn tail is set aside"),
        pytest.param("signer", 32, id="while a checkpoint is signed"),
    ],
)
def test_whichever_call_of_the_others_fails_earlier_promises_hold(tmp_path: Path, program: str, parts: int) -> None:
    """A sample of the calls: all of them take minutes."""
    assert syscalls.every_call(tmp_path, program, 3, parts).answers > 5


def test_the_list_of_faults_is_made_from_the_calls_that_the_code_makes(tmp_path: Path) -> None:
    planned = plan(PROGRAMS["append"], tmp_path)
    assert {"openat", "flock", "newfstatat", "pread64", "pwrite64", "fdatasync"} <= {call.name for call in planned.calls}
    for how in syscalls.HOW:
        met = {(fault.call, fault.number) for fault in planned.faults if fault.how == how}
        assert met == {(call.name, call.number) for call in planned.calls}


def test_a_failed_sync_that_is_simply_retried_is_noticed() -> None:
    """Two pages were waiting for the failed sync: both must be written again or cut off."""
    written, failed = Call("pwrite64", 1, '3</log>, "x"..., 300, 8000) = 300'), Call("fdatasync", 1, "3</log>) = -1 EIO")
    second, cut = Call("pwrite64", 2, '3</log>, "x"..., 10, 8200) = 10'), Call("ftruncate", 1, "3</log>, 4096) = 0")
    again = Call("fdatasync", 2, "3</log>) = 0")
    with pytest.raises(AssertionError, match="2 pages"):
        syscalls.syncs_are_never_simply_retried([written, failed, again])
    with pytest.raises(AssertionError, match="1 pages"):
        syscalls.syncs_are_never_simply_retried([written, failed, second, again])
    syscalls.syncs_are_never_simply_retried([written, failed, cut, again])
    syscalls.syncs_are_never_simply_retried([written, failed, written, again])
