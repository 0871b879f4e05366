"""A process is known to live by a lock on a byte, which ends with it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from app.limits.budgets.owners import Owners
from app.limits.budgets.store import NO_OWNER, StoreFailed


def test_the_first_is_alone_and_the_second_is_not(tmp_path: Path) -> None:
    one, other = Owners(tmp_path / "budgets"), Owners(tmp_path / "budgets")
    with one.attaching(1) as is_alone:
        assert is_alone
        assert one.is_alive(one.own)
    with other.attaching(1) as is_alone:
        assert not is_alone
    assert one.own != other.own
    assert one.is_alive(other.own)
    assert other.is_alive(one.own)
    with one.attaching(1) as is_alone:
        assert not is_alone
    other.close()
    assert not one.is_alive(other.own or 5)
    with one.attaching(1) as is_alone:
        assert is_alone
    one.close()


def test_only_one_attaches_at_a_time(tmp_path: Path) -> None:
    one, other = Owners(tmp_path / "budgets"), Owners(tmp_path / "budgets")
    with one.attaching(1), pytest.raises(StoreFailed), other.attaching(0.01):
        pass
    with other.attaching(1):
        pass
    one.close()
    other.close()


def test_an_operator_holds_off_who_would_attach_and_uses_nothing(tmp_path: Path) -> None:
    one, operator = Owners(tmp_path / "budgets"), Owners(tmp_path / "budgets")
    with operator.holding_off(1), pytest.raises(StoreFailed), one.attaching(0.01):
        pass
    with one.attaching(1) as is_alone:
        assert is_alone
    assert operator.own == NO_OWNER
    one.close()
    operator.close()


@pytest.mark.slow
def test_the_lock_of_a_process_that_is_killed_is_gone(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        owners = Owners(tmp_path / "budgets")
        with owners.attaching(1):
            os.write(writer, str(owners.own).encode())
        signal.pause()
    owner = int(os.read(reader, 100))
    one = Owners(tmp_path / "budgets")
    with one.attaching(1) as is_alone:
        assert not is_alone
    assert one.is_alive(owner)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert not one.is_alive(owner)
    one.close()
    os.close(reader)
    os.close(writer)


def test_nobody_is_no_process(tmp_path: Path) -> None:
    assert not Owners(tmp_path / "budgets").is_alive(NO_OWNER)


def test_a_folder_that_is_gone_is_a_failure_of_the_store(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed), Owners(tmp_path / "gone" / "budgets").attaching(1):
        pass
