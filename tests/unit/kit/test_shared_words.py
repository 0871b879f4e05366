"""Words that a forked child writes are seen by its parent."""

from __future__ import annotations

import os

from app.kit.shared_words import SharedWords


def test_what_a_child_writes_its_parent_reads() -> None:
    shared = SharedWords(2, 100)
    assert (list(shared.words), shared.text) == ([0, 0], "")
    pid = os.fork()
    if pid == 0:
        shared.words[1] = 2**64 - 1
        shared.text = "é: why"
        os._exit(0)
    os.waitpid(pid, 0)
    assert (list(shared.words), shared.text) == ([0, 2**64 - 1], "é: why")


def test_a_long_text_is_cut_and_a_short_one_leaves_nothing_of_it() -> None:
    shared = SharedWords(1, 8)
    shared.text = "0123456789"
    assert shared.text == "0123456"
    shared.text = "ab"
    assert shared.text == "ab"
    assert list(shared.words) == [0]
