"""What Prometheus gets: the numbers of all workers as one, and what the shared memory says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from .board import Board
from .catalogue import METRICS, PREFIX, Metric

Labels = tuple[str, ...]
Facts = Mapping[tuple[str, Labels], float]
"""By a metric's name and labels: what is not on the board."""
ANY_WORKER = frozenset({"breaker_open", "breaker_failures_in_a_row"})
"""Gauges that each worker shows alike, and that are not summed."""


class BoardCollector(Collector):
    def __init__(self, board: Board, facts: Callable[[], Facts]) -> None:
        self._board, self._facts = board, facts

    def collect(self) -> Iterable[Family]:
        found = self._merged()
        begun, ended = (sum(one[0] for one in found[name].values()) for name in ("questions_received_total", "questions_total"))
        found["open_questions"][()] = [begun - ended]
        for (name, labels), value in self._facts().items():
            found[name][labels] = [value]
        for name, metric in METRICS.items():
            if name in found:
                yield _family(metric, found[name])

    def describe(self) -> Iterable[Family]:
        return ()

    def _merged(self) -> defaultdict[str, dict[Labels, list[float]]]:
        found = defaultdict[str, dict[Labels, list[float]]](dict)
        for metric, labels, numbers in self._board.read():
            before = found[metric.name].get(labels)
            if before is None:
                found[metric.name][labels] = list(numbers)
            elif metric.name in ANY_WORKER:
                found[metric.name][labels] = [max(before[0], numbers[0])]
            else:
                found[metric.name][labels] = [old + new for old, new in zip(before, numbers, strict=True)]
        return found


def _family(metric: Metric, series: Mapping[Labels, list[float]]) -> Family:
    name, labels = PREFIX + metric.name, metric.labels
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(name, metric.help, labels=labels)
        for values, numbers in series.items():
            histogram.add_metric(values, list(_buckets(metric, numbers)), numbers[-1])
        return histogram
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(name, metric.help, labels=labels)
    for values, numbers in series.items():
        family.add_metric(values, numbers[0])
    return family


def _buckets(metric: Metric, numbers: list[float]) -> Iterator[tuple[str, float]]:
    """Each upper bound with how many values are up to it."""
    total = 0.0
    for bound, count in zip((*map(str, metric.bounds), "+Inf"), numbers[:-1], strict=True):
        total += count
        yield bound, total
