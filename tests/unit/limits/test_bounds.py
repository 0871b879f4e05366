"""What one worker takes of callers, and where descriptors are few."""

from __future__ import annotations

import os
import resource

import pytest

from app.limits.bounds import OWN_DESCRIPTORS, Bounds, raise_descriptor_limit


@pytest.mark.parametrize("descriptors", [256, 1024, 4096])
def test_connections_leave_descriptors_for_the_upstream_and_our_files(descriptors: int) -> None:
    bounds = Bounds().within(descriptors)
    assert 2 * bounds.connections + bounds.guests + OWN_DESCRIPTORS <= descriptors
    assert bounds.connections_per_address <= bounds.connections


def test_with_many_descriptors_the_bounds_are_as_declared() -> None:
    assert Bounds().within(1 << 20) == Bounds()


def test_the_soft_limit_becomes_the_hard_one() -> None:
    pid = os.fork()
    if not pid:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard // 2, hard))
        is_raised = raise_descriptor_limit() == hard == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        os._exit(0 if is_raised else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
