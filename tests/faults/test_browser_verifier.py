"""The browser verifier agrees with the two others: the short version of `python -m tests.faults verifier`."""

from __future__ import annotations

from pathlib import Path

from ..support.browser_verifier import in_chromium, in_node
from . import browser_million
from .browser_verifier import agree_on_logs, agree_on_receipts, agree_on_slices


def test_all_three_verifiers_agree_on_mutated_logs() -> None:
    assert agree_on_logs(in_node, 500).answers == 500


def test_all_three_verifiers_agree_on_mutated_receipts() -> None:
    assert agree_on_receipts(in_node, 300).answers == 300


def test_all_three_verifiers_agree_on_parts_of_a_log() -> None:
    assert agree_on_slices(in_node, 300).answers == 300


def test_they_agree_when_the_browser_hashes_by_itself() -> None:
    assert agree_on_logs(lambda cases: in_node(cases, "webcrypto"), 100, seed=7).answers == 100


def test_the_single_file_agrees_in_a_real_browser() -> None:
    assert agree_on_logs(in_chromium, 100, seed=3).answers == 100
    assert agree_on_receipts(in_chromium, 60, seed=5).answers == 60


def test_a_long_log_shows_progress_and_ends(tmp_path: Path) -> None:
    assert browser_million.verify(tmp_path, records=20_000).answers == 1
