"""What is observed where it is wanted, and that nothing is loaded where it is not."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, cast

from app.limits.budgets.reservations import Pot, Share
from app.telemetry.metrics.board import Board
from app.wiring.telemetry import Telemetry

from ...support.paths import ROOT

UNWANTED = "{'prometheus_client', 'opentelemetry.sdk', 'app.telemetry', 'google.protobuf', 'pyarrow'}"


def test_a_worker_loads_nothing_of_it_unless_it_is_wanted() -> None:
    code = f"import sys, app.serving.worker, app.serving.parent; assert not {UNWANTED} & sys.modules.keys(), sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_by_default_nothing_is_observed() -> None:
    telemetry = Telemetry()
    assert telemetry.storage is None
    assert telemetry.on_refusal is None
    assert telemetry.observer(lambda: cast(Any, None)) is None


def test_an_alarm_of_a_principals_budget_does_not_name_them() -> None:
    board = Board()
    telemetry = Telemetry(board)
    for budget, is_own in (("principal=alice/day/money", True), ("all/day/money", False)):
        share = cast(Share, type("S", (), {"pot": Pot(budget, "2026-11-26"), "is_own": is_own}))
        telemetry.on_budget_alarm(share)
    found = {one.labels: one.numbers[0] for one in board.read() if one.metric.name == "budgets_nearly_spent_total"}
    assert found == {("principal",): 1, ("all/day/money",): 1}
