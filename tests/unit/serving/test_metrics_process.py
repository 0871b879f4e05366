"""What the metrics process reads of the memory that all processes share, and of /proc."""

from __future__ import annotations

import os
import subprocess
import sys
from subprocess import PIPE

import pytest

from app import __version__
from app.api.scoreboard import NOT_COUNTED, Scoreboard
from app.audit.evidence.health import Recheck
from app.serving.metrics_process import OTHERS, _memory, facts_of
from app.telemetry.metrics.catalogue import METRICS


def shown(scoreboard: Scoreboard) -> dict[str, float]:
    return {name: value for (name, labels), value in facts_of(scoreboard, "node-1").items() if not labels}


def test_a_healthy_service_shows_that() -> None:
    scoreboard = Scoreboard(2)
    scoreboard.log.note_checkpoint(7, 1.5)
    found = shown(scoreboard)
    assert (found["log_sound"], found["limits_counted"], found["audit_closed"], found["workers"]) == (1, 1, 0, 2)
    assert found["log_head_records"] == 7
    assert found["log_head_age_seconds"] >= 1.5
    assert facts_of(scoreboard, "node-1")["build_info", (__version__, "node-1")] == 1


def test_what_is_wrong_is_shown_and_counted() -> None:
    scoreboard = Scoreboard(3)
    slots = [scoreboard.slot(number) for number in range(3)]
    for slot in slots[:2]:
        slot.set_closed(True)
        slot.refused += 4
    slots[2].set_counting(NOT_COUNTED)
    slots[2].count_lost_events(5)
    scoreboard.log.close("the log was cut")
    found = shown(scoreboard)
    assert (found["audit_closed"], found["audit_refused_total"], found["log_sound"]) == (2, 8, 0)
    assert (found["limits_counted"], found["lost_security_events_total"]) == (0, 5)


def test_a_log_that_was_never_read_through_has_no_age() -> None:
    scoreboard = Scoreboard()
    assert not {"log_verified_age_seconds", "log_recheck_ratio", "log_head_age_seconds"} & shown(scoreboard).keys()
    scoreboard.log.recheck = Recheck(50, 200, 0)
    assert "log_verified_age_seconds" not in shown(scoreboard)
    scoreboard.log.recheck = Recheck(0, 200, 1)
    found = shown(scoreboard)
    assert (found["log_recheck_passes_total"], found["log_recheck_ratio"]) == (1, 0)
    assert found["log_verified_age_seconds"] >= 0


def test_every_fact_is_a_metric_with_its_labels() -> None:
    scoreboard = Scoreboard()
    scoreboard.log.note_checkpoint(7, 1.5)
    scoreboard.log.recheck = Recheck(1, 2, 1)
    for name, labels in facts_of(scoreboard, ""):
        assert len(METRICS[name].labels) == len(labels), name


@pytest.mark.slow
def test_the_memory_of_the_parent_and_of_its_silent_children_is_read() -> None:
    show = "import sys; from app.kit.process import show_as; show_as(sys.argv[1]); print(flush=True); input()"
    children = [subprocess.Popen([sys.executable, "-c", show, name], stdin=PIPE, stdout=PIPE) for name in sorted(OTHERS)]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    found = dict(_memory(os.getpid()))
    for child in children:
        child.communicate(b"\n")
    for name in ("parent", "notary", "index", "metrics"):
        assert found["process_resident_memory_bytes", (name,)] > 1 << 20
