"""A publication interrupted at any system call by a crash or power loss: the next one succeeds."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from app.audit.evidence import stored_tree as tree
from app.errors import EvidenceUnavailable
from app.kit import durable_files as files

from ..support.evidence import KeptLog, published_in
from ..support.forgetful_folder import ForgetfulFolder
from ..support.replaced_os import Died


def cut_short(kept: KeptLog, monkeypatch: pytest.MonkeyPatch, end_at: int, fails: bool = False) -> ForgetfulFolder:
    """One publication that stops at the given call, or completes."""
    disk = ForgetfulFolder(kept.tree.folder, end_at, fails)
    with monkeypatch.context() as patch:
        for module in (tree, files):
            patch.setattr(module, "os", disk)
        with suppress(Died, EvidenceUnavailable):
            kept.checkpoint_signer.publish_next()
    return disk


STAGES = {"the first": ((), 0), "an ordinary one": ((4,), 3), "into a new tile": ((200, 54), 2)}
POWER = {"the process dies": None} | {
    f"power fails, names {n}, bytes {b}": (n == "kept", b == "kept") for n in ("lost", "kept") for b in ("lost", "kept")
}


@pytest.mark.parametrize("stage", STAGES.values(), ids=list(STAGES))
@pytest.mark.parametrize("power", POWER.values(), ids=list(POWER))
@pytest.mark.parametrize("fails", [False, True], ids=["it is the last", "it fails"])
def test_after_any_interrupted_call_the_next_checkpoint_contradicts_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: tuple[tuple[int, ...], int],
    power: tuple[bool, bool] | None,
    fails: bool,
) -> None:
    made = KeptLog(tmp_path / "made")
    heads = [head.note for head in made.add_signed(*stage[0])]
    made.add(stage[1])
    made.store.close()
    disk = cut_short(copied(made, tmp_path / "whole"), monkeypatch, -1)
    disk.forget()
    assert disk.calls > 12
    assert len(disk.served) == 1
    for end_at in range(disk.calls):
        kept = copied(made, tmp_path / str(end_at))
        disk = cut_short(kept, monkeypatch, end_at, fails)
        readable = [*heads, *disk.served, *published_in(kept.path.parent)]
        if power is not None:
            disk.lose_power(names_persisted=power[0], bytes_persisted=power[1])
            readable += published_in(kept.path.parent)
        disk.forget()
        if not (fails and power is None):  # otherwise the same process continues
            kept = KeptLog(kept.path.parent)
            kept.checkpoint_signer.verify_start()
        readable += [head.note for head in kept.add_signed(0, 3)]
        kept.check_checkpoints(readable)
        kept.store.close()


def copied(made: KeptLog, folder: Path) -> KeptLog:
    shutil.copytree(made.path.parent, folder)
    return KeptLog(folder)


def test_a_signer_killed_at_any_call_leaves_what_the_next_one_continues(tmp_path: Path) -> None:
    """A real process is killed at one call after the other, on the same log."""
    kept = KeptLog(tmp_path)
    notes = [kept.signed().note]
    for end_at in range(25):
        kept.add(20)
        pid = os.fork()
        if pid == 0:
            try:
                disk = cut_short(KeptLog(kept.path.parent), pytest.MonkeyPatch(), end_at)
                os._exit(0 if disk.calls <= end_at else 9)
            finally:
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status in (0, 9)
        notes += published_in(kept.path.parent)
    assert status == 0, "the program makes more calls than were tried"
    kept.check_checkpoints([*notes, kept.add_signed(1)[0].note])
