"""Requests that nobody should send: the short versions of `smuggling`, `mutants`, `corpora` and `million`."""

from __future__ import annotations

import re
from pathlib import Path

from . import corpora, million, mutants, smuggling
from .probes import PROBES


def test_no_request_is_smuggled_and_each_probe_gets_its_answer(tmp_path: Path) -> None:
    assert len({probe.name for probe in PROBES}) == len(PROBES)
    assert smuggling.smuggle(tmp_path / "service", workers=1).answers == 2 * len(PROBES)


def test_no_mutant_of_a_good_request_is_a_fault_of_the_server(tmp_path: Path) -> None:
    assert mutants.mutate(tmp_path / "service", mutants=400, workers=1).records


def test_odd_json_and_strings_are_answered_and_recorded_everywhere(tmp_path: Path) -> None:
    assert corpora.send_all(tmp_path / "service", workers=1, step=160).answers > 500


def test_the_log_holds_what_hostile_callers_were_told(tmp_path: Path) -> None:
    folder, models = tmp_path / "service", (1.0,)
    flood = million.flood(folder, requests=1000, rate=million.RATE, workers=1, quiet_seconds=0.1, models=models)
    assert flood.answers == 1000
    (told,) = [one for one in flood.remarks if one.startswith("a model of 1000 ms: ")]
    waited = re.search(r"; asked p99 (\d+|inf) ms", told)
    assert waited
    assert float(waited[1]) >= 998  # a timer may be 2 ms early
