"""Numbers that workers write and another process reads: none is lost, none is mixed up."""

from __future__ import annotations

import os
import threading

import pytest

from app.telemetry.metrics.board import DROPPED, Board, Meter, Page
from app.telemetry.metrics.catalogue import METRICS


def shown(board: Board) -> dict[tuple[str, ...], list[float]]:
    return {(one.metric.name, *one.labels): list(one.numbers) for one in board.read()}


def test_a_counter_counts_each_set_of_labels_on_its_own() -> None:
    board = Board()
    meter = Meter(board.pages[0])
    for code in ("rate_limited", "rate_limited", "not_found"):
        meter.add("refusals_total", code)
    found = shown(board)
    assert (found["refusals_total", "rate_limited"], found["refusals_total", "not_found"]) == ([2.0], [1.0])


def test_a_value_on_a_bound_is_in_its_bucket_and_a_large_one_in_the_last() -> None:
    board = Board()
    meter, bounds = Meter(board.pages[0]), METRICS["question_seconds"].bounds
    for value in (bounds[0], bounds[0] + 1e-9, bounds[-1] + 1):
        meter.histogram("question_seconds", "small").observe(value)
    numbers = shown(board)["question_seconds", "small"]
    assert numbers[:2] == [1.0, 1.0]
    assert numbers[len(bounds)] == 1.0
    assert numbers[-1] == pytest.approx(2 * bounds[0] + bounds[-1] + 1)


def test_a_value_can_be_observed_several_times_at_once() -> None:
    board = Board()
    Meter(board.pages[0]).histogram("audit_append_seconds").observe(0.002, 5)
    numbers = shown(board)["audit_append_seconds",]
    assert (sum(numbers[:-1]), numbers[-1]) == (5.0, 0.01)


def test_a_successor_counts_on_and_its_gauges_begin_at_0() -> None:
    board = Board()
    before = Meter(board.pages[0])
    before.add("refusals_total", "not_found", amount=3)
    before.set("upstream_waiting", "lab", value=7)
    after = Meter(board.pages[0])
    after.add("refusals_total", "not_found")
    after.add("refusals_total", "forbidden")
    found = shown(board)
    assert found["refusals_total", "not_found"] == [4.0]
    assert found["refusals_total", "forbidden"] == [1.0]
    assert found["upstream_waiting", "lab"] == [0.0]


def test_a_line_that_was_cut_by_a_kill_is_written_again() -> None:
    board = Board()
    page = board.pages[0]
    Meter(page)
    end = page.head[0]
    page.directory[end : end + 12] = b'["refusals_t'  # its length was never told
    after = Meter(page)
    after.add("refusals_total", "not_found")
    assert shown(board)["refusals_total", "not_found"] == [1.0]


def test_what_a_family_no_longer_has_is_0() -> None:
    board = Board()
    meter = Meter(board.pages[0])
    meter.set_family("breaker_open", {("old",): 1.0, ("kept",): 1.0})
    meter.set_family("breaker_open", {("kept",): 1.0})
    found = shown(board)
    assert (found["breaker_open", "old"], found["breaker_open", "kept"]) == ([0.0], [1.0])


@pytest.mark.parametrize(("numbers", "directory_bytes"), [(20, 1 << 16), (4096, 60)])
def test_what_there_is_no_room_for_is_counted_and_harms_nothing(numbers: int, directory_bytes: int) -> None:
    board = Board()
    board.pages = [Page(numbers, directory_bytes)]
    meter = Meter(board.pages[0])
    for number in range(5):
        for _ in range(2):
            meter.histogram("question_seconds", f"model-{number}").observe(1.0)
    found = shown(board)
    kept = [one for name, *one in found if name == "question_seconds"]
    assert len(kept) < 5
    assert found[DROPPED,] == [5.0 - len(kept)]
    assert all(sum(found["question_seconds", *one][:-1]) == 2 for one in kept)


def test_threads_that_begin_series_at_once_get_places_of_their_own() -> None:
    board = Board()
    meter, start = Meter(board.pages[0]), threading.Barrier(4)

    def work(name: str) -> None:
        start.wait()
        for number in range(200):
            meter.add("refusals_total", f"{name}-{number}")

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [numbers for (name, *_), numbers in shown(board).items() if name == "refusals_total"]
    assert found == [[1.0]] * 800


def test_a_reader_sees_what_a_forked_writer_counts() -> None:
    board = Board(2)
    pid = os.fork()
    if not pid:
        Meter(board.pages[1]).add("refusals_total", "not_found")
        os._exit(0)
    os.waitpid(pid, 0)
    assert shown(board)["refusals_total", "not_found"] == [1.0]
