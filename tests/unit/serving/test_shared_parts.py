"""The catalogue that forked processes share: readers find a whole one, whatever a writer is doing."""

from __future__ import annotations

import os
import signal

from ...support.shared_policies import shared_policy


def test_what_one_process_publishes_all_read() -> None:
    with shared_policy(b"first") as policy:
        assert policy.read() == b"first"
        for encoded in (b"x" * 100_000, b"", b"short"):
            pid = os.fork()
            if not pid:
                policy.publish(encoded)
                os._exit(0)
            os.waitpid(pid, 0)
            assert policy.read() == encoded


def test_a_reader_never_sees_two_halves() -> None:
    kinds = [bytes([kind]) * 500_000 for kind in range(1, 5)]
    with shared_policy(kinds[0]) as policy:
        pid = os.fork()
        if not pid:
            while True:
                for kind in kinds:
                    policy.publish(kind)
        try:
            assert all(policy.read() in kinds for _ in range(200))
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_a_writer_that_dies_before_it_has_switched_changes_nothing() -> None:
    with shared_policy(b"whole") as policy:
        os.pwrite(policy._files[1 - policy._current[0]], b"torn", 0)
        assert policy.read() == b"whole"
