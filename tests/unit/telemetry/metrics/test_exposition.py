"""What Prometheus reads: the workers' numbers as one, in its own format, with no more labels than there should be."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.telemetry.metrics.board import Board, Meter
from app.telemetry.metrics.catalogue import METRICS, PREFIX
from app.telemetry.metrics.exposition import BoardCollector, Facts


def scrape(board: Board, facts: Facts | None = None) -> Mapping[tuple[str, tuple[tuple[str, str], ...]], float]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(BoardCollector(board, lambda: facts or {}))
    text = generate_latest(registry).decode()
    families = text_string_to_metric_families(text)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def test_counters_and_queues_of_workers_are_added() -> None:
    board = Board(2)
    for number, page in enumerate(board.pages):
        meter = Meter(page)
        meter.add("refusals_total", "not_found", amount=number + 1)
        meter.set("upstream_waiting", "lab", value=2)
    found = scrape(board)
    assert found[PREFIX + "refusals_total", (("code", "not_found"),)] == 3
    assert found[PREFIX + "upstream_waiting", (("server", "lab"),)] == 4


def test_what_all_workers_see_alike_is_shown_once() -> None:
    board = Board(2)
    for page in board.pages:
        Meter(page).set("breaker_open", "lab", value=1)
    assert scrape(board)[PREFIX + "breaker_open", (("server", "lab"),)] == 1


def test_buckets_add_up_and_end_with_all() -> None:
    board = Board(2)
    for page in board.pages:
        Meter(page).histogram("question_seconds", "small").observe(0.02)
    found = scrape(board)
    name, bounds = PREFIX + "question_seconds", METRICS["question_seconds"].bounds
    counts = [found[name + "_bucket", (("le", str(bound)), ("model", "small"))] for bound in bounds]
    assert counts == [0, 0] + [2] * (len(bounds) - 2)
    assert found[name + "_count", (("model", "small"),)] == 2
    assert found[name + "_sum", (("model", "small"),)] == 0.04


def test_facts_of_the_shared_memory_are_shown_beside() -> None:
    found = scrape(Board(), {("log_sound", ()): 0.0, ("build_info", ("1.0", "node-1")): 1.0})
    assert found[PREFIX + "log_sound", ()] == 0
    assert found[PREFIX + "build_info", (("node", "node-1"), ("version", "1.0"))] == 1


def test_no_label_is_a_person_or_a_text() -> None:
    allowed = {"endpoint", "model", "outcome", "kind", "currency", "code", "server", "budget", "version", "node", "process"}
    assert {label for metric in METRICS.values() for label in metric.labels} <= allowed


def test_names_end_in_what_they_count() -> None:
    for metric in METRICS.values():
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        if metric.kind == "histogram":
            assert metric.name.endswith(("_seconds", "_records")), metric.name
            assert list(metric.bounds) == sorted(metric.bounds)


def test_labels_of_any_text_are_escaped() -> None:
    board = Board()
    odd = 'a"b\\c\nd é'
    Meter(board.pages[0]).add("refusals_total", odd)
    assert scrape(board)[PREFIX + "refusals_total", (("code", odd),)] == 1


def test_what_began_and_did_not_end_is_open() -> None:
    board = Board(2)
    for page, ended in zip(board.pages, (3, 1), strict=True):
        meter = Meter(page)
        meter.add("questions_received_total", "chat", "small", amount=3)
        meter.add("questions_total", "chat", "small", "answered", amount=ended)
    Meter(board.pages[1])  # a successor
    assert scrape(board)[PREFIX + "open_questions", ()] == 2
